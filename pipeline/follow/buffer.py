"""What is remembered of every track: its best crops, when to ask about it, and which lost one it continues.

State is keyed by `TrackKey` and ends when the track has been unseen for `idle_s + relink_s`, when its
stream ends, or when more than `max_tracks` of its stream are kept (the stalest go first). The clock is the stream's own
time; nothing here reads another.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace

import numpy as np
from numpy.typing import NDArray

from pipeline.config import TracksConfig
from pipeline.follow.change import COMPARABLE, GAP_S, MOST_DOUBTS, alike, is_extreme, is_far
from pipeline.follow.geometry import Box
from pipeline.follow.questions import MOVED_SHARE, Ripeness
from pipeline.messages import Clock, Crop, EndReason, Scene, TrackKey, Tracklet

BETTER = 1.05  # a crop must be this much better to replace one that shows the same, or the worst
SCENES = 3  # best crops of a track whose whole frame is kept: what a hit may show
EARLY_QUALITY = (
    0.25  # of the best crop before a track is asked about early: a poorer first look may yet be dropped
)
LEAST_AGAIN_S, AGE_SHARE = 0.5, 0.5  # no question for half of a track's age, from that on and to `again_s`
FRESH_GAIN = 1.25  # the evidence must have grown by this much before the same question is asked again
CROP_GAP_S = 0.15  # crops nearer in time show the same picture
UNSURE_S = 0.3  # before the last sure crop: a track may have gone over just then
PASSED_S = 0.08  # after a sight that is no better, the next ones hardly are
SAMPLE_S = 1.0  # a crop no better than the others, but so much later, still makes the mean a better one
SAMPLE_QUALITY = 0.5  # of the best crop's
HEIGHTS_PER_S = 1.5  # how far a person may have gone while unseen, in their own heights...
SLACK_HEIGHTS = 0.75  # ...plus this
GROWTH = 1.6  # how much taller or smaller they may look afterwards

MakeScene = Callable[[bool], Scene]
"""The frame of a crop: whole for the best one of a track, else it may be smaller."""


@dataclass(slots=True)
class Record:
    """One track while it lives; mutable, written by the buffer alone."""

    key: TrackKey
    clock: Clock
    first_pts_s: float
    last_pts_s: float
    last_box: Box
    crops: list[Crop] = field(default_factory=list)
    taken_pts_s: float = -np.inf
    weight: float = 0.0
    weighted: NDArray[np.float32] | None = None
    questions: int = 0
    asked_pts_s: float = -np.inf
    asked_weight: float = 0.0
    asked_crops: int = 0
    asked_embedding: NDArray[np.float32] | None = None
    moved: float = 0.0
    asks_early: bool = True
    settled: bool = False  # asked about when ripe, or out of sight
    sure_pts_s: float = -np.inf
    sure_box: Box = (0.0, 0.0, 0.0, 0.0)
    unsure_s: float = -np.inf  # when it last may have gone over to somebody else
    doubts: list[Crop] = field(default_factory=list)
    quiet_until_s: float = -np.inf

    @property
    def embedding(self) -> NDArray[np.float32]:
        """(D,) unit vector: the mean of all crops taken so far, weighted by quality."""
        assert self.weighted is not None
        unit: NDArray[np.float32] = self.weighted / max(float(np.linalg.norm(self.weighted)), 1e-12)
        return unit


class TrackBuffer:
    """Keeps the records of all streams and turns them into tracklets when they are due.

    Args:
        config: Sizes and times.
        engines: Digests that go with every tracklet.
        cut: The embedder's, by which it is told whether a track follows somebody else now; None = that is not asked.
    """

    def __init__(
        self, config: TracksConfig, engines: dict[str, str | None] | None = None, cut: float | None = None
    ) -> None:
        self._cut = cut
        self._config = config
        self._engines = engines or {}
        self._ripeness = Ripeness.of(config)
        self._streams: dict[str, dict[int, Record]] = {}

    def see(self, key: TrackKey, box: Box, pts_s: float, clock: Clock, *, overlaps: bool = False) -> Record:
        """Notes that a track was seen, and whether it overlapped another; makes its record at first sight."""
        records = self._streams.setdefault(key.stream_id, {})
        record = records.get(key.track_id)
        if record is None:
            record = records[key.track_id] = Record(key, clock, pts_s, pts_s, box)
            record.asks_early = self._config.early
        if overlaps or pts_s - record.last_pts_s > GAP_S:
            record.unsure_s = pts_s
        record.last_pts_s, record.last_box = pts_s, box
        return record

    def wants(self, record: Record, quality: float, pts_s: float) -> bool:
        """Whether a crop of that quality, taken now, would improve the track."""
        if quality < self._config.min_quality or pts_s < record.quiet_until_s:
            return False
        if not record.crops:
            return True
        if record.doubts:
            return quality >= COMPARABLE * record.crops[0].quality
        if pts_s - record.taken_pts_s >= SAMPLE_S and quality >= SAMPLE_QUALITY * record.crops[0].quality:
            return True
        near = [crop for crop in record.crops if abs(crop.pts_s - pts_s) < CROP_GAP_S]
        if near:
            return quality > BETTER * max(crop.quality for crop in near)
        return len(record.crops) < self._config.crops or quality > record.crops[-1].quality * BETTER

    def pass_over(self, record: Record, pts_s: float) -> None:
        """Notes that a sight is not wanted; of a track with crops enough nobody looks at the next ones either."""
        if len(record.crops) >= self._config.crops and not record.doubts:
            record.quiet_until_s = pts_s + PASSED_S

    def add(self, record: Record, crop: Crop, scene: MakeScene) -> bool:
        """Takes a crop into the mean and, if it is good enough, among the kept; not one that may show somebody else.

        Args:
            record: The track.
            crop: What `wants` would take.
            scene: Makes the frame of the crop, kept with one of the best; what it raises leaves the track as it was.

        Returns:
            Whether the track has been following somebody else: it is to be `split`.
        """
        if self._cut is not None and record.crops and is_far(crop, record.crops, self._cut):
            return self._doubt(record, crop, scene, self._cut)
        others = [kept for kept in record.crops if abs(kept.pts_s - crop.pts_s) >= CROP_GAP_S]
        better = sum(kept.quality >= crop.quality for kept in others)
        if better < SCENES:
            crop = replace(crop, scene=scene(better == 0))
        record.doubts.clear()
        self._keep(record, crop)
        return False

    def split(self, record: Record, track_id: int) -> Record:
        """Ends a track at its last crop of the same person; what came then is a track of its own.

        Args:
            record: What `add` said so of; it counts as lost since that crop, and may be taken up again.
            track_id: Of the new track.
        """
        doubts, record.doubts, record.quiet_until_s = record.doubts, [], -np.inf
        fresh = Record(
            record.key._replace(track_id=track_id),
            record.clock,
            doubts[0].pts_s,
            record.last_pts_s,
            record.last_box,
        )
        fresh.asks_early = False  # it may yet go on with a lost one, under that one's number
        for crop in doubts:
            self._keep(fresh, crop)
        self._streams[record.key.stream_id][track_id] = fresh
        record.last_pts_s, record.last_box = record.sure_pts_s, record.sure_box
        return fresh

    def __contains__(self, record: object) -> bool:
        return isinstance(record, Record) and record is self._streams.get(record.key.stream_id, {}).get(
            record.key.track_id
        )

    def unasked(self, stream_id: str, since_s: float) -> list[Record]:
        """Tracks that began after that time and were not asked about yet."""
        return [r for r in self._of(stream_id) if r.crops and not r.questions and r.first_pts_s > since_s]

    def relink(self, new: Record, max_distance: float) -> Record | None:
        """Makes a new track the continuation of the lost one that it continues: same id, the best crops of both.

        Args:
            new: A track with at least one crop; it is no more when a lost one is taken up.
            max_distance: As of `find_predecessor`.

        Returns:
            The one taken up, None where there is none.
        """
        lost = [other for other in self._of(new.key.stream_id) if other.last_pts_s < new.first_pts_s]
        old = find_predecessor(new, lost, max_distance)
        if old is None:
            return None
        del self._streams[new.key.stream_id][new.key.track_id]
        old.last_pts_s, old.last_box = new.last_pts_s, new.last_box
        old.doubts, old.quiet_until_s = new.doubts, new.quiet_until_s
        for crop in new.crops:
            self._keep(old, crop)
        return old

    def due(self, stream_id: str, pts_s: float) -> list[Tracklet]:
        """Questions that became due at this time of the stream, oldest track first."""
        questions = []
        for record in self._of(stream_id):
            if pts_s - record.last_pts_s > self._config.idle_s + self._config.relink_s:
                questions += self._end(record, EndReason.TRACK_ENDED, pts_s)
            elif self._is_due(record, pts_s):
                questions.append(self._ask(record, pts_s))
        return questions + self._evict(stream_id, pts_s)

    def end_stream(self, stream_id: str, reason: EndReason) -> list[Tracklet]:
        """Ends all tracks of a stream; the last questions about them."""
        questions = [q for r in self._of(stream_id) for q in self._end(r, reason, r.last_pts_s)]
        self._streams.pop(stream_id, None)
        return questions

    def track_ids(self, stream_id: str) -> set[int]:
        """Ids of the tracks of a stream that are not over."""
        return set(self._streams.get(stream_id, ()))

    def __len__(self) -> int:
        return sum(len(records) for records in self._streams.values())

    def _of(self, stream_id: str) -> list[Record]:
        return list(self._streams.get(stream_id, {}).values())

    def _keep(self, record: Record, crop: Crop) -> None:
        """Takes a crop of the track's person; a frame is kept with the best only."""
        record.weight += _weight(crop)
        weighted = _weight(crop) * crop.embedding
        record.weighted = weighted if record.weighted is None else record.weighted + weighted
        if record.asked_embedding is not None:
            record.moved = float(np.linalg.norm(record.embedding - record.asked_embedding))
        record.taken_pts_s = max(record.taken_pts_s, crop.pts_s)
        if crop.pts_s >= record.sure_pts_s:
            record.sure_pts_s, record.sure_box = crop.pts_s, crop.box
        kept = [
            other
            for other in record.crops
            if abs(other.pts_s - crop.pts_s) >= CROP_GAP_S or not _may_go(other, crop)
        ]
        kept.insert(sum(other.quality >= crop.quality for other in kept), crop)
        record.crops = [*kept[:SCENES], *(replace(other, scene=None) for other in kept[SCENES:])]
        del record.crops[self._config.crops :]

    def _doubt(self, record: Record, crop: Crop, scene: MakeScene, cut: float) -> bool:
        """Holds a crop that is far from all others until the next ones say whose it is."""
        if crop.quality < COMPARABLE * record.crops[0].quality:
            record.quiet_until_s = crop.pts_s + SAMPLE_S
            return False
        crop = replace(crop, scene=scene(True))
        same = alike(crop, record.doubts, cut)
        record.doubts = [*(same or record.doubts), crop]
        record.quiet_until_s = crop.pts_s + CROP_GAP_S
        is_over = not same and len(record.doubts) >= MOST_DOUBTS
        outweighing = sum(map(_weight, record.doubts)) if same else is_over * min(map(_weight, record.doubts))
        if not record.questions and record.weight < outweighing:
            self._begin_again(record)
            return False
        if is_over:
            record.doubts, record.quiet_until_s = [], crop.pts_s + SAMPLE_S
        if (
            not same
            or record.unsure_s >= record.sure_pts_s - UNSURE_S
            or is_extreme(record.doubts, record.crops, cut)
        ):
            return bool(same)
        self._turned(record)
        return False

    def _turned(self, record: Record) -> None:
        """The person looks different now: the doubts are theirs."""
        doubts, record.doubts, record.quiet_until_s = record.doubts, [], -np.inf
        for crop in doubts:
            self._keep(record, crop)

    def _begin_again(self, record: Record) -> None:
        """The first looks were at somebody or something else, or showed nothing: the doubts are the track's person."""
        doubts, record.doubts = record.doubts, []
        record.crops, record.weight, record.weighted = [], 0.0, None
        for crop in doubts:
            self._keep(record, crop)

    def _is_due(self, record: Record, pts_s: float) -> bool:
        """Whether to ask now: with each of the first crops, when ripe, at rest, and then as evidence moves or grows."""
        config, crops = self._config, len(record.crops)
        if not record.settled and self._rests(record, pts_s):
            return crops >= self._ripeness.crops_at_rest
        if not self._ripeness.reached(crops, pts_s - record.first_pts_s):
            return (
                record.asks_early and crops > record.asked_crops and record.crops[0].quality >= EARLY_QUALITY
            )
        if not record.settled or (self._cut is not None and record.moved > MOVED_SHARE * self._cut):
            return True
        rest_s = min(config.again_s, max(LEAST_AGAIN_S, AGE_SHARE * (pts_s - record.first_pts_s)))
        return pts_s - record.asked_pts_s >= rest_s and record.weight > FRESH_GAIN * record.asked_weight

    def _rests(self, record: Record, pts_s: float) -> bool:
        return pts_s - record.last_pts_s > self._config.idle_s

    def _ask(self, record: Record, pts_s: float, end: EndReason | None = None) -> Tracklet:
        record.questions += 1
        record.asked_pts_s, record.asked_weight = pts_s, record.weight
        record.asked_crops, record.asked_embedding, record.moved = len(record.crops), record.embedding, 0.0
        ripe = self._ripeness.reached(record.asked_crops, pts_s - record.first_pts_s)
        record.settled = record.settled or ripe or self._rests(record, pts_s)
        return Tracklet(
            key=record.key,
            number=record.questions,
            crops=tuple(record.crops),
            scene=_scene_of(record.crops[0]),
            embedding=record.embedding,
            first_pts_s=record.first_pts_s,
            last_pts_s=record.last_pts_s,
            decided_pts_s=pts_s,
            clock=record.clock,
            engines=self._engines,
            end=end,
            lost=self._lost_before(record),
        )

    def _lost_before(self, record: Record) -> tuple[int, ...]:
        """Tracks that were asked about and last seen before one began, the latest first."""
        lost = [
            r for r in self._of(record.key.stream_id) if r.questions and r.last_pts_s < record.first_pts_s
        ]
        return tuple(r.key.track_id for r in sorted(lost, key=lambda r: r.last_pts_s, reverse=True))

    def _end(self, record: Record, reason: EndReason, pts_s: float) -> list[Tracklet]:
        del self._streams[record.key.stream_id][record.key.track_id]
        if record.questions or len(record.crops) >= self._ripeness.crops_at_rest:
            return [self._ask(record, pts_s, reason)]
        return []

    def _evict(self, stream_id: str, pts_s: float) -> list[Tracklet]:
        records = sorted(self._of(stream_id), key=lambda r: r.last_pts_s)
        surplus = records[: max(0, len(records) - self._config.max_tracks)]
        return [q for r in surplus for q in self._end(r, EndReason.TRACK_ENDED, pts_s)]


