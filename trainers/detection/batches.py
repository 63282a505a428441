"""Batches of a detector's training: number `step` is the same whenever and wherever it is made."""

from typing import NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray

from trainers.detection.augment import Augmentation, augmented
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
        pictures = [self._picture(place, size, augmentation) for place in places]
        return Batch(np.stack([picture.image for picture in pictures]), self._labels(pictures))

    def _picture(self, place: int, size: tuple[int, int], augmentation: Augmentation) -> Picture:
        round_, at = divmod(place, len(self._store))
        order = np.random.default_rng([self._seed, 1, round_]).permutation(len(self._store))
        rng = np.random.default_rng([self._seed, 2, place])

        def another() -> Picture:
            return self._store[int(rng.integers(len(self._store)))]

        return augmented(self._store[int(order[at])], another, size, augmentation, rng)

    def _labels(self, pictures: list[Picture]) -> Labels:
        most = max(len(picture.boxes) for picture in pictures)
        boxes = np.zeros((len(pictures), most, 4), np.float32)
        wanted, there = np.zeros((2, len(pictures), most), bool)
        for row, picture in enumerate(pictures):
            count = len(picture.boxes)
            boxes[row, :count], there[row, :count] = picture.boxes, True
            tall = picture.boxes[:, 3] - picture.boxes[:, 1] >= self._least_px
            wanted[row, :count] = tall & (picture.visible >= self._least_visible)
        return Labels(*(torch.from_numpy(array) for array in (boxes, wanted, there & ~wanted)))
