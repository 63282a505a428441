"""From frames to the people in them.

A stage owns no thread, never sleeps and reads no clock. It takes a batch of messages, hands on what came of it, and
lets one stream's failure cost that stream's frame only.
"""

from collections.abc import Callable, Iterable, Sequence

from pipeline.follow.squared import Resize, detect
from pipeline.messages import Detected, Frame, RawFrame, StreamEnd
from pipeline.protocols import Detector

OnError = Callable[[str, Exception], None]
"""Told the stream and what happened to a frame of it."""


class DetectStage:
    """Finds people in a batch of frames of many streams.

    Args:
        detector: Asked once a batch; asked frame by frame when that fails, so that one bad frame costs itself only.
        on_error: Told the stream and what happened.
        resize: Squares the pixels of frames that need it.
    """

    def __init__(self, detector: Detector, on_error: OnError, resize: Resize) -> None:
        self._detector = detector
        self._resize = resize
        self._on_error = on_error

    def on_batch(self, items: Sequence[Frame | RawFrame | StreamEnd]) -> Iterable[Detected | StreamEnd]:
        """Detections of each frame; ends of streams pass through in their place."""
        ready = [item for item in map(self._converted, items) if item is not None]
        frames = [item for item in ready if isinstance(item, Frame)]
        found = iter(self._detect(frames))
        results = [item if isinstance(item, StreamEnd) else next(found) for item in ready]
        return [result for result in results if result is not None]

    def _converted(self, item: Frame | RawFrame | StreamEnd) -> Frame | StreamEnd | None:
        if not isinstance(item, RawFrame):
            return item
        try:
            return item.converted()
        except Exception as error:
            self._on_error(item.stream_id, error)
            return None

    def _detect(self, frames: list[Frame]) -> list[Detected | None]:
        if not frames:
            return []
        try:
            detections = detect(self._detector, frames, self._resize)
        except Exception as error:
            if len(frames) > 1:
                return [self._detect([frame])[0] for frame in frames]
            self._on_error(frames[0].stream_id, error)
            return [None]
        return [Detected(frame, found) for frame, found in zip(frames, detections, strict=True)]
