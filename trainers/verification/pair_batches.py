"""Batches of hard pairs, drawn from a seed and the number of the step."""

from dataclasses import dataclass

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
        settings: How many.
        seed: Equal seeds draw equal batches.

    Raises:
        InputError: Fewer anchors than a batch wants.
    """

    def __init__(self, pairs: HardPairs, settings: BatchSettings, seed: int) -> None:
        self._pairs, self._settings, self._seed = pairs, settings, seed
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
        kinds = ((self._pairs.positives, settings.positives), (self._pairs.negatives, settings.negatives))
        others = [_some(lists[anchor], count, rng) for anchor in anchors for lists, count in kinds]
        one = np.repeat(anchors, settings.positives + settings.negatives)
        other = np.concatenate(others)
        same = np.tile(np.repeat([True, False], [settings.positives, settings.negatives]), len(anchors))
        turned = rng.random(len(one)) < settings.swap
        first, second = np.where(turned, other, one), np.where(turned, one, other)
        rows, places = np.unique(np.stack([first, second]), return_inverse=True)
        return PairBatch(rows, places[0], places[1], same)


def _some(listed: NDArray[np.int64], count: int, rng: np.random.Generator) -> NDArray[np.int64]:
    known = listed[listed != NOBODY]
    return rng.choice(known, count, replace=len(known) < count)
