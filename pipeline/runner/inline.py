"""The main job in one loop, without threads, queues or clocks: for tests, evaluation and other people's loops.

A threaded run of the same recordings gives the same hits: within a stream in the same order, between streams in any.
"""

import numpy as np

from pipeline.follow.detect import DetectStage
from pipeline.follow.follow import TrackStage
from pipeline.identify.stage import IdentifyStage
from pipeline.messages import Detections, EndReason, Frame, Hit, Seen, StreamEnd, Tracklet


class InlineFront:
    """Frames to who is in view, and to tracklets.

    Args:
        detect: Finds people.
        track: Follows them.
    """

    def __init__(self, detect: DetectStage, track: TrackStage) -> None:
        self._detect, self._track = detect, track
        self._streams: dict[str, None] = {}
        self._seen: list[Seen] = []
        track.observe(self._seen.append)

    def push(self, frame: Frame) -> tuple[Seen, list[Tracklet]]:
        """Takes a frame that names its stream and epoch; who is in it, and what there is to ask.

        A frame that a stage could not deal with shows nobody.
        """
        self._streams[frame.stream_id] = None
        self._seen.clear()
        tracklets = self._pass_on(frame)
        seen = self._seen[0] if self._seen else Seen(frame, Detections.empty(), np.empty(0, np.int64))
        return seen, tracklets

    def end(self, stream_id: str, reason: EndReason = EndReason.TRACK_ENDED) -> list[Tracklet]:
        """The stream's present epoch is over."""
        self._streams.pop(stream_id, None)
        return self._pass_on(StreamEnd(stream_id, reason))

    def finish(self) -> list[Tracklet]:
        """All streams are over."""
        return [tracklet for stream_id in list(self._streams) for tracklet in self.end(stream_id)]

    def _pass_on(self, item: Frame | StreamEnd) -> list[Tracklet]:
        return list(self._track.on_batch(list(self._detect.on_batch([item]))))


class Inline:
    """Frames to hits, against the watchlist that the stage was last given.

    Args:
        front: From frames to tracklets.
        identify: From tracklets to hits.
    """

    def __init__(self, front: InlineFront, identify: IdentifyStage) -> None:
        self._front, self._identify = front, identify

    def push(self, frame: Frame) -> tuple[Seen, list[Hit]]:
        """Takes a frame that names its stream and epoch; who is in it, and the hits opened, updated and closed."""
        seen, tracklets = self._front.push(frame)
        return seen, self._ask(tracklets)

    def end(self, stream_id: str, reason: EndReason = EndReason.TRACK_ENDED) -> list[Hit]:
        """The stream's present epoch is over; the hits that it closes."""
        return self._ask(self._front.end(stream_id, reason))

    def finish(self) -> list[Hit]:
        """All streams are over."""
        return self._ask(self._front.finish())

    def _ask(self, tracklets: list[Tracklet]) -> list[Hit]:
        return list(self._identify.on_batch(tracklets)) if tracklets else []
