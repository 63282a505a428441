"""Drawn people: edges as clothes have them, any size, any shirt."""

import numpy as np
from numpy.typing import NDArray

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
