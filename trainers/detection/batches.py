"""Batches of a detector's training: number `step` is the same whenever and wherever it is made."""

from typing import NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray

from trainers.detection.augment import Augmentation, Sample, augmented
from trainers.detection.losses import Labels
from trainers.detection.picture_store import Picture, PictureStore


class Batch(NamedTuple):
    """Pictures (N, H, W, 3) BGR uint8, and who is in them."""

    images: NDArray[np.uint8]
    labels: Labels


class Batches:
    """Goes through all pictures in an order drawn anew for each round.

    Args:
        store: The pictures.
        count: Pictures of a batch.
        seed: Of everything that is drawn.
        least_visible: Share of a body below which somebody is ignored.
        least_px: Height in the input below which somebody is ignored.
    """

    def __init__(
        self,
        store: PictureStore,
        count: int,
        seed: int,
        least_visible: float,
        least_px: float,
    ) -> None:
        self._store, self._count = store, count
        self._seed, self._least_visible, self._least_px = seed, least_visible, least_px

    def batch(self, step: int, size: tuple[int, int], augmentation: Augmentation) -> Batch:
        """Batch number `step`, from 0.

        Args:
            step: Decides which pictures, and what happens to them.
            size: Height and width of the input.
            augmentation: What is done to them, and how often.
        """
        places = range(step * self._count, (step + 1) * self._count)
        samples = [self._sample(place, size, augmentation) for place in places]
        return Batch(np.stack([sample.image for sample in samples]), self._labels(samples))

    def _sample(self, place: int, size: tuple[int, int], augmentation: Augmentation) -> Sample:
        round_, at = divmod(place, len(self._store))
        order = np.random.default_rng([self._seed, 1, round_]).permutation(len(self._store))
        rng = np.random.default_rng([self._seed, 2, place])

        def another() -> Picture:
            return self._store[int(rng.integers(len(self._store)))]

        return augmented(self._store[int(order[at])], another, size, augmentation, rng)

    def _labels(self, samples: list[Sample]) -> Labels:
        most = max(len(sample.boxes) for sample in samples)
        boxes = np.zeros((len(samples), most, 4), np.float32)
        wanted, there = np.zeros((2, len(samples), most), bool)
        for row, sample in enumerate(samples):
            count = len(sample.boxes)
            boxes[row, :count], there[row, :count] = sample.boxes, True
            tall = sample.boxes[:, 3] - sample.boxes[:, 1] >= self._least_px
            wanted[row, :count] = tall & (sample.visible >= self._least_visible)
        return Labels(*(torch.from_numpy(array) for array in (boxes, wanted, there & ~wanted)))
