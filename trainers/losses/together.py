"""The losses of an embedder, weighted and added up."""

import torch
from pydantic import Field
from torch import nn

from pipeline.errors import ConfigError
from pipeline.settings import Settings
from trainers.losses.captions import CaptionLoss
from trainers.losses.identity import IdentityLoss
from trainers.losses.prototypes import PrototypeLoss
from trainers.losses.supcon import supervised_contrastive
from trainers.losses.texts import TextSettings, image_to_texts
from trainers.losses.triplet import batch_hard_triplet


class LossSettings(Settings):
    """Weights, and what each loss has; weight 0 = off."""

    identity: float = Field(default=1.0, ge=0, description="Weight of the cross-entropy over identities.")
    scale: float = Field(default=20.0, gt=0, description="Of its cosines.")
    margin: float = Field(default=0.0, ge=0, le=1, description="On its right cosine.")
    smoothing: float = Field(default=0.0, ge=0, lt=1, description="Of its target.")
    prototypes: float = Field(default=0.0, ge=0, description="Weight of the contrast with the memory.")
    prototype_temperature: float = Field(default=0.07, gt=0)
    prototype_momentum: float = Field(default=0.8, ge=0, le=1, description="Share that a centroid keeps.")
    contrast: float = Field(default=0.0, ge=0, description="Weight of the contrast within the batch.")
    contrast_temperature: float = Field(default=0.1, gt=0)
    triplet: float = Field(default=0.0, ge=0, description="Weight of the hardest triplets.")
    triplet_margin: float = Field(default=0.3, ge=0)


class EmbedderLoss(nn.Module):
    """All of `LossSettings`; has the weights of the identity loss, the memory of the prototypes, texts and captions.

    Raises:
        ConfigError: Every loss has weight 0.
    """

    domain_of: torch.Tensor
    texts: torch.Tensor

    def __init__(
        self,
        settings: LossSettings,
        domain_of: torch.Tensor,
        dimension: int,
        text_settings: TextSettings | None = None,
        captions: CaptionLoss | None = None,
    ) -> None:
        super().__init__()
        on = settings.identity, settings.prototypes, settings.contrast, settings.triplet
        if not (any(on) or text_settings or captions):
            raise ConfigError("there is nothing to learn from: every loss has weight 0", "give one a weight")
        self.captions = captions
        self.text_settings = text_settings
        self.register_buffer("texts", torch.zeros(len(domain_of) if text_settings else 0, dimension))
        s = self.settings = settings
        self.register_buffer("domain_of", domain_of, persistent=False)
        self.identity = IdentityLoss(domain_of, dimension, s.scale, s.margin, s.smoothing)
        self.prototypes = PrototypeLoss(domain_of, dimension, s.prototype_temperature, s.prototype_momentum)

    def forward(
        self, rows: torch.Tensor, identities: torch.Tensor, pictures: torch.Tensor | None = None
    ) -> dict[str, torch.Tensor]:
        """Each loss that is on, unweighted, and `loss`, their weighted sum, of (N, D) unit rows of people (N,).

        `pictures` (N,) are their numbers among all; only captions need them.
        """
        s, domains = self.settings, self.domain_of[identities]
        parts: dict[str, tuple[float, torch.Tensor]] = {}
        if s.identity:
            parts["identity"] = s.identity, self.identity(rows, identities)
        if s.prototypes:
            parts["prototypes"] = s.prototypes, self.prototypes(rows, identities)
        if s.contrast:
            loss = supervised_contrastive(rows, identities, domains, s.contrast_temperature)
            parts["contrast"] = s.contrast, loss
        if s.triplet:
            parts["triplet"] = s.triplet, batch_hard_triplet(rows, identities, domains, s.triplet_margin)
        if self.text_settings:
            loss = image_to_texts(rows, identities, self.texts, self.text_settings)
            parts["texts"] = self.text_settings.weight, loss
        if self.captions and pictures is not None:
            loss = self.captions(rows, identities, domains, pictures)
            parts["captions"] = self.captions.reader.settings.weight, loss
        total = torch.stack([weight * loss for weight, loss in parts.values()]).sum()
        return {"loss": total} | {name: loss for name, (_, loss) in parts.items()}

    def start_from(self, centroids: torch.Tensor) -> None:
        """Identity weights and memory begin at the (I, D) mean row of each identity."""
        self.identity.start_from(centroids)
        self.prototypes.start_from(centroids)
