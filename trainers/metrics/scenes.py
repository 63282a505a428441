"""Finding and cutting out a person in whole scenes: gIoU, cIoU, top-1 and mAP over galleries of scenes.

    gIoU = mean over images of |P & T| / |P | T|      cIoU = sum of |P & T| / sum of |P | T|

P is the mask given, T the true one. Where both are empty ("not here", rightly) the image counts 1 in gIoU and
nothing in cIoU.

Source: PS-ReID (papers), V-A; the empty case as in generalised referring segmentation.
"""

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from pipeline.errors import InputError
from pipeline.rerank import checks
from trainers.metrics.retrieval import places_of

GALLERY_SIZES = (50, 100, 500)


@dataclass(frozen=True, slots=True)
class MaskScores:
    """gIoU and cIoU in [0, 1], and the IoU of each image."""

    giou: float
    ciou: float
    iou: NDArray[np.float64]


def mask_scores(pairs: Iterable[tuple[NDArray[np.bool_], NDArray[np.bool_]]]) -> MaskScores:
    """From (mask given, true mask) of each image.

    Raises:
        InputError: Masks of one image differ in shape, or there is no image.
    """
    shared, covered = [], []
    for number, pair in enumerate(pairs):
        given, true = (np.asarray(mask, np.bool_) for mask in pair)
        if given.shape != true.shape:
            raise InputError(f"image {number}: mask {given.shape} against a true mask of {true.shape}")
        shared.append(np.count_nonzero(given & true))
        covered.append(np.count_nonzero(given | true))
    if not shared:
        raise InputError("no mask to measure")
    both, either = np.array(shared, np.float64), np.array(covered, np.float64)
    iou = np.where(either > 0, both / np.maximum(either, 1), 1.0)
    return MaskScores(float(iou.mean()), float(both.sum() / either.sum()) if either.any() else 1.0, iou)


@dataclass(frozen=True, slots=True)
class SceneScores:
    """top-1 = share of queries whose nearest scene holds the person; mAP over scenes; both nan without any."""

    top1: float
    mAP: float  # noqa: N815 - the name everybody uses


def scene_scores(distances: Any, present: Any, galleries: Any = None) -> SceneScores:
    """Scores of a ranking of scenes.

    Args:
        distances: (Q, S), smaller = more surely in that scene.
        present: (Q, S) bool: the person of the query is in the scene.
        galleries: (Q, K) scenes that each query is searched in (see `scene_galleries`); None = all.

    Raises:
        InputError: Shapes that do not fit.
    """
    table = checks.matrix("distances", distances, (None, None))
    here = np.asarray(present, np.bool_)
    if here.shape != table.shape:
        raise InputError(f"present has shape {here.shape}, distances {table.shape}")
    first, precision = [], []
    for i, row in enumerate(table):
        scenes = np.arange(len(row)) if galleries is None else np.sort(np.asarray(galleries[i]))
        matches = np.flatnonzero(here[i, scenes])
        if len(matches):
            places = places_of(matches, row[scenes], scenes[:0])
            first.append(places[0] == 1)
            precision.append(np.mean(np.arange(1, len(places) + 1) / places))
    if not first:
        return SceneScores(float("nan"), float("nan"))
    return SceneScores(float(np.mean(first)), float(np.mean(precision)))


def scene_galleries(present: Any, size: int, seed: int = 0) -> NDArray[np.int64]:
    """(Q, size) scenes for each query: those that hold its person, filled up with others at random.

    M2ReID uses sizes of 50, 100 and 500. When more than `size` scenes hold the person, some of them are drawn.

    Raises:
        InputError: Fewer scenes than `size`.
    """
    here = np.asarray(present, np.bool_)
    checks.at_least(1, size=size)
    if here.ndim != 2 or here.shape[1] < size:
        raise InputError(f"galleries of {size} scenes need as many: present has shape {here.shape}")
    rng = np.random.default_rng(seed)
    order = np.argsort(rng.random(here.shape) - here, axis=1)
    return np.sort(order[:, :size], axis=1)
