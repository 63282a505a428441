"""Identity loss: which of all known people is it."""

import torch
from torch import nn


class IdentityLoss(nn.Module):
    """Cross-entropy over the cosines to one learned direction an identity, with a margin on the right one.

        L = -sum_j t_j log softmax_j(s (cos_j - m [j = y]))      t = smoothed one-hot

    The softmax and the smoothing run over the identities of the row's own domain: people of different places never
    meet, and telling places apart teaches nothing about people.

    Args:
        domain_of: (I,) the domain of each identity.
        dimension: Of the rows.
        scale: s.
        margin: m; 0 = the classical loss on normalised features.
        smoothing: Share of the target spread evenly over the domain's identities.

    Source: Wang et al., CosFace: Large Margin Cosine Loss, 2018, eq. 4; smoothing: Szegedy et al., Rethinking the
    Inception Architecture, 2016, 7.
    """

    domain_of: torch.Tensor

    def __init__(
        self,
        domain_of: torch.Tensor,
        dimension: int,
        scale: float = 20.0,
        margin: float = 0.15,
        smoothing: float = 0.0,
    ) -> None:
        super().__init__()
        self.scale, self.margin, self.smoothing = scale, margin, smoothing
        self.register_buffer("domain_of", domain_of, persistent=False)
        self.directions = nn.Parameter(torch.randn(len(domain_of), dimension))

    def forward(self, rows: torch.Tensor, identities: torch.Tensor) -> torch.Tensor:
        """Mean over (N, D) unit rows of people (N,)."""
        cosines = rows @ nn.functional.normalize(self.directions, dim=1).T
        right = nn.functional.one_hot(identities, len(self.domain_of)).to(cosines)
        own = self.domain_of == self.domain_of[identities][:, None]
        logits = (self.scale * (cosines - self.margin * right)).masked_fill(~own, -torch.inf)
        logs = logits.log_softmax(1).masked_fill(~own, 0.0)
        targets = (1 - self.smoothing) * right + self.smoothing * own / own.sum(1, keepdim=True)
        return -(targets * logs).sum(1).mean()

    @torch.no_grad()
    def start_from(self, centroids: torch.Tensor) -> None:
        """Begins at the (I, D) mean row of each identity."""
        self.directions.copy_(centroids)
