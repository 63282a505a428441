"""Supervised contrastive loss: every pair of a batch, positives against all."""

import torch


def supervised_contrastive(
    rows: torch.Tensor, identities: torch.Tensor, domains: torch.Tensor, temperature: float = 0.1
) -> torch.Tensor:
    """Mean over the rows i that have a positive.

        L_i = -1/|P(i)| sum_{p in P(i)} log exp(f_i.f_p / t) / sum_{a in A(i)} exp(f_i.f_a / t)

    P(i) are the other rows of i's identity, A(i) all other rows of its domain.

    Args:
        rows: (N, D) of unit length.
        identities: (N,).
        domains: (N,).
        temperature: t.

    Source: Khosla et al., Supervised Contrastive Learning, 2020, eq. 2.
    """
    itself = torch.eye(len(rows), dtype=torch.bool, device=rows.device)
    others = (domains[:, None] == domains) & ~itself
    positive = (identities[:, None] == identities) & others
    lowest = torch.finfo(rows.dtype).min  # not -inf: a row alone in its domain would make the gradients nan
    logs = (rows @ rows.T / temperature).masked_fill(~others, lowest).log_softmax(1)
    counted = positive.any(1)
    sums = logs[counted].masked_fill(~positive[counted], 0.0).sum(1)
    return -(sums / positive[counted].sum(1)).sum() / max(1, int(counted.sum()))
