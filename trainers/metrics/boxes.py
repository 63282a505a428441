"""How well boxes find people: average precision, and the recall that is left at a wanted precision."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from pipeline.follow.geometry import area, intersection

Floats = NDArray[np.float32]


class Truth(NamedTuple):
    """Everybody in one picture. boxes: (G, 4) xyxy; counts: (G,), the others may be found or not, as they like."""

    boxes: Floats
    counts: NDArray[np.bool_]


class Found(NamedTuple):
    """What a detector said of one picture. boxes: (D, 4) xyxy; score: (D,)."""

    boxes: Floats
    score: Floats


@dataclass(frozen=True, slots=True)
class BoxScores:
    """How well a detector did.

    Attributes:
        people: That count.
        ap: Area under the curve of precision over recall, precision made to fall: all points, in [0, 1].
        recall: The greatest at which precision is as wanted; 0 where it never is.
        cut: The score that gives it; above all scores where there is none.
        false_alarms: At that cut, for each picture.
    """

    people: int
    ap: float
    recall: float
    cut: float
    false_alarms: float


def box_scores(
    truths: Sequence[Truth], found: Sequence[Found], min_iou: float = 0.5, min_precision: float = 0.9
) -> BoxScores:
    """Scores over many pictures.

    In each, boxes are taken best first; one is right when it overlaps somebody who counts and is not yet found by
    `min_iou`. One that is not, but overlaps somebody who does not count, or has half of its area on them, is left out.

    Raises:
        ValueError: Not as many answers as pictures, or nobody counts.
    """
    marks = [_marks(truth, answer, min_iou) for truth, answer in zip(truths, found, strict=True)]
    people = sum(int(truth.counts.sum()) for truth in truths)
    if not people:
        raise ValueError("nobody is to be found in these pictures")
    score = np.concatenate([score for score, _ in marks])
    order = np.argsort(-score, kind="stable")
    score, right = score[order], np.concatenate([right for _, right in marks])[order]
    hits = np.cumsum(right)
    precision, recall = hits / np.arange(1, len(hits) + 1), hits / people
    last = np.append(score[1:] != score[:-1], True) if len(score) else np.zeros(0, bool)
    precision, recall, hits, score = precision[last], recall[last], hits[last], score[last]
    falling = np.maximum.accumulate(precision[::-1])[::-1]
    ap = float(np.sum(np.diff(recall, prepend=0) * falling))
    good = np.flatnonzero(precision >= min_precision)
    if not len(good):
        return BoxScores(people, ap, 0.0, float("inf"), 0.0)
    at = good[-1]
    wrong = hits[at] / precision[at] - hits[at]
    return BoxScores(people, ap, float(recall[at]), float(score[at]), float(wrong / len(truths)))


def _marks(truth: Truth, answer: Found, min_iou: float) -> tuple[Floats, NDArray[np.bool_]]:
    """Scores of the boxes that matter, and which of them are right."""
    order = np.argsort(-answer.score, kind="stable")
    boxes, score = answer.boxes[order], answer.score[order]
    shared, own = intersection(boxes, truth.boxes), area(boxes)[:, None]
    overlap = shared / np.maximum(own + area(truth.boxes)[None] - shared, 1e-9)
    excused = ((overlap >= min_iou) | (shared >= 0.5 * own)) & ~truth.counts
    free, right = truth.counts.copy(), np.zeros(len(boxes), bool)
    for row in range(len(boxes)):
        fits = np.where(free, overlap[row], 0)
        if len(fits) and fits.max() >= min_iou:
            free[fits.argmax()] = False
            right[row] = True
    matters = right | ~excused.any(axis=1)
    return score[matters], right[matters]
