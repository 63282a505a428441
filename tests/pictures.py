"""Drawn people: edges as clothes have them, any size, any shirt."""

import numpy as np
from numpy.typing import NDArray
from scipy.ndimage import gaussian_filter

RED, GREEN, BLUE = (40, 60, 200), (60, 180, 40), (200, 80, 40)


def person(height: int = 160, shirt: tuple[int, int, int] = RED) -> NDArray[np.uint8]:
    """Head, striped shirt, trousers and shoes before a wall; (height, height / 2, 3) BGR."""
    image = np.full((400, 200, 3), 150, np.uint8)
    image[20:80, 70:130] = (140, 170, 220)
    image[80:220, 40:160] = shirt
    image[100:220:40, 40:160] = (220, 220, 230)
    image[220:370, 60:95] = image[220:370, 105:140] = (90, 50, 30)
    image[370:390, 50:150] = 20
    rows = np.linspace(0, 399, height).round().astype(int)
    columns = np.linspace(0, 199, height // 2).round().astype(int)
    drawn: NDArray[np.uint8] = image[rows][:, columns]
    return drawn


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
