"""Batches of hard pairs, drawn from a seed and the number of the step."""

from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import NDArray
from pydantic import Field

from pipeline.errors import InputError
from pipeline.settings import Settings
from trainers.verification.mining import NOBODY, HardPairs


class BatchSettings(Settings):
    """What a step sees: anchors, and some of each one's hard pairs."""

    anchors: int = Field(default=1, ge=1, le=10_000, description="Images that pairs are made with.")
    positives: int = Field(default=1, ge=1, le=1000, description="Pairs of one person, of each anchor.")
    negatives: int = Field(default=1, ge=1, le=1000, description="Pairs of two people, of each anchor.")
    swap: float = Field(
        default=0.5, ge=0, le=1, description="Share of the pairs that are shown the other way round."
    )
    meet: Literal["anchor", "group"] = Field(
        default="anchor",
        description="An anchor's pictures are paired with it alone; or all of them with each other.",
    )


@dataclass(frozen=True, slots=True)
class PairBatch:
    """B pairs of P pictures.

    Attributes:
        rows: (P,) which pictures, each once.
        first: (B,) place in `rows` of the picture that is shown first.
        second: (B,) place of the other one.
        same: (B,) whether they show one person.
    """

    rows: NDArray[np.int64]
    first: NDArray[np.int64]
    second: NDArray[np.int64]
    same: NDArray[np.bool_]


class PairBatches:
    """Draws batches; what is drawn follows from the seed and the number alone.

    Args:
        pairs: What is learned.
        identities: (N,) whom the pictures show.
        settings: How many.
        seed: Equal seeds draw equal batches.

    Raises:
        InputError: Fewer anchors than a batch wants.
    """

    def __init__(
        self, pairs: HardPairs, identities: NDArray[np.int64], settings: BatchSettings, seed: int
    ) -> None:
        self._pairs, self._identities, self._settings, self._seed = pairs, identities, settings, seed
        self._anchors = pairs.anchors
        if len(self._anchors) < settings.anchors:
            raise InputError(
                f"a batch wants {settings.anchors} anchors, and {len(self._anchors)} images have hard pairs",
                "make the batch smaller, or give more data",
            )

    def batch(self, number: int) -> PairBatch:
        """Batch number `number`."""
        settings, rng = self._settings, np.random.default_rng([self._seed, number])
        anchors = rng.choice(self._anchors, settings.anchors, replace=False)
        groups = np.stack([self._group(anchor, rng) for anchor in anchors])
        one, other = np.triu_indices(groups.shape[1], 1)
        if settings.meet == "anchor":
            one, other = one[one == 0], other[one == 0]
        one, other = groups[:, one].ravel(), groups[:, other].ravel()
        one, other = one[one != other], other[one != other]  # few positives stand in a group more than once
        same = self._identities[one] == self._identities[other]
        turned = rng.random(len(one)) < settings.swap
        first, second = np.where(turned, other, one), np.where(turned, one, other)
        rows, places = np.unique(np.stack([first, second]), return_inverse=True)
        return PairBatch(rows, places[0], places[1], same)

    def _group(self, anchor: np.int64, rng: np.random.Generator) -> NDArray[np.int64]:
        """An anchor, and some of its positives and negatives."""
        pairs, settings = self._pairs, self._settings
        kinds = ((pairs.positives, settings.positives), (pairs.negatives, settings.negatives))
        return np.concatenate([[anchor], *(_some(lists[anchor], count, rng) for lists, count in kinds)])


def _some(listed: NDArray[np.int64], count: int, rng: np.random.Generator) -> NDArray[np.int64]:
    known = listed[listed != NOBODY]
    return rng.choice(known, count, replace=len(known) < count)
