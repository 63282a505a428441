"""From the people in frames to tracklets: who is the same from frame to frame, and whom to ask about.

Whoever wants to know where everybody was in each frame observes the stage: it is handed a `Seen` a frame.
"""

import logging
from collections.abc import Callable, Iterable, Sequence
from functools import partial

import numpy as np
from numpy.typing import NDArray

from pipeline.follow.buffer import Record, TrackBuffer
from pipeline.follow.change import OVERLAP
from pipeline.follow.crops import MAX_COVERED, covered, cut, quality, views
from pipeline.follow.detect import OnError
from pipeline.follow.geometry import Box, inside_any, shared
from pipeline.follow.squared import widened
from pipeline.messages import (
    Crop,
    Detected,
    Detections,
    EndReason,
    Frame,
    Scene,
    Seen,
    StreamEnd,
    TrackKey,
    Tracklet,
)
from pipeline.plugged import PluggedTracker
from pipeline.protocols import Codec, Embedder
from pipeline.scenes import SCENE_QUALITY, SMALL_QUALITY, small_size
from pipeline.secrets import redact

logger = logging.getLogger("musewatch.follow")

SLOW_STEP_S = 0.55  # from frame to frame; at fewer than 2 frames a second people who walk cannot be followed
LONE_IDS = 1 << 40  # beyond any tracker's

Zones = dict[str, list[NDArray[np.float32]]]
Wanted = tuple[Record, Detected, int, float]  # track, frame, row of the detection, quality of the crop
Observer = Callable[[Seen], None]


class StreamTracks:
    """One stream's tracker, and our own track ids over the tracker's.

    Ours count from 1 in every epoch and never come twice in it, whatever the tracker does after a reset.
    """

    def __init__(self, tracker: PluggedTracker) -> None:
        self.tracker = tracker
        self.epoch: str | None = None
        self.size: tuple[int, int] | None = None
        self._ids: dict[int, int] = {}
        self._lone = LONE_IDS
        self._last_pts_s: float | None = None
        self._last = 0

    def goes_on_with(self, frame: Frame) -> bool:
        """Whether the frame belongs to the tracks so far: same epoch, same size."""
        return frame.epoch == self.epoch and frame.size == self.size

    def begin(self, frame: Frame) -> None:
        """Starts tracking anew at this frame."""
        if frame.epoch != self.epoch:
            self._last = 0
        self.epoch, self.size = frame.epoch, frame.size
        self._ids.clear()
        self._last_pts_s = None
        self.tracker.reset()

    def with_lone(self, ids: NDArray[np.int64], pts_s: float) -> NDArray[np.int64]:
        """The tracker's ids (N,); after a gap in which nobody can be followed, new ones for whom it gives none.

        A tracker names people at their second sight, which at such a rate may never come.
        """
        slow = self._last_pts_s is not None and pts_s - self._last_pts_s > SLOW_STEP_S
        self._last_pts_s = pts_s
        if not slow:
            return ids
        lone = np.flatnonzero(ids < 0)
        named = ids.copy()
        named[lone] = self._lone + np.arange(len(lone))
        self._lone += len(lone)
        return named

    def own_id(self, tracker_id: int) -> int:
        """Our id for the tracker's."""
        if tracker_id not in self._ids:
            self._last += 1
            self._ids[tracker_id] = self._last
        return self._ids[tracker_id]

    def rename(self, ours: int, to: int) -> None:
        """From now on what was called `ours` is called `to`."""
        self._ids = {theirs: to if own == ours else own for theirs, own in self._ids.items()}

    def renew(self, ours: int) -> int:
        """From now on what was called `ours` is somebody new; what they are called."""
        self._last += 1
        self.rename(ours, self._last)
        return self._last

    def keep_only(self, alive: set[int]) -> None:
        """Forgets the tracker's ids of tracks that are over."""
        self._ids = {theirs: own for theirs, own in self._ids.items() if own in alive}


