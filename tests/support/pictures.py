"""What becomes of drawn people: out of focus, or side by side in a hall."""

import numpy as np
from numpy.typing import NDArray
from scipy.ndimage import gaussian_filter

from pipeline.testing.drawing import BLUE, GREEN, RED, person

__all__ = ["BLUE", "GREEN", "RED", "blurred", "person", "scene"]


def blurred(image: NDArray[np.uint8], share: float) -> NDArray[np.uint8]:
    """Out of focus by a Gaussian of `share` of the height."""
    sigma = share * len(image)
    soft = gaussian_filter(image.astype(np.float32), (sigma, sigma, 0))
    result: NDArray[np.uint8] = soft.round().astype(np.uint8)
    return result


def scene(*people: NDArray[np.uint8], size: tuple[int, int] = (480, 320)) -> NDArray[np.uint8]:
    """People side by side in a dark hall of `size` (width, height), each at 20 px from the one before and the top."""
    image = np.zeros((size[1], size[0], 3), np.uint8)
    left = 20
    for drawn in people:
        height, width = drawn.shape[:2]
        image[20 : 20 + height, left : left + width] = drawn
        left += width + 20
    return image
