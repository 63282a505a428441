"""What is cut out of a frame, and how much it is worth, by hand."""

import numpy as np
import pytest
from numpy.typing import NDArray

from pipeline.follow.crops import NETWORK_SIZE, _brought_down, covered, cut, quality, sharpness, views

IMAGE = np.random.default_rng(5).integers(0, 255, (30, 20, 3), np.uint8)
ROOM = (400, 600)


def boxes(*rows: tuple[float, float, float, float]) -> NDArray[np.float32]:
    return np.array(rows, np.float32)


@pytest.mark.parametrize(
    ("box", "rows", "columns"),
    [
        ((5, 7, 9, 12), slice(7, 12), slice(5, 9)),
        ((5.6, 7.6, 8.2, 11.2), slice(7, 12), slice(5, 9)),  # every pixel that it touches
        ((-5, -6, 400, 300), slice(0, 30), slice(0, 20)),
        ((19.5, 29.5, 25, 35), slice(29, 30), slice(19, 20)),
        ((40, 50, 60, 70), slice(29, 30), slice(19, 20)),  # one pixel at least, also of what is outside
        ((-60, -50, -40, -30), slice(0, 1), slice(0, 1)),
        ((9, 12, 5, 7), slice(12, 13), slice(9, 10)),
    ],
)
def test_a_cut_is_what_the_box_touches(box: tuple[float, ...], rows: slice, columns: slice) -> None:
    found = cut(IMAGE, np.array(box, np.float32))
    np.testing.assert_array_equal(found, IMAGE[rows, columns])
    assert found.base is None, "a copy, so that the frame can go"


@pytest.mark.parametrize(
    ("others", "own", "value"),
    [
        ([], (100, 100, 180, 260), 1.0),
        ([], (100, 100, 180, 400), 1.0),  # taller is no better
        ([], (100, 100, 180, 180), 0.5),
        ([], (2, 100, 80, 260), 0.5),  # cut off at one border
        ([], (320, 100, 398, 260), 0.5),
        ([], (100, 438, 180, 598), 0.5),
        ([], (0, 0, 80, 160), 0.25),
        ([], (0, 0, 400, 600), 0.0625),
        ([], (3, 3, 396, 596), 1.0),
        ([], (100, -160, 180, 160), 0.5),  # only what is in the frame counts
        ([(100, 180, 180, 300)], (100, 100, 180, 260), 0.5),  # the lower half behind somebody
        ([(100, 90, 180, 250)], (100, 100, 180, 260), 1.0),  # who stands farther back covers nothing
        ([(90, 90, 190, 300), (95, 95, 185, 310)], (100, 100, 180, 260), 0.0),
    ],
)
def test_a_view_is_height_less_what_is_covered_and_cut_off(
    others: list[tuple[float, float, float, float]], own: tuple[float, float, float, float], value: float
) -> None:
    people = boxes(*others, own)
    assert views(ROOM, people, covered(people))[-1] == pytest.approx(value)


def test_quality_is_the_view_and_the_sharpness_of_that_person() -> None:
    image = np.full((600, 400, 3), 128, np.uint8)
    image[100:260, 100:180] = np.random.default_rng(1).integers(0, 255, (160, 80, 3), np.uint8)
    people = boxes((100, 100, 180, 260), (200, 100, 280, 260), (140, 100, 220, 180))
    shown = views(ROOM, people, covered(people)).tolist()
    by_hand = [shown[row] * sharpness(cut(image, people[row])) ** 0.5 for row in range(3)]
    assert [quality(image, people[row], shown[row]) for row in range(3)] == pytest.approx(by_hand)
    assert by_hand[0] > by_hand[2] > by_hand[1] == 0


def test_three_pixels_are_enough_for_sharpness() -> None:
    image = np.zeros((3, 3, 3), np.uint8)
    assert sharpness(image) == 0
    image[1, 1] = 255
    image[0, 0] = 90
    assert sharpness(np.tile(image, (1, 2, 1))) > 0.5
    assert sharpness(image[:2]) == 0


@pytest.mark.parametrize(
    ("shape", "smaller"),
    [
        (NETWORK_SIZE, NETWORK_SIZE),
        ((256, 128), (128, 64)),
        ((257, 129), (128, 64)),  # what is left over at the edge goes
        ((128, 640), (128, 640)),  # by the side that has less to spare
        ((1280, 64), (1280, 64)),
        ((512, 200), (170, 66)),
        ((2200, 1100), (129, 64)),  # sums of more than 16 bits
        ((2, 1), (2, 1)),
    ],
)
def test_large_pictures_are_brought_down_by_averages_of_blocks(
    shape: tuple[int, int], smaller: tuple[int, int]
) -> None:
    grey = np.random.default_rng(2).integers(200, 256, shape, np.uint8)
    block = shape[0] // smaller[0]
    by_hand = [
        [grey[y * block : (y + 1) * block, x * block : (x + 1) * block].mean() for x in range(smaller[1])]
        for y in range(smaller[0])
    ]
    np.testing.assert_allclose(_brought_down(grey), by_hand, atol=1e-5)
