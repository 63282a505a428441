"""Ordinary and small pictures are sharp, heavily blurred ones are not, whatever their size."""

import numpy as np
import pytest

from pipeline.follow.crops import sharpness
from tests.support.pictures import blurred, person

HEIGHTS = (40, 80, 160, 400, 1200)


@pytest.mark.parametrize("height", HEIGHTS)
def test_a_picture_in_focus_is_sharp_at_any_size(height: int) -> None:
    assert sharpness(person(height)) > 0.5


@pytest.mark.parametrize("height", HEIGHTS[1:])
def test_a_heavily_blurred_picture_is_not(height: int) -> None:
    assert sharpness(blurred(person(height), 0.04)) < 0.1


@pytest.mark.parametrize("height", HEIGHTS)
def test_more_blur_is_never_sharper(height: int) -> None:
    values = [sharpness(blurred(person(height), share)) for share in (0, 0.005, 0.01, 0.02, 0.04)]
    assert values == sorted(values, reverse=True)


def test_dim_light_is_not_blur() -> None:
    assert sharpness(person(200) // 3) == pytest.approx(sharpness(person(200)), abs=0.1)


def test_a_blank_wall_and_a_single_pixel_have_no_sharpness() -> None:
    assert sharpness(np.full((90, 40, 3), 99, np.uint8)) == 0
    assert sharpness(np.zeros((1, 1, 3), np.uint8)) == 0
