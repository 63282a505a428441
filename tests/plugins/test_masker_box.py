import numpy as np
import pytest

from pipeline.testing.contracts.pictures import pixels
from plugins.masker_box import box_mask


def drawn(box: tuple[float, float, float, float], size: tuple[int, int]) -> np.ndarray:
    """The pixels whose centre lies in the box; edges at half pixels are left out of the cases."""
    x, y = np.arange(size[0]) + 0.5, np.arange(size[1]) + 0.5
    return ((y > box[1]) & (y < box[3]))[:, None] & ((x > box[0]) & (x < box[2]))[None]


@pytest.mark.parametrize(
    "box",
    [
        (3, 2, 7, 9),  # in the middle
        (0, 0, 4, 4),  # starts with a one
        (6, 5, 12, 10),  # ends with a one
        (0, 0, 12, 10),  # all
        (4, 0, 6, 10),  # whole columns
        (0, 3, 12, 5),  # whole rows
        (5, 5, 6, 6),  # one pixel
        (-3.2, -8, 2.8, 4.1),  # over the corner
        (9.7, 8.2, 99, 99),
        (2.4, 2.6, 5.3, 6.7),
    ],
)
def test_the_mask_is_the_box(box: tuple[float, float, float, float]) -> None:
    mask = box_mask(box, (12, 10))
    assert mask is not None
    assert mask.size == (10, 12)
    np.testing.assert_array_equal(pixels(mask), drawn(box, (12, 10)))


@pytest.mark.parametrize(
    "box", [(20, 20, 30, 30), (-9, 2, -1, 8), (5, 5, 5, 9), (7, 2, 3, 9), (5, 5, 5.2, 9)]
)
def test_a_box_without_a_pixel_has_no_mask(box: tuple[float, float, float, float]) -> None:
    assert box_mask(box, (12, 10)) is None
