"""The thread that reads one stream, and opens it again when it is lost."""

import logging
import random
import threading
import time
import uuid
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any

from pipeline.errors import ConfigError, MusewatchError, StreamError, words_of
from pipeline.facts import SourceFacts, close_quietly, facts, raw_frames_of
from pipeline.frame_rate import FrameRate, MaxFps, Thinning
from pipeline.messages import EndReason
from pipeline.runner.gate import FrameGate
from pipeline.secrets import redact

logger = logging.getLogger("musewatch.stream")


FEWEST_FPS = 2.0 / 1.05  # at 2 a second all of seven who walk were found, at 1 four, at 0.5 none
GOOD_FPS = 4


@dataclass(frozen=True, slots=True)
class ReaderSettings:
    """How a stream is read.

    Attributes:
        max_fps: Frames handed on per second of the stream; "auto" leaves some out of live streams.
        backoff_s: First and longest pause before a lost stream is opened again.
    """

    max_fps: MaxFps
    backoff_s: tuple[float, float]


class StreamReader:
    """Reads one stream until it ends or is told to stop; a lost live stream is opened again after a pause.

    Whatever a live source raises is a lost stream, but for a ConfigError: that does not heal by waiting.

    The pauses double from one failure to the next and are drawn from their upper half, so that many cameras do not
    come back at once. Sources are made afresh for every opening.

    Args:
        stream_id: The stream.
        make_source: A new source.
        gate: Takes the frames.
        settings: Frame rate and pauses.

    Attributes:
        reading: The opening that is being read, counted from 1; 0 between two of them.
        silent_since_s: When an opening that has not given a frame yet ought to have, on the monotonic clock; None
            from its first frame on.
        remark: What is odd about its frames; None where nothing is.
        thinned: What "auto" leaves out; None where that is nothing.
        trouble: Why it could not be read the last time; None from its first frame on.
        failure: Why the stream has ended for good before its time; None otherwise.
    """

    def __init__(
        self, stream_id: str, make_source: Callable[[], Any], gate: FrameGate, settings: ReaderSettings
    ) -> None:
        self.stream_id = stream_id
        self.reading = 0
        self.silent_since_s: float | None = None
        self.trouble: str | None = None
        self.remark: str | None = None
        self.thinned: str | None = None
        self.failure: Exception | None = None
        self._make_source = make_source
        self._gate = gate
        self._inlet = gate.add(stream_id)
        self._settings = settings
        self._source: Any = None
        self._recording = False
        self._openings = 0
        self._frames = 0
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._run, name=f"stream {stream_id}", daemon=True)

    def start(self) -> None:
        """Begins reading."""
        self._thread.start()

    @property
    def alive(self) -> bool:
        """False once the stream has ended for good."""
        return self._thread.is_alive()

    @property
    def done(self) -> bool:
        """True once the stream has ended as a recording does."""
        return self._thread.ident is not None and not self.alive and self.failure is None

    @property
    def live(self) -> bool:
        """Whether silence means that the stream is lost; False until it is opened."""
        return self._openings > 0 and not self._recording

    def stop(self) -> None:
        """Asks the thread to end; what blocks inside the source ends at the source's own limit."""
        self._stop.set()
        self.interrupt()

    def interrupt(self) -> None:
        """Closes the present source, so that a stalled stream is opened again."""
        close_quietly(self._source)

    def join(self, timeout_s: float) -> None:
        """Waits for the thread."""
        self._thread.join(timeout_s)

    def _run(self) -> None:
        failures = 0
        while not self._stop.is_set():
            self._frames = 0
            error = self._read_once()
            reason = EndReason.STREAM_LOST if error else EndReason.TRACK_ENDED
            self._gate.end_through(self._inlet, EndReason.STOPPED if self._stop.is_set() else reason)
            if error is None or self._stop.is_set():
                return
            said = self.trouble = _told(error)
            if self._recording or isinstance(error, ConfigError):
                self.failure = error
                logger.error("stream %s: %s", self.stream_id, said)
                return
            failures = 1 if self._frames else failures + 1
            pause_s = self._pause_s(failures)
            if failures == 1:
                logger.warning("stream %s: %s; opening it again", self.stream_id, said)
            self._stop.wait(pause_s)

    def _read_once(self) -> Exception | None:
        """One opening of the stream, to its end; None when that end is final."""
        self._openings += 1
        self.silent_since_s = time.monotonic()
        self.reading = self._openings
        try:
            self._source = source = self._make_source()
            told = facts(SourceFacts, source, f"stream {self.stream_id}: source")
            self._recording = not told.live or told.finite
            self.silent_since_s += told.opening_s
            self._hand_on(source, told)
        except Exception as error:
            return error
        except BaseException as error:  # of the source's thread alone: the process goes on
            return StreamError(f"the source ended with {error!r}")
        finally:
            self.interrupt()
            self.reading, self.silent_since_s = 0, None
        if self._recording:
            return None
        return StreamError("the camera ended the stream" if self._frames else "no frame came")

    def _hand_on(self, source: Any, told: SourceFacts) -> None:
        connection = uuid.uuid4().hex
        present, max_fps = "", self._settings.max_fps
        if max_fps == "auto" and not told.live:
            max_fps = None
        thinning, rate = Thinning(max_fps), FrameRate()
        with raw_frames_of(source, told) as frames:
            for frame in frames:
                if self._stop.is_set():
                    return
                self._frames += 1
                self.silent_since_s = self.trouble = None
                epoch = frame.epoch or connection
                if epoch != present:
                    present, thinning, rate = epoch, Thinning(max_fps), FrameRate()
                if not thinning.takes(frame.pts_s):
                    self._gate.skip(self._inlet)
                    continue
                self._remark_on(rate.with_frame(frame.pts_s))
                self._say_thinned(thinning.told)
                if self._frames == 1:
                    self._came_up()
                plain_s = float(frame.pts_s)  # a library's own numbers are no times elsewhere
                stamped = replace(frame, stream_id=self.stream_id, epoch=epoch, pts_s=plain_s)
                if not self._gate.put(self._inlet, stamped, newest_only=source.live):
                    return

    def _remark_on(self, fps: float | None) -> None:
        if fps is None or fps >= FEWEST_FPS or self.remark is not None:
            return
        cure = "set the camera" if self._settings.max_fps in ("auto", None) else "raise max_fps"
        self.remark = (
            f"stream {self.stream_id}: {fps:.1g} frames a second: people who walk cannot be followed from one to "
            f"the next, and some are missed; {cure} to {GOOD_FPS} or more"
        )
        logger.warning("%s", self.remark)

    def _say_thinned(self, told: str | None) -> None:
        if told is not None and self.thinned is None:
            self.thinned = f"stream {self.stream_id}: {told}"
            logger.info("%s", self.thinned)

    def _came_up(self) -> None:
        logger.info("stream %s: up", self.stream_id)
        self._gate.came_up(self._inlet)

    def _pause_s(self, failures: int) -> float:
        first_s, longest_s = self._settings.backoff_s
        return min(longest_s, first_s * 2.0 ** min(failures - 1, 16)) * random.uniform(0.5, 1.0)


def _told(error: Exception) -> str:
    """The error in words; the name of its kind too where it is none of ours and may have no others."""
    if isinstance(error, MusewatchError):
        return redact(str(error))
    return redact(": ".join(dict.fromkeys([type(error).__name__, words_of(error)])))
