"""How right the alerts are: every hit right or wrong, every appearance found or missed.

- An *appearance* is one stay of a person in a stream.
- A picture of a hit is *right* when `best.box` has IoU >= 0.3 with its person's labelled box nearest in time, at most
  0.5 s away, and no other labelled person's box there has a larger one. It is *ignored* when a box that is marked to be
  ignored fits better than any person's. Else it is *wrong*.
- A hit is judged by the picture of every revision whose best picture changed. One wrong picture, or no appearance of
  its person during its span, makes it *wrong*; it is *right* when a picture is, and *ignored* when all are.
- A hit that was retracted within 2 s of its opening is *retracted*, later it is wrong; it finds nothing.
- *Missed* is an enrolled person's appearance without a right hit; a hit whose span covers two appearances of
  its person finds both.
- Each hit counts once.
"""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum
from itertools import groupby

import numpy as np
from numpy.typing import NDArray

from pipeline.follow.geometry import Box, iou

MIN_IOU = 0.3
NEAREST_LABEL_S = 0.5
RETRACTED_WITHIN_S = 2.0
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


NOBODY = PersonLabels(np.empty(0), np.empty((0, 4), np.float32))


@dataclass(frozen=True, slots=True)
class Appearance:
    """One stay of a person in a stream, both ends included."""

    stream_id: str
    person_id: str
    start_s: float
    end_s: float


@dataclass(frozen=True, slots=True)
class StreamTruth:
    """What really happened in one stream that lasted `seconds`.

    Attributes:
        labels: By person id.
        ignored: Boxes that are neither right nor wrong, of whomever; several may be of one time.
    """

    stream_id: str
    seconds: float
    appearances: tuple[Appearance, ...]
    labels: Mapping[str, PersonLabels]
    ignored: PersonLabels = NOBODY


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
    retracted: bool = False


class Judgement(StrEnum):
    """What a hit is."""

    RIGHT = "right"
    WRONG = "wrong"
    RETRACTED = "retracted"
    IGNORED = "ignored"


@dataclass(frozen=True, slots=True)
class JudgedHit:
    """A hit, judged by all of its revisions.

    Attributes:
        hit: The revision that is shown for it: the first whose picture is wrong, else the last.
        judgement: What it is.
        opened_pts_s: `decided_pts_s` of its first revision.
        overlap: IoU of that picture with the person's nearest label in [0, 1]; None when there is none within 0.5 s.
        found: The appearances it found, empty unless it is right.
    """

    hit: HitRevision
    judgement: Judgement
    opened_pts_s: float
    overlap: float | None
    found: tuple[Appearance, ...] = ()

    @property
    def right(self) -> bool:
        """Whether it shows its identity's person, and nobody else at any time."""
        return self.judgement is Judgement.RIGHT

    @property
    def wrong(self) -> bool:
        """Whether it shows somebody or something else."""
        return self.judgement is Judgement.WRONG


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

    def count(self, judgement: Judgement) -> int:
        """Hits that are this."""
        return sum(judged.judgement is judgement for judged in self.hits)

    @property
    def right(self) -> int:
        """Right hits."""
        return self.count(Judgement.RIGHT)

    @property
    def wrong(self) -> int:
        """Wrong hits."""
        return self.count(Judgement.WRONG)

    @property
    def retracted(self) -> int:
        """Hits taken back at once."""
        return self.count(Judgement.RETRACTED)

    @property
    def ignored(self) -> int:
        """Hits on what was marked to be ignored."""
        return self.count(Judgement.IGNORED)

    @property
    def missed(self) -> int:
        """Appearances of enrolled people without a right hit."""
        return sum(judged.missed for judged in self.appearances)

    @property
    def precision(self) -> float | None:
        """Right hits / (right + wrong)."""
        judged = self.right + self.wrong
        return self.right / judged if judged else None

    @property
    def recall(self) -> float | None:
        """Appearances of enrolled people with a right hit / all of them."""
        total = len(self.appearances)
        return (total - self.missed) / total if total else None

    @property
    def false_alarms_per_camera_day(self) -> float | None:
        """(Wrong and retracted hits) / (stream seconds / 86400): somebody was called each time."""
        alarms = self.wrong + self.retracted
        return alarms * DAY_S / self.stream_seconds if self.stream_seconds > 0 else None

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
    taken_back = next((revision for revision in revisions if revision.retracted), None)
    stream = streams.get(last.stream_id)
    pictures = _pictures(revisions)
    if taken_back is not None:
        soon = taken_back.decided_pts_s - opened_pts_s <= RETRACTED_WITHIN_S + _ROUNDING_S
        judgement = Judgement.RETRACTED if soon else Judgement.WRONG
        return JudgedHit(last, judgement, opened_pts_s, _own_overlap(last, stream) if stream else None)
    if stream is None:
        return JudgedHit(last, Judgement.WRONG, opened_pts_s, None)
    present = tuple(
        appearance
        for appearance in stream.appearances
        if appearance.person_id == last.identity_id and _during(last, appearance)
    )
    judged = [judge_picture(picture, stream, present=bool(present)) for picture in pictures]
    for judgement in (Judgement.WRONG, Judgement.RIGHT, Judgement.IGNORED):
        if judgement in judged:
            break
    shown = pictures[judged.index(judgement)] if judgement is Judgement.WRONG else last
    found = present if judgement is Judgement.RIGHT else ()
    return JudgedHit(shown, judgement, opened_pts_s, _own_overlap(shown, stream), found)


def judge_picture(hit: HitRevision, stream: StreamTruth, *, present: bool) -> Judgement:
    """Judges the best picture of one revision; `present`: its person appears during the hit."""
    own = _own_overlap(hit, stream) or 0.0
    others = max(
        (
            overlap_with_nearest(hit.best_box, hit.best_pts_s, labels) or 0.0
            for who, labels in stream.labels.items()
            if who != hit.identity_id
        ),
        default=0.0,
    )
    ignored = _overlap_with_ignored(hit, stream.ignored)
    if ignored >= MIN_IOU - _ROUNDING_IOU and ignored > max(own, others):
        return Judgement.IGNORED
    right = present and own >= MIN_IOU - _ROUNDING_IOU and own >= others
    return Judgement.RIGHT if right else Judgement.WRONG


def _pictures(revisions: Sequence[HitRevision]) -> list[HitRevision]:
    """The first revision with each best picture, in order."""
    first: dict[tuple[float, Box], HitRevision] = {}
    for revision in revisions:
        first.setdefault((revision.best_pts_s, revision.best_box), revision)
    return list(first.values())


def _own_overlap(hit: HitRevision, stream: StreamTruth) -> float | None:
    labels = stream.labels.get(hit.identity_id)
    return None if labels is None else overlap_with_nearest(hit.best_box, hit.best_pts_s, labels)


def _overlap_with_ignored(hit: HitRevision, ignored: PersonLabels) -> float:
    """The largest IoU with the ignored boxes of the time nearest to the picture."""
    if not len(ignored.times_s):
        return 0.0
    away_s = np.abs(ignored.times_s - hit.best_pts_s).round(6)
    there = away_s == away_s.min()
    if away_s.min() > NEAREST_LABEL_S:
        return 0.0
    return float(iou(np.array([hit.best_box], np.float32), ignored.boxes[there]).max())


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
