"""Triplet loss: the farthest of the own pictures against the nearest of other people's."""

import torch


def batch_hard_triplet(
    rows: torch.Tensor, identities: torch.Tensor, domains: torch.Tensor, margin: float = 0.3
) -> torch.Tensor:
    """Mean over the rows that have both of max(0, margin + farthest positive - nearest negative), Euclidean.

    Args:
        rows: (N, D).
        identities: (N,).
        domains: (N,); negatives are people of the same domain.
        margin: In units of the distance.

    Source: Hermans et al., In Defense of the Triplet Loss for Person Re-Identification, 2017, eq. 5.
    """
    squares = rows.square().sum(1)
    distances = (squares[:, None] + squares - 2 * rows @ rows.T).clamp_min(1e-12).sqrt()
    same = identities[:, None] == identities
    itself = torch.eye(len(rows), dtype=torch.bool, device=rows.device)
    positive, negative = same & ~itself, (domains[:, None] == domains) & ~same
    counted = positive.any(1) & negative.any(1)
    farthest = distances.masked_fill(~positive, -torch.inf).amax(1)[counted]
    nearest = distances.masked_fill(~negative, torch.inf).amin(1)[counted]
    return (margin + farthest - nearest).clamp_min(0).sum() / max(1, int(counted.sum()))
