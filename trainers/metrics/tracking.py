"""How well tracks keep to people: HOTA and IDF1, worked out by the `trackers` library from MOT labels.

    HOTA = mean over IoU thresholds a = 0.05 ... 0.95 of sqrt(DetA(a) * AssA(a))
    DetA = TP / (TP + FN + FP);  AssA = mean over TP c of TPA(c) / (TPA(c) + FNA(c) + FPA(c))
    IDF1 = 2 IDTP / (2 IDTP + IDFP + IDFN), under the best one-to-one assignment of tracks to people, IoU >= 0.5

Source: Luiten et al., HOTA, IJCV 2021; Ristani et al., Performance Measures and a Data Set for Multi-Target,
Multi-Camera Tracking, 2016.
"""

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from pipeline.errors import InputError
from pipeline.follow.geometry import iou

Sights = Mapping[int, tuple[NDArray[np.int64], NDArray[np.float32]]]
"""By frame: (N,) ids and (N, 4) boxes, xyxy in pixels."""


@dataclass(frozen=True, slots=True)
class TrackingScores:
    """Scores in [0, 1]."""

    hota: float
    det_a: float
    ass_a: float
    idf1: float


def tracking_scores(truth: Sights, found: Sights) -> TrackingScores:
    """Compares tracks with labels on the labelled frames; frames without labels are not looked at.

    Raises:
        InputError: No labelled frame, or an id twice in a frame.
    """
    from trackers.eval import compute_hota_metrics, compute_identity_metrics

    if not any(len(ids) for ids, _ in truth.values()):
        raise InputError("no labelled person to compare tracks with")
    nobody = (np.zeros(0, np.int64), np.zeros((0, 4), np.float32))
    frames = [(truth[frame], found.get(frame, nobody)) for frame in sorted(truth)]
    people = _numbered([ids for (ids, _), _ in frames])
    tracks = _numbered([ids for _, (ids, _) in frames])
    overlaps = [iou(boxes, others).astype(np.float64) for (_, boxes), (_, others) in frames]
    hota = compute_hota_metrics(people, tracks, overlaps)
    identity = compute_identity_metrics(people, tracks, overlaps)
    return TrackingScores(hota["HOTA"], hota["DetA"], hota["AssA"], identity["IDF1"])


def _numbered(ids: list[NDArray[np.int64]]) -> list[NDArray[np.int64]]:
    """The same ids as 0, 1, 2, ..."""
    for here in ids:
        if len(np.unique(here)) < len(here):
            raise InputError(f"an id stands twice in one frame: {sorted(here.tolist())}")
    names = np.unique(np.concatenate(ids))
    return [np.searchsorted(names, here) for here in ids]