def _weight(crop: Crop) -> float:
    """What a crop counts for in the mean: the first looks at somebody who comes into the picture are many, and poor."""
    return crop.quality**2


def _may_go(old: Crop, new: Crop) -> bool:
    """Whether a crop may give way to another of the same moment: not one that can be shown to one that cannot."""
    return old.scene is None or new.scene is not None


def _scene_of(crop: Crop) -> Scene:
    assert crop.scene is not None, "the best crops of a track have theirs"
    return crop.scene


def find_predecessor(new: Record, lost: Sequence[Record], max_distance: float) -> Record | None:
    """The lost track nearest in appearance, if it is near enough in appearance, place and time.

    Args:
        new: A track with at least one crop.
        lost: Tracks of the same stream, last seen before the new one began.
        max_distance: Largest Euclidean distance between the two, in [0, 2].
    """
    possible = [old for old in lost if old.crops and _could_have_walked(old, new)]
    if not possible:
        return None
    distances = [float(np.linalg.norm(old.embedding - new.embedding)) for old in possible]
    nearest = int(np.argmin(distances))
    return possible[nearest] if distances[nearest] <= max_distance else None


def _could_have_walked(old: Record, new: Record) -> bool:
    gap_s = new.first_pts_s - old.last_pts_s
    if gap_s < 0:
        return False
    (ax0, ay0, ax1, ay1), (bx0, by0, bx1, by1) = old.last_box, new.last_box
    tall, other = max(ay1 - ay0, 1e-6), max(by1 - by0, 1e-6)
    moved = np.hypot((ax0 + ax1 - bx0 - bx1) / 2, ay1 - by1)
    grown = max(tall / other, other / tall)
    return bool(grown <= GROWTH and moved <= (SLACK_HEIGHTS + HEIGHTS_PER_S * gap_s) * max(tall, other))
