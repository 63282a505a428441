"""The heads of published recipes: features classified by a linear layer behind a batch-normalised neck, and triplets.

`cosine`, ours: one direction an identity on unit rows, within the domain (`trainers/losses/identity.py`).
`linear`, MUSE 4.1 after PCL-CLIP: the classical cross-entropy over everybody, of the projected feature.
`clip_reid`: of the last block's feature and of its projection; triplets of these two and of the block before.

Source: Li, Sun and Li, CLIP-ReID, AAAI 2023, 3.3 and 4.2 (weights: identity 0.25, triplet 1; smoothing 0.1); heads as
in github.com/Syliz517/CLIP-ReID: model/make_model_clipreid.py, loss/make_loss.py; neck: Luo et al., 2019, 3.5.
"""

from collections.abc import Sequence
from typing import Any

import torch
from torch import nn

from pipeline.errors import ConfigError
from trainers.losses.triplet import batch_hard_triplet

Levels = tuple[torch.Tensor, ...]
"""(N, width), (N, width), (N, projection): block before the last, last block, its projection; of any length."""
LEVELS = {"linear": ((2,), (2,)), "clip_reid": ((1, 2), (0, 1, 2))}
"""For each kind of heads the levels that are classified, and those that make triplets."""


def levels_of(network: nn.Module, pictures: torch.Tensor) -> Levels:
    """A network's features below the row that it gives at search.

    Raises:
        ConfigError: It shows none.
    """
    show = getattr(network, "levels", None)
    if show is None:
        raise ConfigError(
            "texts and published heads need a network that shows its levels", "take network clip_vit"
        )
    shown: Levels = show(pictures)
    return shown


class PublishedHeads(nn.Module):
    """Sums of losses over levels, as published.

        L_id = sum over the classified levels f of CE(W BN(f), y)       smoothed; W and BN without bias
        L_tri = sum over the levels of max(0, margin + farthest positive - nearest negative) of f as it is

    Args:
        kind: A key of `LEVELS`.
        widths: Of all levels.
        identities: Number of people; everybody stands against everybody, of whatever domain.
        smoothing: Of the target.
        margin: Of the triplets.
    """

    def __init__(
        self, kind: str, widths: Sequence[int], identities: int, smoothing: float, margin: float
    ) -> None:
        super().__init__()
        self._classified, self._compared = LEVELS[kind]
        self._smoothing, self._margin = smoothing, margin
        self.necks, self.classifiers = nn.ModuleList(), nn.ModuleList()
        for level in self._classified:
            neck = nn.BatchNorm1d(widths[level])
            neck.bias.requires_grad_(False)
            classifier = nn.Linear(widths[level], identities, bias=False)
            nn.init.normal_(classifier.weight, std=0.001)
            self.necks.append(neck)
            self.classifiers.append(classifier)

    def identity(self, levels: Levels, identities: torch.Tensor) -> torch.Tensor:
        """L_id of people (N,)."""
        total: Any = 0.0
        for level, neck, classifier in zip(self._classified, self.necks, self.classifiers, strict=True):
            logits = classifier(neck(levels[level]))
            total = total + nn.functional.cross_entropy(logits, identities, label_smoothing=self._smoothing)
        loss: torch.Tensor = total
        return loss

    def triplet(self, levels: Levels, identities: torch.Tensor) -> torch.Tensor:
        """L_tri of people (N,)."""
        one_domain = torch.zeros_like(identities)
        parts = [
            batch_hard_triplet(levels[level], identities, one_domain, self._margin)
            for level in self._compared
        ]
        return torch.stack(parts).sum()
