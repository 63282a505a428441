"""How right the alerts are: every hit right or wrong, every appearance found or missed.

- An *appearance* is one stay of a person in a stream.
- A hit is *right* when its identity's person appears in that stream during the hit's span, and `best.box` has
  IoU >= 0.3 with that person's labelled box nearest in time, at most 0.5 s away. A hit on anything else is
  *wrong*.
- *Missed* is an enrolled person's appearance without a right hit; a hit whose span covers two appearances of
  its person finds both.
- Each hit counts once, by its last revision.
"""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from itertools import groupby

import numpy as np
from numpy.typing import NDArray

from pipeline.follow.geometry import Box, iou

MIN_IOU = 0.3
NEAREST_LABEL_S = 0.5
DAY_S = 86400.0
_ROUNDING_S = 1e-6
_ROUNDING_IOU = 1e-6


@dataclass(frozen=True, slots=True)
class PersonLabels:
    """Where one person is in one stream.

    Attributes:
        times_s: (N,) ascending, the stream's own time.
        boxes: (N, 4) float32 xyxy, source pixels.
    """

    times_s: NDArray[np.float64]
    boxes: NDArray[np.float32]


@dataclass(frozen=True, slots=True)
class Appearance:
    """One stay of a person in a stream, both ends included."""

    stream_id: str
    person_id: str
    start_s: float
    end_s: float


@dataclass(frozen=True, slots=True)
class StreamTruth:
    """What really happened in one stream that lasted `seconds`; labels by person id."""

    stream_id: str
    seconds: float
    appearances: tuple[Appearance, ...]
    labels: Mapping[str, PersonLabels]


@dataclass(frozen=True, slots=True)
class HitRevision:
    """What is needed of one event of a hit; times in the stream's own seconds, box xyxy in source pixels."""

    hit_id: str
    revision: int
    stream_id: str
    identity_id: str
    first_pts_s: float
    last_pts_s: float
    decided_pts_s: float
    best_pts_s: float
    best_box: Box


@dataclass(frozen=True, slots=True)
class JudgedHit:
    """A hit by its last revision.

    Attributes:
        hit: The last revision.
        right: Whether it shows its identity's person.
        opened_pts_s: `decided_pts_s` of its first revision.
        overlap: IoU with the person's nearest label in [0, 1]; None when there is none within 0.5 s.
        found: The appearances it found, empty when wrong.
    """

    hit: HitRevision
    right: bool
    opened_pts_s: float
    overlap: float | None
    found: tuple[Appearance, ...] = ()


@dataclass(frozen=True, slots=True)
class JudgedAppearance:
    """An enrolled person's appearance; `first_hit_s` counts from its start, None = missed."""

    appearance: Appearance
    first_hit_s: float | None

    @property
    def missed(self) -> bool:
        """No right hit."""
        return self.first_hit_s is None


@dataclass(frozen=True, slots=True)
class AlertScores:
    """All hits and all appearances of enrolled people, judged; None where there is nothing to divide by."""

    hits: tuple[JudgedHit, ...]
    appearances: tuple[JudgedAppearance, ...]
    stream_seconds: float

    @property
    def right(self) -> int:
        """Right hits."""
        return sum(judged.right for judged in self.hits)

    @property
    def wrong(self) -> int:
        """Wrong hits."""
        return len(self.hits) - self.right

    @property
    def missed(self) -> int:
        """Appearances of enrolled people without a right hit."""
        return sum(judged.missed for judged in self.appearances)

    @property
    def precision(self) -> float | None:
        """Right hits / hits."""
        return self.right / len(self.hits) if self.hits else None

    @property
    def recall(self) -> float | None:
        """Appearances of enrolled people with a right hit / all of them."""
        total = len(self.appearances)
        return (total - self.missed) / total if total else None

    @property
    def false_alarms_per_camera_day(self) -> float | None:
        """Wrong hits / (stream seconds / 86400)."""
        return self.wrong * DAY_S / self.stream_seconds if self.stream_seconds > 0 else None

    def time_to_first_hit_s(self, quantile: float) -> float | None:
        """Quantile in [0, 1] over the appearances that were found, linear between neighbours."""
        waits = [judged.first_hit_s for judged in self.appearances if judged.first_hit_s is not None]
        return float(np.quantile(waits, quantile)) if waits else None


def score_alerts(
    revisions: Sequence[HitRevision], truth: Sequence[StreamTruth], enrolled: Collection[str]
) -> AlertScores:
    """Judges hits against the truth.

    Args:
        revisions: Events of hits in any order; repeats do no harm.
        truth: The streams that were watched; in any other stream nobody appears.
        enrolled: Person ids on the watchlist; only their appearances can be missed.
    """
    streams = {stream.stream_id: stream for stream in truth}
    by_hit = groupby(sorted(revisions, key=_hit_then_revision), key=lambda revision: revision.hit_id)
    hits = tuple(judge_hit(list(group), streams) for _, group in by_hit)
    appearances = tuple(
        JudgedAppearance(appearance, _first_hit_s(appearance, hits))
        for stream in truth
        for appearance in stream.appearances
        if appearance.person_id in enrolled
    )
    return AlertScores(hits, appearances, sum(stream.seconds for stream in truth))


def judge_hit(revisions: Sequence[HitRevision], streams: Mapping[str, StreamTruth]) -> JudgedHit:
    """Judges one hit; `revisions` are all of it that is known, ascending, at least one."""
    opened_pts_s, last = revisions[0].decided_pts_s, revisions[-1]
    stream = streams.get(last.stream_id)
    labels = stream.labels.get(last.identity_id) if stream else None
    if stream is None or labels is None:
        return JudgedHit(last, False, opened_pts_s, None)
    overlap = overlap_with_nearest(last.best_box, last.best_pts_s, labels)
    present = tuple(
        appearance
        for appearance in stream.appearances
        if appearance.person_id == last.identity_id and _during(last, appearance)
    )
    right = bool(present) and overlap is not None and overlap >= MIN_IOU - _ROUNDING_IOU
    return JudgedHit(last, right, opened_pts_s, overlap, present if right else ())


def overlap_with_nearest(box: Box, pts_s: float, labels: PersonLabels) -> float | None:
    """IoU of a box with the label nearest in time, the earlier of two; None when none is within 0.5 s.

    >>> labels = PersonLabels(np.array([1.0, 2.0]), np.float32([[0, 0, 2, 2], [4, 0, 6, 2]]))
    >>> overlap_with_nearest((4, 0, 6, 2), 1.9, labels), overlap_with_nearest((4, 0, 6, 2), 2.6, labels)
    (1.0, None)
    """
    if not len(labels.times_s):
        return None
    away_s = np.abs(labels.times_s - pts_s).round(6)
    nearest = int(away_s.argmin())
    if away_s[nearest] > NEAREST_LABEL_S:
        return None
    return float(iou(np.array([box], np.float32), labels.boxes[nearest : nearest + 1])[0, 0])


def _hit_then_revision(revision: HitRevision) -> tuple[str, int]:
    return revision.hit_id, revision.revision


def _during(hit: HitRevision, appearance: Appearance) -> bool:
    return (
        hit.first_pts_s <= appearance.end_s + _ROUNDING_S
        and hit.last_pts_s >= appearance.start_s - _ROUNDING_S
    )


def _first_hit_s(appearance: Appearance, hits: Sequence[JudgedHit]) -> float | None:
    opened = [judged.opened_pts_s for judged in hits if appearance in judged.found]
    return min(opened) - appearance.start_s if opened else None
