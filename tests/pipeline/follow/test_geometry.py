"""Boxes and polygons against slower definitions."""

from collections.abc import Sequence
from itertools import pairwise

import numpy as np
import pytest
from numpy.typing import NDArray

from pipeline.follow.geometry import area, clip, inside_any, intersection, iou

Array = NDArray[np.float32]


def floats(*rows: Sequence[float]) -> Array:
    return np.array(rows, np.float32)


def overlap(a: list[float], b: list[float]) -> float:
    """Counted cell by cell on a grid of whole numbers."""
    cells = [
        {(x, y) for x in range(int(x0), int(x1)) for y in range(int(y0), int(y1))}
        for x0, y0, x1, y1 in (a, b)
    ]
    return len(cells[0] & cells[1])


@pytest.fixture
def boxes() -> Array:
    rng = np.random.default_rng(3)
    low = rng.integers(0, 12, (12, 2))
    return np.concatenate([low, low + rng.integers(0, 9, (12, 2))], axis=1).astype(np.float32)


def test_overlaps_are_those_of_counted_cells(boxes: Array) -> None:
    a, b = boxes[:7], boxes[5:]
    shared = np.array([[overlap(p, q) for q in b.tolist()] for p in a.tolist()])
    own = [[overlap(p, p) for p in part.tolist()] for part in (a, b)]
    union = np.array(own[0])[:, None] + np.array(own[1])[None] - shared
    np.testing.assert_array_equal(intersection(a, b), shared)
    np.testing.assert_array_equal(area(a), own[0])
    np.testing.assert_allclose(iou(a, b), shared / np.maximum(union, 1e-9), atol=1e-6)


def test_nobody_overlaps_nobody() -> None:
    none = np.zeros((0, 4), np.float32)
    assert iou(none, floats([0, 0, 1, 1])).shape == (0, 1)
    assert area(none).shape == (0,)


def test_areas_below_one_pixel_count_and_inverted_boxes_have_none() -> None:
    assert area(floats([0, 0, 0.5, 4], [5, 5, 1, 9], [5, 5, 9, 1])).tolist() == [2, 0, 0]


def test_boxes_are_clipped_to_width_and_height() -> None:
    box = floats([-5, -6, 400, 300])
    np.testing.assert_array_equal(clip(box, (320, 200)), [[0, 0, 320, 200]])
    np.testing.assert_array_equal(box, [[-5, -6, 400, 300]])


def turns_around(point: tuple[float, float], corners: Array) -> bool:
    """Winding: the angles under which the edges are seen add up to a whole turn, or to nothing."""
    directions = np.arctan2(corners[:, 1] - point[1], corners[:, 0] - point[0])
    angles = [(q - p + np.pi) % (2 * np.pi) - np.pi for p, q in pairwise([*directions, directions[0]])]
    return bool(abs(sum(angles)) > np.pi)


@pytest.mark.parametrize(
    "corners",
    [
        [(0.1, 0.3), (0.9, 0.3), (0.9, 0.9), (0.1, 0.9)],
        [(0.5, 0.05), (0.95, 0.9), (0.05, 0.6)],
        [(0.1, 0.1), (0.9, 0.1), (0.9, 0.9), (0.5, 0.4), (0.1, 0.9)],  # not convex
        [(0.1, 0.9), (0.5, 0.4), (0.9, 0.9), (0.9, 0.1), (0.1, 0.1)],  # the other way round
    ],
)
def test_points_are_inside_where_the_polygon_turns_around_them(corners: list[tuple[float, float]]) -> None:
    polygon = np.array(corners, np.float32)
    points = np.random.default_rng(1).random((400, 2)).astype(np.float32)
    expected = [turns_around((float(x), float(y)), polygon) for x, y in points]
    assert inside_any(points, [polygon]).tolist() == expected
    assert 0 < sum(expected) < 400


def test_one_of_several_polygons_is_enough() -> None:
    left = floats([0, 0], [0.4, 0], [0.4, 1], [0, 1])
    right = left + floats([0.6, 0])
    points = floats([0.2, 0.5], [0.5, 0.5], [0.8, 0.5])
    assert inside_any(points, [left, right]).tolist() == [True, False, True]
    assert inside_any(points, []).tolist() == [False] * 3
