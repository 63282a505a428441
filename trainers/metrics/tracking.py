"""How well tracks keep to people, from MOT labels: HOTA, IDF1 and CLEAR, as TrackEval counts them.

    HOTA = mean over IoU thresholds a = 0.05 ... 0.95 of sqrt(DetA(a) * AssA(a))
    DetA = TP / (TP + FN + FP);  AssA = mean over TP c of TPA(c) / (TPA(c) + FNA(c) + FPA(c))
    IDF1 = 2 IDTP / (2 IDTP + IDFP + IDFN), under the best one-to-one assignment of tracks to people, IoU >= 0.5
    MOTA = 1 - (FN + FP + switches) / people, matches going on from frame to frame where they can, IoU >= 0.5

Source: Luiten et al., HOTA, IJCV 2021; Ristani et al., Performance Measures and a Data Set for Multi-Target,
Multi-Camera Tracking, 2016; Bernardin and Stiefelhagen, Evaluating Multiple Object Tracking Performance, 2008.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.optimize import linear_sum_assignment

from pipeline.errors import InputError
from pipeline.follow.geometry import iou

Sights = Mapping[int, tuple[NDArray[np.int64], NDArray[Any]]]
"""By frame: (N,) ids and (N, 4) boxes, xyxy in pixels."""

F64 = NDArray[np.float64]
Ids = list[NDArray[np.int64]]

ALPHAS = np.arange(0.05, 0.99, 0.05)
SAME_IOU = 0.5  # of IDF1, MOTA, and of a box on somebody who is to be ignored
GOES_ON = 1000.0  # a match that goes on outweighs any overlap
EPSILON = np.finfo(np.float64).eps


@dataclass(frozen=True, slots=True)
class TrackingScores:
    """Scores in [0, 1], but for `mota`, which false boxes can make negative; `switches` is a count."""

    hota: float
    det_a: float
    ass_a: float
    idf1: float
    mota: float
    switches: int


@dataclass(frozen=True, slots=True)
class TrackingCounts:
    """What the scores of one clip, or of several together, are worked out from.

    Attributes:
        hits: (19,) matched boxes at each of `ALPHAS`.
        misses: (19,) people without a box.
        ghosts: (19,) boxes without a person.
        kept: (19,) sum over the matched boxes of how well their track keeps to their person.
        identity: IDTP, IDFN, IDFP.
        clear: True positives, misses, ghosts, switches.
    """

    hits: F64
    misses: F64
    ghosts: F64
    kept: F64
    identity: NDArray[np.int64]
    clear: NDArray[np.int64]

    def scores(self) -> TrackingScores:
        """The scores that follow."""
        det_a = self.hits / np.maximum(1.0, self.hits + self.misses + self.ghosts)
        ass_a = self.kept / np.maximum(1.0, self.hits)
        right, lost, false = (int(count) for count in self.identity)
        found, missed, ghosts, switches = (int(count) for count in self.clear)
        return TrackingScores(
            hota=float(np.sqrt(det_a * ass_a).mean()),
            det_a=float(det_a.mean()),
            ass_a=float(ass_a.mean()),
            idf1=right / max(1.0, right + (lost + false) / 2),
            mota=(found - ghosts - switches) / max(1, found + missed),
            switches=switches,
        )


@dataclass(frozen=True, slots=True)
class _Clip:
    """People and tracks, numbered from 0, frame by frame, and their overlaps (people, tracks)."""

    people: Ids
    tracks: Ids
    overlaps: list[F64]

    def totals(self) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
        """How often each person and each track is seen."""
        people, tracks = np.concatenate(self.people), np.concatenate(self.tracks)
        return np.bincount(people), np.bincount(tracks)

    def table(self) -> F64:
        """Zeros, a row for each person and a column for each track."""
        people, tracks = self.totals()
        return np.zeros((len(people), len(tracks)))


def tracking_scores(truth: Sights, found: Sights) -> TrackingScores:
    """Compares tracks with labels; see `tracking_counts`."""
    return tracking_counts(truth, found).scores()


def tracking_counts(truth: Sights, found: Sights) -> TrackingCounts:
    """Compares tracks with labels on the labelled frames; frames without labels are not looked at.

    Raises:
        InputError: No labelled frame, or an id twice in a frame.
    """
    if not any(len(ids) for ids, _ in truth.values()):
        raise InputError("no labelled person to compare tracks with")
    nobody = (np.zeros(0, np.int64), np.zeros((0, 4)))
    frames = [(truth[frame], found.get(frame, nobody)) for frame in sorted(truth)]
    clip = _Clip(
        _numbered([ids for (ids, _), _ in frames]),
        _numbered([ids for _, (ids, _) in frames]),
        [_overlap(boxes, others) for (_, boxes), (_, others) in frames],
    )
    return TrackingCounts(*_hota(clip), _identity(clip), _clear(clip))


def pooled(clips: Iterable[TrackingCounts]) -> TrackingCounts:
    """Of several clips together, as if they were one."""
    parts = list(clips)
    return TrackingCounts(
        *(
            np.sum([getattr(part, name) for part in parts], axis=0)
            for name in ("hits", "misses", "ghosts", "kept", "identity", "clear")
        )
    )


def without_ignored(truth: Sights, ignored: Sights, found: Sights) -> Sights:
    """The tracks' boxes without those that lie on somebody to be ignored rather than on a labelled person.

    As TrackEval deals with its distractor classes: labelled and ignored boxes compete for a frame's boxes, each of
    which goes to one of them at most, at an IoU of 0.5.
    """
    left = dict(found)
    for frame in ignored.keys() & found.keys():
        people = truth[frame][1] if frame in truth else np.zeros((0, 4))
        ids, boxes = found[frame]
        overlap = _overlap(np.concatenate([people, ignored[frame][1]]), boxes)
        rows, columns = linear_sum_assignment(np.where(overlap >= SAME_IOU - EPSILON, -overlap, 0))
        taken = columns[(rows >= len(people)) & (overlap[rows, columns] >= SAME_IOU - EPSILON)]
        left[frame] = np.delete(ids, taken), np.delete(boxes, taken, axis=0)
    return left


def _overlap(boxes: NDArray[Any], others: NDArray[Any]) -> F64:
    return np.asarray(iou(boxes.astype(np.float64), others.astype(np.float64)), np.float64)


def _numbered(ids: Ids) -> Ids:
    """The same ids as 0, 1, 2, ..."""
    for here in ids:
        if len(np.unique(here)) < len(here):
            raise InputError(f"an id stands twice in one frame: {sorted(here.tolist())}")
    names = np.unique(np.concatenate(ids))
    return [np.searchsorted(names, here) for here in ids]


def _hota(clip: _Clip) -> tuple[F64, F64, F64, F64]:
    people_seen, tracks_seen = clip.totals()
    affinity = _affinity(clip)
    hits, misses, ghosts, kept = (np.zeros(len(ALPHAS)) for _ in range(4))
    matches = np.zeros((len(ALPHAS), *affinity.shape))
    for people, tracks, overlap in zip(clip.people, clip.tracks, clip.overlaps, strict=True):
        rows, columns = linear_sum_assignment(-affinity[np.ix_(people, tracks)] * overlap)
        for k, alpha in enumerate(ALPHAS):
            good = overlap[rows, columns] >= alpha - EPSILON
            hits[k] += good.sum()
            misses[k] += len(people) - good.sum()
            ghosts[k] += len(tracks) - good.sum()
            matches[k, people[rows[good]], tracks[columns[good]]] += 1
    for k, together in enumerate(matches):
        either = np.maximum(1, people_seen[:, None] + tracks_seen[None] - together)
        kept[k] = (together * together / either).sum()
    return hits, misses, ghosts, kept


def _affinity(clip: _Clip) -> F64:
    """How much of the time each person and each track are the same, all frames together."""
    shared = clip.table()
    for people, tracks, overlap in zip(clip.people, clip.tracks, clip.overlaps, strict=True):
        either = overlap.sum(0)[None] + overlap.sum(1)[:, None] - overlap
        share = np.divide(overlap, either, out=np.zeros_like(overlap), where=either > EPSILON)
        shared[np.ix_(people, tracks)] += share
    people_seen, tracks_seen = clip.totals()
    ratio: F64 = shared / (people_seen[:, None] + tracks_seen[None] - shared)
    return ratio


def _identity(clip: _Clip) -> NDArray[np.int64]:
    """IDTP, IDFN, IDFP under the best assignment of tracks to people, each of either to one at most."""
    together = clip.table()
    for people, tracks, overlap in zip(clip.people, clip.tracks, clip.overlaps, strict=True):
        together[np.ix_(people, tracks)] += overlap >= SAME_IOU
    people_seen, tracks_seen = clip.totals()
    rows, columns = linear_sum_assignment(-together)
    right = int(together[rows, columns].sum())
    return np.array([right, people_seen.sum() - right, tracks_seen.sum() - right], np.int64)


def _clear(clip: _Clip) -> NDArray[np.int64]:
    """True positives, misses, ghosts, switches."""
    found = missed = ghosts = switches = 0
    last: dict[int, int] = {}  # by person: the track that had them last
    going_on: dict[int, int] = {}  # the same, of the last frame that had both people and tracks
    for people, tracks, overlap in zip(clip.people, clip.tracks, clip.overlaps, strict=True):
        if len(people) == 0 or len(tracks) == 0:
            missed, ghosts = missed + len(people), ghosts + len(tracks)
            continue
        continued = np.array([[going_on.get(int(p)) == int(t) for t in tracks] for p in people])
        score = np.where(overlap < SAME_IOU - EPSILON, 0, GOES_ON * continued + overlap)
        rows, columns = linear_sum_assignment(-score)
        good = score[rows, columns] > EPSILON
        going_on = dict(zip(people[rows[good]].tolist(), tracks[columns[good]].tolist(), strict=True))
        switches += sum(last.get(person, track) != track for person, track in going_on.items())
        last |= going_on
        found, missed = found + len(going_on), missed + len(people) - len(going_on)
        ghosts += len(tracks) - len(going_on)
    return np.array([found, missed, ghosts, switches], np.int64)
