"""What is remembered of every track: its best crops, and when to ask about it.

State is keyed by `TrackKey` and ends when the track has been unseen for `idle_s + relink_s`, when its
stream ends, or when more than `max_tracks` of its stream are kept (the stalest go first). The clock is the stream's own
time; nothing here reads another.
"""

from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from pipeline.config import TracksConfig
from pipeline.follow.geometry import Box
from pipeline.messages import Clock, Crop, EndReason, Scene, TrackKey, Tracklet

BEST_LEAD = 1.05  # a new best crop must be this much better: its whole frame is kept as evidence
FRESH_GAIN = 1.25  # the evidence must have grown by this much before the same question is asked again
CROP_GAP_S = 0.15  # crops nearer in time show the same picture
SAMPLE_S = 1.0  # a crop no better than the others, but so much later, still makes the mean a better one
SAMPLE_QUALITY = 0.5  # of the best crop's


@dataclass(slots=True)
class Record:
    """One track while it lives; mutable, owned by the buffer."""

    key: TrackKey
    clock: Clock
    first_pts_s: float
    last_pts_s: float
    last_box: Box
    crops: list[Crop] = field(default_factory=list)
    scene: Scene | None = None
    taken_pts_s: float = -np.inf
    weight: float = 0.0
    weighted: NDArray[np.float32] | None = None
    questions: int = 0
    asked_pts_s: float = -np.inf
    asked_weight: float = 0.0

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
    """

    def __init__(self, config: TracksConfig, engines: dict[str, str | None] | None = None) -> None:
        self._config = config
        self._engines = engines or {}
        self._least_crops = min(2, config.ripe_crops)  # of a track that will not get more
        self._streams: dict[str, dict[int, Record]] = {}

    def see(self, key: TrackKey, box: Box, pts_s: float, clock: Clock) -> Record:
        """Notes that a track was seen; makes its record at first sight."""
        records = self._streams.setdefault(key.stream_id, {})
        record = records.get(key.track_id)
        if record is None:
            record = records[key.track_id] = Record(key, clock, pts_s, pts_s, box)
        record.last_pts_s, record.last_box = pts_s, box
        return record

    def wants(self, record: Record, quality: float, pts_s: float) -> bool:
        """Whether a crop of that quality, taken now, would improve the track."""
        if quality < self._config.min_quality:
            return False
        if not record.crops:
            return True
        if pts_s - record.taken_pts_s >= SAMPLE_S and quality >= SAMPLE_QUALITY * record.crops[0].quality:
            return True
        near = [crop for crop in record.crops if abs(crop.pts_s - pts_s) < CROP_GAP_S]
        if near:
            return quality > BEST_LEAD * max(crop.quality for crop in near)
        return len(record.crops) < self._config.crops or quality > record.crops[-1].quality * BEST_LEAD

    def would_lead(self, record: Record, quality: float, pts_s: float) -> bool:
        """Whether a crop of that quality would be the track's best."""
        if not record.crops or abs(record.crops[0].pts_s - pts_s) < CROP_GAP_S:
            return True
        return quality > record.crops[0].quality * BEST_LEAD

    def add(self, record: Record, crop: Crop) -> bool:
        """Takes a crop into the mean and, if it is good enough, among the kept.

        True when it is the new best and `record.scene` has to follow.
        """
        _weigh_in(record, crop.quality, crop.quality * crop.embedding)
        record.taken_pts_s = max(record.taken_pts_s, crop.pts_s)
        others = [kept for kept in record.crops if abs(kept.pts_s - crop.pts_s) >= CROP_GAP_S]
        leads = self.would_lead(record, crop.quality, crop.pts_s)
        best, rest = (crop, others) if leads else (others[0], [*others[1:], crop])
        rest.sort(key=lambda kept: -kept.quality)
        record.crops = [best, *rest][: self._config.crops]
        return leads

    def lost_before(self, stream_id: str, pts_s: float) -> list[Record]:
        """Tracks of a stream last seen before that time and not yet over."""
        return [record for record in self._of(stream_id) if record.last_pts_s < pts_s]

    def adopt(self, old: Record, new: Record) -> Record:
        """Makes `new` the continuation of `old`: same track id, the best crops of both."""
        records = self._streams[new.key.stream_id]
        del records[new.key.track_id]
        old.last_pts_s, old.last_box = new.last_pts_s, new.last_box
        for crop in new.crops:
            if self.add(old, crop):
                old.scene = new.scene
        return old

    def due(self, stream_id: str, pts_s: float) -> list[Tracklet]:
        """Questions that became due at this time of the stream, oldest track first."""
        questions = []
        for record in self._of(stream_id):
            if pts_s - record.last_pts_s > self._config.idle_s + self._config.relink_s:
                questions += self._end(record, EndReason.TRACK_ENDED, pts_s)
            elif self._is_ripe(record, pts_s):
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

    def _is_ripe(self, record: Record, pts_s: float) -> bool:
        config = self._config
        if not record.questions and pts_s - record.last_pts_s > config.idle_s:
            return len(record.crops) >= self._least_crops
        if len(record.crops) < config.ripe_crops or pts_s - record.first_pts_s < config.ripe_s:
            return False
        is_later = pts_s - record.asked_pts_s >= config.again_s
        return is_later and record.weight > FRESH_GAIN * record.asked_weight

    def _ask(self, record: Record, pts_s: float, end: EndReason | None = None) -> Tracklet:
        assert record.scene is not None
        record.questions += 1
        record.asked_pts_s, record.asked_weight = pts_s, record.weight
        return Tracklet(
            key=record.key,
            number=record.questions,
            crops=tuple(record.crops),
            scene=record.scene,
            embedding=record.embedding,
            first_pts_s=record.first_pts_s,
            last_pts_s=record.last_pts_s,
            decided_pts_s=pts_s,
            clock=record.clock,
            engines=self._engines,
            end=end,
        )

    def _end(self, record: Record, reason: EndReason, pts_s: float) -> list[Tracklet]:
        del self._streams[record.key.stream_id][record.key.track_id]
        if record.questions or len(record.crops) >= self._least_crops:
            return [self._ask(record, pts_s, reason)]
        return []

    def _evict(self, stream_id: str, pts_s: float) -> list[Tracklet]:
        records = sorted(self._of(stream_id), key=lambda r: r.last_pts_s)
        surplus = records[: max(0, len(records) - self._config.max_tracks)]
        return [q for r in surplus for q in self._end(r, EndReason.TRACK_ENDED, pts_s)]


def _weigh_in(record: Record, weight: float, weighted: NDArray[np.float32]) -> None:
    record.weight += weight
    record.weighted = weighted if record.weighted is None else record.weighted + weighted
