"""Boxes: area, overlap, clipping; pure functions on xyxy arrays."""

import numpy as np
from numpy.typing import NDArray

Box = tuple[float, float, float, float]


def area(boxes: NDArray[np.float32]) -> NDArray[np.float32]:
    """Areas (N,) of (N, 4) boxes; an inverted box has none.

    >>> area(np.array([[0, 0, 4, 3], [5, 5, 1, 9]], np.float32)).tolist()
    [12.0, 0.0]
    """
    wide_high = np.clip(boxes[:, 2:] - boxes[:, :2], 0, None)
    product: NDArray[np.float32] = wide_high[:, 0] * wide_high[:, 1]
    return product


def intersection(a: NDArray[np.float32], b: NDArray[np.float32]) -> NDArray[np.float32]:
    """Shared area (N, M) of each of (N, 4) with each of (M, 4)."""
    low = np.maximum(a[:, None, :2], b[None, :, :2])
    high = np.minimum(a[:, None, 2:], b[None, :, 2:])
    wide_high = np.clip(high - low, 0, None)
    product: NDArray[np.float32] = wide_high[..., 0] * wide_high[..., 1]
    return product


def iou(a: NDArray[np.float32], b: NDArray[np.float32]) -> NDArray[np.float32]:
    """Intersection over union, (N, M) in [0, 1].

    >>> a, b = np.float32([[0, 0, 2, 2]]), np.float32([[1, 0, 3, 2], [4, 4, 5, 5]])
    >>> iou(a, b).round(2).tolist()
    [[0.33000001311302185, 0.0]]
    """
    shared = intersection(a, b)
    union = area(a)[:, None] + area(b)[None, :] - shared
    ratio: NDArray[np.float32] = shared / np.maximum(union, np.float32(1e-9))
    return ratio


def shared(a: NDArray[np.float32], b: NDArray[np.float32]) -> NDArray[np.float32]:
    """Share (N, M) of the smaller of two boxes that lies in the other, in [0, 1].

    >>> shared(np.float32([[0, 0, 4, 4]]), np.float32([[0, 3, 4, 5], [9, 9, 10, 10]])).tolist()
    [[0.5, 0.0]]
    """
    smaller = np.minimum(area(a)[:, None], area(b)[None])
    return (intersection(a, b) / np.maximum(smaller, np.float32(1e-6))).astype(np.float32)


def clip(boxes: NDArray[np.float32], size: tuple[int, int]) -> NDArray[np.float32]:
    """Boxes cut to a picture of `size` (width, height)."""
    limit = np.array([size[0], size[1], size[0], size[1]], np.float32)
    clipped: NDArray[np.float32] = np.clip(boxes, 0, limit).astype(np.float32)
    return clipped


def inside_any(points: NDArray[np.float32], polygons: list[NDArray[np.float32]]) -> NDArray[np.bool_]:
    """Which of (N, 2) points lie inside at least one polygon of (K, 2) corners (even-odd rule).

    >>> square = np.array([[0, 0], [1, 0], [1, 1], [0, 1]], np.float32)
    >>> inside_any(np.array([[0.5, 0.5], [2, 0.5]], np.float32), [square]).tolist()
    [True, False]
    """
    result = np.zeros(len(points), bool)
    x, y = points[:, 0], points[:, 1]
    for polygon in polygons:
        odd = np.zeros(len(points), bool)
        for (x0, y0), (x1, y1) in zip(polygon, np.roll(polygon, -1, axis=0), strict=True):
            crosses = (y0 > y) != (y1 > y)
            span = (y1 - y0) if y1 != y0 else np.float32(1)
            odd ^= crosses & (x < (x1 - x0) * (y - y0) / span + x0)
        result |= odd
    return result
