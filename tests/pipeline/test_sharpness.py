"""Ordinary and small pictures are sharp, heavily blurred ones are not, whatever their size."""

import numpy as np
import pytest
from numpy.typing import NDArray
from scipy.ndimage import gaussian_filter

from pipeline.crops import sharpness

HEIGHTS = (40, 80, 160, 400, 1200)


def person(height: int) -> NDArray[np.uint8]:
    """Head, striped shirt, trousers and shoes before a wall: edges as clothes have them."""
    image = np.full((400, 200, 3), 150, np.uint8)
    image[20:80, 70:130] = (140, 170, 220)
    image[80:220, 40:160] = (40, 60, 180)
    image[100:220:40, 40:160] = (220, 220, 230)
    image[220:370, 60:95] = image[220:370, 105:140] = (90, 50, 30)
    image[370:390, 50:150] = 20
    rows = np.linspace(0, 399, height).round().astype(int)
    columns = np.linspace(0, 199, height // 2).round().astype(int)
    return image[rows][:, columns]


def blurred(image: NDArray[np.uint8], fraction: float) -> NDArray[np.uint8]:
    sigma = fraction * len(image)
    soft = gaussian_filter(image.astype(np.float32), (sigma, sigma, 0))
    return np.asarray(soft.round(), np.uint8)


@pytest.mark.parametrize("height", HEIGHTS)
def test_a_picture_in_focus_is_sharp_at_any_size(height: int) -> None:
    assert sharpness(person(height)) > 0.5


@pytest.mark.parametrize("height", HEIGHTS[1:])
def test_a_heavily_blurred_picture_is_not(height: int) -> None:
    assert sharpness(blurred(person(height), 0.04)) < 0.1


@pytest.mark.parametrize("height", HEIGHTS)
def test_more_blur_is_never_sharper(height: int) -> None:
    values = [sharpness(blurred(person(height), fraction)) for fraction in (0, 0.005, 0.01, 0.02, 0.04)]
    assert values == sorted(values, reverse=True)


def test_dim_light_is_not_blur() -> None:
    assert sharpness(person(200) // 3) == pytest.approx(sharpness(person(200)), abs=0.1)


def test_a_blank_wall_and_a_single_pixel_have_no_sharpness() -> None:
    assert sharpness(np.full((90, 40, 3), 99, np.uint8)) == 0
    assert sharpness(np.zeros((1, 1, 3), np.uint8)) == 0
