"""Prototypical contrastive loss: near the centroid of its own identity, far from all others."""

import torch
from torch import nn


class PrototypeLoss(nn.Module):
    """Contrast against a memory of one centroid an identity.

        L = -log exp(sim(f, M_y) / tau) / sum_j exp(sim(f, M_j) / tau)       sim = cosine
        M_y <- gamma M_y + (1 - gamma) f*      f* = the row of identity y in the batch with the smallest sim(f, M_y)

    The sum runs over the identities of the row's own domain. The memory is no parameter: after the step, `update` moves
    it, outside of autograd.

    Args:
        domain_of: (I,) the domain of each identity.
        dimension: Of the rows.
        temperature: tau.
        momentum: gamma, in [0, 1].

    Source: MUSE, 4.1, eq. 1 and 2 (after Li and Gong, PCL-CLIP, 2023; hardest sample: Dai et al., Cluster Contrast,
    2022). The paper names neither tau nor gamma.
    """

    domain_of: torch.Tensor
    memory: torch.Tensor

    def __init__(
        self, domain_of: torch.Tensor, dimension: int, temperature: float = 0.07, momentum: float = 0.8
    ) -> None:
        super().__init__()
        self.temperature, self.momentum = temperature, momentum
        self.register_buffer("domain_of", domain_of, persistent=False)
        first = nn.functional.normalize(torch.randn(len(domain_of), dimension), dim=1)
        self.register_buffer("memory", first)

    def forward(self, rows: torch.Tensor, identities: torch.Tensor) -> torch.Tensor:
        """Mean over (N, D) unit rows of people (N,)."""
        cosines = rows @ nn.functional.normalize(self.memory, dim=1).T
        others = self.domain_of != self.domain_of[identities][:, None]
        return nn.functional.cross_entropy(
            (cosines / self.temperature).masked_fill(others, -torch.inf), identities
        )

    @torch.no_grad()
    def update(self, rows: torch.Tensor, identities: torch.Tensor) -> None:
        """Moves the centroids of the batch's people towards their hardest rows."""
        rows = rows.to(self.memory)
        cosines = (rows * nn.functional.normalize(self.memory[identities], dim=1)).sum(1)
        for identity in sorted(set(identities.tolist())):
            own = torch.nonzero(identities == identity)[:, 0]
            hardest = rows[own[cosines[own].argmin()]]
            self.memory[identity] = self.momentum * self.memory[identity] + (1 - self.momentum) * hardest

    @torch.no_grad()
    def start_from(self, centroids: torch.Tensor) -> None:
        """Begins at the (I, D) mean row of each identity."""
        self.memory.copy_(centroids)
