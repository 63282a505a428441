"""The losses of an embedder, weighted and added up."""

from collections.abc import Sequence
from typing import Literal

import torch
from pydantic import Field
from torch import nn

from pipeline.errors import ConfigError
from pipeline.settings import Settings
from trainers.losses.captions import CaptionLoss
from trainers.losses.heads import LEVELS, Levels, PublishedHeads
from trainers.losses.identity import IdentityLoss
from trainers.losses.prototypes import PrototypeLoss
from trainers.losses.supcon import supervised_contrastive
from trainers.losses.texts import TextSettings, image_to_texts
from trainers.losses.triplet import batch_hard_triplet


class LossSettings(Settings):
    """Weights, and what each loss has; weight 0 = off."""

    heads: Literal["cosine", "linear", "clip_reid"] = Field(
        default="cosine",
        description="Of identity and triplet: ours; MUSE's as published; CLIP-ReID's as published.",
    )
    identity: float = Field(default=1.0, ge=0, description="Weight of the cross-entropy over identities.")
    scale: float = Field(default=20.0, gt=0, description="Of its cosines; heads cosine only.")
    margin: float = Field(default=0.0, ge=0, le=1, description="On its right cosine; heads cosine only.")
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
        widths: Sequence[int] = (),
        text_settings: TextSettings | None = None,
        captions: CaptionLoss | None = None,
    ) -> None:
        super().__init__()
        on = settings.identity, settings.prototypes, settings.contrast, settings.triplet
        if not (any(on) or text_settings or captions):
            raise ConfigError("there is nothing to learn from: every loss has weight 0", "give one a weight")
        self.captions = captions
        self.text_settings = text_settings
        space = widths[-1] if text_settings else dimension
        self.register_buffer("texts", torch.zeros(len(domain_of) if text_settings else 0, space))
        s = self.settings = settings
        self.register_buffer("domain_of", domain_of, persistent=False)
        published, people = s.heads in LEVELS, len(domain_of)
        self.heads = (
            PublishedHeads(s.heads, widths, people, s.smoothing, s.triplet_margin) if published else None
        )
        self.identity = (
            None if published else IdentityLoss(domain_of, dimension, s.scale, s.margin, s.smoothing)
        )
        self.prototypes = PrototypeLoss(domain_of, dimension, s.prototype_temperature, s.prototype_momentum)

    def forward(
        self,
        rows: torch.Tensor,
        identities: torch.Tensor,
        pictures: torch.Tensor | None = None,
        levels: Levels = (),
    ) -> dict[str, torch.Tensor]:
        """Each loss that is on, unweighted, and `loss`, their weighted sum.

        Args:
            rows: (N, D) of unit length, as at search.
            identities: (N,).
            pictures: (N,) numbers among all; only captions need them.
            levels: The features below the rows; published heads and texts need them.
        """
        s, domains = self.settings, self.domain_of[identities]
        parts: dict[str, tuple[float, torch.Tensor]] = {}
        if s.identity:
            parts["identity"] = s.identity, self._identity(rows, identities, levels)
        if s.prototypes:
            parts["prototypes"] = s.prototypes, self.prototypes(rows, identities)
        if s.contrast:
            loss = supervised_contrastive(rows, identities, domains, s.contrast_temperature)
            parts["contrast"] = s.contrast, loss
        if s.triplet:
            parts["triplet"] = s.triplet, self._triplet(rows, identities, domains, levels)
        if self.text_settings:
            projected = nn.functional.normalize(levels[-1], dim=1)
            loss = image_to_texts(projected, identities, self.texts, self.text_settings)
            parts["texts"] = self.text_settings.weight, loss
        if self.captions and pictures is not None:
            loss = self.captions(rows, identities, domains, pictures)
            parts["captions"] = self.captions.reader.settings.weight, loss
        total = torch.stack([weight * loss for weight, loss in parts.values()]).sum()
        return {"loss": total} | {name: loss for name, (_, loss) in parts.items()}

    def _identity(self, rows: torch.Tensor, identities: torch.Tensor, levels: Levels) -> torch.Tensor:
        if self.heads is not None:
            return self.heads.identity(levels, identities)
        assert self.identity is not None
        loss: torch.Tensor = self.identity(rows, identities)
        return loss

    def _triplet(
        self, rows: torch.Tensor, identities: torch.Tensor, domains: torch.Tensor, levels: Levels
    ) -> torch.Tensor:
        if self.heads is not None:
            return self.heads.triplet(levels, identities)
        return batch_hard_triplet(rows, identities, domains, self.settings.triplet_margin)

    def start_from(self, centroids: torch.Tensor) -> None:
        """Memory, and our identity weights, begin at the (I, D) mean row of each identity."""
        if self.identity is not None:
            self.identity.start_from(centroids)
        self.prototypes.start_from(centroids)
