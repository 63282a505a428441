"""COCO run lengths drawn pixel by pixel."""

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray


def decode(counts: Sequence[int], size: tuple[int, int]) -> NDArray[np.bool_]:
    """The mask (height, width): runs of off and on in turn, down the first column, then the second..."""
    pixels: list[bool] = []
    for turn, count in enumerate(counts):
        pixels += [turn % 2 == 1] * count
    height, width = size
    assert len(pixels) == height * width
    return np.array(pixels, bool).reshape(width, height).T
