"""How alike two engines answer: the angle between vectors, the overlap of boxes."""

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from engines.decode import Boxes
from engines.manifest import Manifest
from engines.network import BoxNetwork, VectorNetwork, raw_rows
from engines.sessions.base import Session

MIN_SCORE = 0.3  # of the boxes that are compared

Said = NDArray[np.float32] | list[Boxes]
"""(N, D) one row a picture; of a detector, the boxes in each picture."""


def answers(manifest: Manifest, session: Session, pictures: Sequence[NDArray[np.uint8]]) -> Said:
    """What an engine says of BGR pictures: unit rows, boxes, or all numbers of its outputs, by its role.

    Raises:
        EngineError: Session and manifest do not fit, or the answer is not a number.
    """
    if manifest.role == "detector":
        return BoxNetwork(manifest, session, min_score=MIN_SCORE).find(pictures)
    if manifest.role == "embedder":
        return VectorNetwork(manifest, session).embed(pictures)
    return raw_rows(manifest, session, pictures)


def likeness(found: Said, wanted: Said) -> dict[str, float]:
    """`cosine`, the least over all pictures, and `cosine_mean`; of boxes, `agreement` and the number of `boxes`.

    What the reference says of every picture is taken out of both first: rows that share a large common direction are
    alike whatever becomes of the rest, and the rest is what tells pictures apart.
    """
    if isinstance(found, list) and isinstance(wanted, list):
        boxes = sum(len(picture.score) for picture in wanted)
        return {"boxes": boxes, "agreement": round(agreement(found, wanted), 5)}
    a, b = np.asarray(found), np.asarray(wanted)
    common = b.mean(axis=0) if len(b) > 1 else np.zeros_like(b[0])
    cosines = _cosines(a - common, b - common)
    return {"cosine": round(float(cosines.min()), 6), "cosine_mean": round(float(cosines.mean()), 6)}


def agreement(found: Sequence[Boxes], wanted: Sequence[Boxes]) -> float:
    """How alike two sets of boxes are, in [0, 1]: twice the overlap of pairs, by the number of all boxes.

    Pairs are made in each picture, of greatest overlap first; boxes without a partner count as no overlap, and no
    boxes at all agree.

    >>> box = Boxes(np.float32([[0, 0, 10, 10]]), np.float32([0.9]))
    >>> none = Boxes(np.zeros((0, 4), np.float32), np.zeros(0, np.float32))
    >>> agreement([box, box], [box, none])
    0.6666666666666666
    """
    overlap = sum(_paired_overlap(a.xyxy, b.xyxy) for a, b in zip(found, wanted, strict=True))
    boxes = sum(len(a.score) + len(b.score) for a, b in zip(found, wanted, strict=True))
    return 2 * overlap / boxes if boxes else 1.0


def _cosines(a: NDArray[np.float32], b: NDArray[np.float32]) -> NDArray[np.float32]:
    lengths = np.linalg.norm(a, axis=1) * np.linalg.norm(b, axis=1)
    cosines: NDArray[np.float32] = (a * b).sum(axis=1) / np.maximum(lengths, 1e-12)
    return cosines


def _paired_overlap(a: NDArray[np.float32], b: NDArray[np.float32]) -> float:
    table = _overlaps(a, b)
    total = 0.0
    while table.size and table.max() > 0:
        row, column = np.unravel_index(int(table.argmax()), table.shape)
        total += float(table[row, column])
        table[row, :] = table[:, column] = 0
    return total


def _overlaps(a: NDArray[np.float32], b: NDArray[np.float32]) -> NDArray[np.float32]:
    """(N, M) intersection over union of (N, 4) and (M, 4) boxes."""
    a, b = a[:, None], b[None]
    shared = np.maximum(np.minimum(a[..., 2:], b[..., 2:]) - np.maximum(a[..., :2], b[..., :2]), 0).prod(
        axis=-1
    )
    areas = [np.maximum(boxes[..., 2:] - boxes[..., :2], 0).prod(axis=-1) for boxes in (a, b)]
    table: NDArray[np.float32] = shared / np.maximum(areas[0] + areas[1] - shared, 1e-9)
    return table