class TrackStage:
    """Follows people within each stream and asks about those worth asking about.

    Crops are embedded when they would improve their track, all streams' together; a tracker that needs embeddings
    has all detections embedded first, one that asks those that it wants, and these vectors are used again.

    Args:
        make_tracker: A new tracker for each stream.
        embedder: Shared by all streams.
        codec: Keeps the frame of a track's best crop.
        buffer: Where tracks are remembered.
        zones: Polygons (K, 2) in fractions of width, height by stream; evidence counts when the feet are in one.
        relink_distance: Largest distance at which a new track continues an old one; None = never.
        on_error: Told the stream and what happened.
    """

    def __init__(
        self,
        make_tracker: Callable[[], PluggedTracker],
        embedder: Embedder,
        codec: Codec,
        buffer: TrackBuffer,
        zones: Zones,
        relink_distance: float | None,
        on_error: OnError,
        *,
        min_height_px: int,
    ) -> None:
        self._make_tracker = make_tracker
        self._embedder = embedder
        self._codec = codec
        self._buffer = buffer
        self._zones = zones
        self._relink_distance = relink_distance
        self._on_error = on_error
        self._min_height_px = min_height_px
        self._streams: dict[str, StreamTracks] = {}
        self._observers: tuple[Observer, ...] = ()

    def observe(self, observer: Observer) -> None:
        """Hands on what is seen in each frame from now on, in the thread of the stage.

        An observer that raises is heard no more, and costs nobody a frame.
        """
        self._observers += (observer,)

    def use_zones(self, zones: Zones) -> None:
        """Looks at these zones from the next frame on."""
        self._zones = zones

    def on_batch(self, items: Sequence[Detected | StreamEnd]) -> Iterable[Tracklet]:
        """Questions that became due."""
        tracklets: list[Tracklet] = []
        pending: list[Detected] = []
        for item in items:
            if isinstance(item, StreamEnd):
                tracklets += self._follow(pending)
                pending = []
                tracklets += self._buffer.end_stream(item.stream_id, item.reason)
                self._streams.pop(item.stream_id, None)
            else:
                if any(item.frame.stream_id == other.frame.stream_id for other in pending):
                    tracklets += self._follow(pending)
                    pending = []
                pending.append(item)
        return tracklets + self._follow(pending)

    def _follow(self, items: list[Detected]) -> list[Tracklet]:
        """One frame of each of several streams."""
        tracklets: list[Tracklet] = []
        wanted: list[Wanted] = []
        followed: list[tuple[Detected, NDArray[np.int64]]] = []
        vectors = self._embed_for_trackers(items)
        items = [item for item in items if self._can_follow(item, vectors)]
        for item in items:
            try:
                tracklets += self._begin_anew(item.frame)
                ids = self._track(item, vectors.get(item.frame.stream_id))
                wanted += self._wanted(item, ids)
                followed.append((item, ids))
            except Exception as error:
                self._on_error(item.frame.stream_id, error)
        self._take(wanted, vectors)
        if self._observers:
            self._show(followed)
        for item in items:
            stream_id = item.frame.stream_id
            tracklets += self._buffer.due(stream_id, item.frame.pts_s)
            if stream_id in self._streams:
                self._streams[stream_id].keep_only(self._buffer.track_ids(stream_id))
        return tracklets

    def _stream(self, stream_id: str) -> StreamTracks:
        if stream_id not in self._streams:
            self._streams[stream_id] = StreamTracks(self._make_tracker())
        return self._streams[stream_id]

    def _begin_anew(self, frame: Frame) -> list[Tracklet]:
        """Ends all tracks when the frame cannot continue them."""
        stream = self._stream(frame.stream_id)
        if stream.goes_on_with(frame):
            return []
        ended = self._buffer.end_stream(frame.stream_id, EndReason.TRACK_ENDED)
        stream.begin(frame)
        return ended

    def _embed_for_trackers(self, items: list[Detected]) -> dict[str, NDArray[np.float32]]:
        """What trackers look at, (N, D) by stream, NaN rows of whom they do not ask for; none where one fails."""
        looked_at = [(item, rows) for item in items for rows in self._looked_at(item)]
        crops = [
            (item.frame.stream_id, self._cut(item.frame, item.detections.xyxy[row]))
            for item, rows in looked_at
            for row in rows
        ]
        made = iter(self._embed(crops))
        vectors = {}
        for item, rows in looked_at:
            found = [next(made) for _ in rows]
            if all(row is not None for row in found):
                table = np.full((len(item.detections), self._embedder.dimension), np.nan, np.float32)
                table[rows] = np.array(found, np.float32).reshape(len(rows), self._embedder.dimension)
                vectors[item.frame.stream_id] = table
        return vectors

    def _looked_at(self, item: Detected) -> list[NDArray[np.int64]]:
        """Rows of the people that the stream's tracker looks at, once; not at all of one that looks at nobody."""
        tracker = self._stream(item.frame.stream_id).tracker
        if tracker.facts.needs_embeddings:
            return [np.arange(len(item.detections))]
        if not tracker.facts.asks:
            return []
        try:
            return [tracker.wanted(item.frame, item.detections)]
        except Exception as error:
            self._on_error(item.frame.stream_id, error)
            return []

    def _can_follow(self, item: Detected, vectors: dict[str, NDArray[np.float32]]) -> bool:
        """False where the tracker looks at people and somebody could not be embedded."""
        known = self._stream(item.frame.stream_id).tracker.facts
        return item.frame.stream_id in vectors or not (known.needs_embeddings or known.asks)

    def _track(self, item: Detected, vectors: NDArray[np.float32] | None) -> NDArray[np.int64]:
        """The tracker's id of each detection, (N,); -1 = none."""
        tracker = self._streams[item.frame.stream_id].tracker
        ids = tracker.update(item.frame, item.detections, vectors)
        return self._streams[item.frame.stream_id].with_lone(ids, item.frame.pts_s)

    def _show(self, followed: Sequence[tuple[Detected, NDArray[np.int64]]]) -> None:
        """Tells the observers; by now a new track that continues a lost one has its id."""
        for item, ids in followed:
            stream = self._streams[item.frame.stream_id]
            own = [stream.own_id(int(theirs)) if theirs >= 0 else -1 for theirs in ids]
            seen = Seen(item.frame, item.detections, np.array(own, np.int64))
            for observer in self._observers:
                try:
                    observer(seen)
                except Exception as error:
                    self._observers = tuple(other for other in self._observers if other is not observer)
                    logger.error("an observer failed and is told no more: %s", redact(str(error)))

    def _wanted(self, item: Detected, ids: NDArray[np.int64]) -> list[Wanted]:
        """Rows of the detections whose crop would improve their track; nobody whom others cover."""
        frame, detections = item.frame, item.detections
        stream = self._streams[frame.stream_id]
        rows = np.flatnonzero(ids >= 0)
        if not len(rows):
            return []
        boxes = detections.xyxy
        tall_enough = boxes[:, 3] - boxes[:, 1] >= self._min_height_px
        hidden = covered(boxes)
        counts = self._in_zone(frame, detections) & tall_enough & (hidden <= MAX_COVERED)
        shown = views(frame.size, boxes, hidden)
        wanted = []
        overlaps = _overlapping(boxes, ids)
        for row in rows.tolist():
            key = TrackKey(frame.stream_id, frame.epoch, stream.own_id(int(ids[row])))
            record = self._buffer.see(
                key, _box(boxes[row]), frame.pts_s, frame.clock, overlaps=bool(overlaps[row])
            )
            if not counts[row] or not self._buffer.wants(record, float(shown[row]), frame.pts_s):
                continue
            value = quality(frame.image, boxes[row], float(shown[row]))
            if self._buffer.wants(record, value, frame.pts_s):
                wanted.append((record, item, row, value))
            else:
                self._buffer.pass_over(record, frame.pts_s)
        return wanted

    def _in_zone(self, frame: Frame, detections: Detections) -> NDArray[np.bool_]:
        zones = self._zones.get(frame.stream_id)
        if not zones:
            return np.ones(len(detections), bool)
        boxes = detections.xyxy
        feet = np.stack([(boxes[:, 0] + boxes[:, 2]) / 2, boxes[:, 3]], axis=1) / np.array(
            frame.size, np.float32
        )
        return inside_any(np.minimum(feet, np.float32(1 - 1e-6)), zones)

    def _take(self, wanted: list[Wanted], vectors: dict[str, NDArray[np.float32]]) -> None:
        """Cuts, embeds and keeps the wanted crops."""
        if not wanted:
            return
        images = [self._cut(item.frame, item.detections.xyxy[row]) for _, item, row, _ in wanted]
        fresh = [
            i
            for i, (_, item, row, _) in enumerate(wanted)
            if item.frame.stream_id not in vectors or np.isnan(vectors[item.frame.stream_id][row, 0])
        ]
        new_rows = dict(
            zip(fresh, self._embed([(wanted[i][1].frame.stream_id, images[i]) for i in fresh]), strict=True)
        )
        scenes: dict[tuple[str, bool], Scene] = {}
        for i, (record, item, row, value) in enumerate(wanted):
            frame = item.frame
            embedding = new_rows[i] if i in new_rows else vectors[frame.stream_id][row]
            if embedding is None or record not in self._buffer:  # taken up by another of the same frame
                continue
            box = _box(item.detections.xyxy[row])
            crop = Crop(images[i], box, frame.pts_s, frame.captured_at, value, embedding)
            try:
                is_other = self._buffer.add(record, crop, partial(self._scene, frame, scenes))
            except Exception as error:
                self._on_error(frame.stream_id, error)
                continue
            if is_other:
                self._split(record)
            elif len(record.crops) == 1 and not record.questions:
                self._relink(record)

    def _cut(self, frame: Frame, box: NDArray[np.float32]) -> NDArray[np.uint8]:
        return widened(cut(frame.image, box), frame.pixel_aspect, self._codec.resize)

    def _scene(self, frame: Frame, scenes: dict[tuple[str, bool], Scene], whole: bool) -> Scene:
        """The frame, encoded once for all its people: whole for the best crop of a track, smaller for others."""
        scene = scenes.get((frame.stream_id, True)) or scenes.get((frame.stream_id, whole))
        if scene is None:
            size = frame.size if whole else small_size(frame.size)
            image = frame.image if size == frame.size else self._codec.resize(frame.image, size)
            scene = scenes[frame.stream_id, whole] = Scene(
                self._codec.encode(image, SCENE_QUALITY if whole else SMALL_QUALITY), frame.size
            )
        return scene

    def _embed(self, crops: list[tuple[str, NDArray[np.uint8]]]) -> list[NDArray[np.float32] | None]:
        """Vectors of (stream id, crop); one that fails alone is None and reported."""
        if not crops:
            return []
        try:
            return list(self._embedder.embed([image for _, image in crops]))
        except Exception as error:
            if len(crops) > 1:
                return [self._embed([crop])[0] for crop in crops]
            self._on_error(crops[0][0], error)
            return [None]

    def _split(self, record: Record) -> None:
        """Ends a track whose box follows somebody else; they, or others, may go on with what was lost before."""
        fresh = self._buffer.split(record, self._streams[record.key.stream_id].renew(record.key.track_id))
        logger.debug(
            "stream %s: track %d follows somebody else, now %d", *record.key[::2], fresh.key.track_id
        )
        for young in self._buffer.unasked(record.key.stream_id, record.last_pts_s):
            self._relink(young)

    def _relink(self, record: Record) -> None:
        """Takes up an old track of the same person again."""
        if self._relink_distance is None:
            return
        old = self._buffer.relink(record, self._relink_distance)
        if old is not None:
            self._streams[record.key.stream_id].rename(record.key.track_id, old.key.track_id)


def _overlapping(boxes: NDArray[np.float32], ids: NDArray[np.int64]) -> NDArray[np.bool_]:
    """Which boxes (N,) overlap a track's other than their own."""
    share = shared(boxes, boxes)
    np.fill_diagonal(share, 0.0)
    found: NDArray[np.bool_] = share[:, ids >= 0].max(axis=1, initial=0.0) > OVERLAP
    return found


def _box(row: NDArray[np.float32]) -> Box:
    x0, y0, x1, y1 = row.tolist()
    return x0, y0, x1, y1
