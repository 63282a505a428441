"""From streams to tracklets: readers, the gate, detect and follow, each in threads of their own."""

import logging
import queue
import threading
import time
from abc import abstractmethod
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

from pipeline import build
from pipeline.config import Config, StreamConfig
from pipeline.follow.detect import DetectStage
from pipeline.follow.follow import TrackStage
from pipeline.messages import Detected, EndReason, StreamEnd, Tracklet
from pipeline.runner.gate import Arrived, FrameGate, StreamCounts
from pipeline.runner.process import Failures, Part
from pipeline.runner.reader import ReaderSettings, StreamReader
from pipeline.runner.telemetry import Telemetry
from pipeline.runner.watchdog import Watchdog
from pipeline.secrets import redact

logger = logging.getLogger("musewatch.runner")

POLL_S = 0.25
BETWEEN = 2  # batches that wait between detector and tracker

Factories = Mapping[str, Callable[[], Any]]
"""By stream, what makes a new source of it."""


@dataclass(frozen=True, slots=True)
class StreamSummary:
    """What became of one stream's frames; `problem` says why none ever came of a live one."""

    id: str
    frames_in: int
    frames_inferred: int
    dropped: int
    reconnects: int
    problem: str | None = None


class Streams:
    """A reader for every stream of a config; streams come and go while it runs.

    Args:
        config: Names the streams.
        gate: Where their frames go.

    Raises:
        ConfigError: A source's settings are wrong.
    """

    def __init__(self, config: Config, gate: FrameGate) -> None:
        self._config, self._gate = config, gate
        self._watchdog = Watchdog(gate, config.runner.silent_s)
        self._factories = {stream.id: build.source_factory(config, stream) for stream in config.streams}
        self._readers: dict[str, StreamReader] = {}

    @property
    def alive(self) -> bool:
        """Whether any stream may still give a frame."""
        return any(reader.alive for reader in self._readers.values())

    def open(self) -> None:
        """Starts a reader for each stream."""
        for stream in self._config.streams:
            self._open(stream)

    def stop(self) -> None:
        """Asks all readers to end."""
        for reader in self._readers.values():
            reader.stop()

    def replace_stuck(self) -> None:
        """Wakes streams that fell silent, and gives readers up that do not come back from their source."""
        for stream_id in self._watchdog.look(self._readers, time.monotonic()):
            logger.error("stream %s: its source does not return; giving it up for a new one", stream_id)
            self._readers[stream_id].stop()
            self._open(next(stream for stream in self._config.streams if stream.id == stream_id))

    def factories(self, config: Config) -> Factories:
        """What makes the sources that `change` will need.

        Raises:
            ConfigError: A source's settings are wrong.
        """
        old = {stream.id: stream for stream in self._config.streams}
        added = [stream for stream in config.streams if old.get(stream.id) != stream]
        return {stream.id: build.source_factory(config, stream) for stream in added}

    def change(self, config: Config, factories: Factories) -> None:
        """Takes the streams of another config: new ones start, missing ones stop, changed ones do both."""
        old = {stream.id: stream for stream in self._config.streams}
        new = {stream.id: stream for stream in config.streams}
        for stream_id in [name for name in old if old[name] != new.get(name)]:
            self._readers.pop(stream_id).stop()
            self._gate.end(stream_id, EndReason.STOPPED)
            self._gate.remove(stream_id)
            logger.info("stream %s: removed", stream_id)
        self._config = config
        self._factories |= factories
        for stream_id in factories:
            self._open(new[stream_id])
            logger.info("stream %s: added", stream_id)

    def remarks(self) -> list[str]:
        """What is odd about streams that are up."""
        readers = list(self._readers.values())
        return [line for reader in readers for line in (reader.remark, reader.thinned) if line]

    def problems(self) -> list[str]:
        """Streams that are down, and why."""
        up = {name for name, count in self._gate.counts().items() if count.up}
        readers = dict(self._readers)
        names = [s.id for s in self._config.streams if s.id not in up]
        return [
            _with_reason(f"stream {name} is down", readers[name].trouble if name in readers else None)
            for name in names
            if name not in readers or not readers[name].done
        ]

    def summary(self) -> tuple[StreamSummary, ...]:
        """What became of every stream's frames."""
        return tuple(
            StreamSummary(
                name, c.frames_in, c.frames_inferred, c.dropped, c.reconnects, self._never_reached(name)
            )
            for name, c in self._gate.counts().items()
        )

    def failures(self) -> list[Exception]:
        """Why streams have ended for good before their time."""
        return [reader.failure for reader in self._readers.values() if reader.failure is not None]

    def _never_reached(self, stream_id: str) -> str | None:
        reader = self._readers.get(stream_id)
        if reader is None or not reader.live or self._gate.counts()[stream_id].frames_in:
            return None
        return _with_reason("never gave a frame", reader.trouble)

    def _open(self, stream: StreamConfig) -> None:
        settings = ReaderSettings(stream.max_fps, self._config.runner.backoff_s)
        reader = StreamReader(stream.id, self._factories[stream.id], self._gate, settings)
        self._readers[stream.id] = reader
        reader.start()


class FrontPart(Part):
    """What takes streams to tracklets, in this process or in others."""

    @abstractmethod
    def counts(self) -> Mapping[str, StreamCounts]:
        """What became of the frames so far, by stream."""

    @abstractmethod
    def summary(self) -> tuple[StreamSummary, ...]:
        """The same, with why none ever came."""

    @abstractmethod
    def reload(self, config: Config) -> None:
        """Takes the streams of another config, with their zones; goes on as it was where that cannot be."""


class Outlet(Protocol):
    """Where tracklets go."""

    def publish(self, tracklets: Sequence[Tracklet]) -> None:
        """Hands them on; may block."""
        ...


class Front(FrontPart):
    """Takes the frames of all streams through detect and follow, and puts tracklets on the bus.

    Args:
        config: Names the streams.
        gate: Where frames wait.
        detect: Finds people.
        track: Follows them.
        bus: Takes the tracklets.
        telemetry: Measures.
        failures: Told of frames that were lost.

    Attributes:
        gate: Where frames wait.
        streams: Who reads them.

    Raises:
        ConfigError: A source's settings are wrong.
    """

    def __init__(
        self,
        config: Config,
        gate: FrameGate,
        detect: DetectStage,
        track: TrackStage,
        bus: Outlet,
        telemetry: Telemetry,
        failures: Failures,
    ) -> None:
        self.gate, self.streams = gate, Streams(config, gate)
        self._detect, self._track, self._bus = detect, track, bus
        self._telemetry, self._failures = telemetry, failures
        self._max_batch = config.runner.max_batch
        self._between: queue.Queue[Sequence[Detected | StreamEnd] | None] = queue.Queue(BETWEEN)
        self._detecting, self._tracking = (
            threading.Thread(target=failures.guard(work), name=name, daemon=True)
            for name, work in (("detect", self._detect_all), ("track", self._track_all))
        )

    def start(self) -> None:
        """Begins."""
        self._detecting.start()
        self._tracking.start()
        self.streams.open()

    def look(self) -> bool:
        """Opens what hangs anew; False when all streams have ended."""
        self.streams.replace_stuck()
        self._telemetry.note("streams", self.streams.remarks())
        return self.streams.alive

    def problems(self) -> list[str]:
        """Streams that are down."""
        return self.streams.problems()

    def finish(self, deadline_s: float) -> bool:
        """Stops the streams, and waits until everything that was taken of them has reached the bus."""
        reason = EndReason.STOPPED if self.streams.alive else None
        self.streams.stop()
        self.gate.close(reason)
        self._tracking.join(max(1.0, deadline_s - time.monotonic()))
        return not self._tracking.is_alive()

    def failures(self) -> list[Exception]:
        """Why streams have ended for good before their time."""
        return self.streams.failures()

    def counts(self) -> Mapping[str, StreamCounts]:
        """What became of the frames so far, by stream."""
        return self.gate.counts()

    def summary(self) -> tuple[StreamSummary, ...]:
        """The same, with why none ever came."""
        return self.streams.summary()

    def reload(self, config: Config) -> None:
        """Takes the streams of another config, with their zones; goes on as it was where that cannot be."""
        if not config.streams:
            logger.error("the config was not reloaded: it has no streams; a signal ends the run")
            return
        try:
            factories, zones = self.streams.factories(config), build.zones(config)
        except Exception as error:
            logger.error("the config was not reloaded: %s", redact(str(error)))
            return
        self._track.use_zones(zones)
        self.streams.change(config, factories)

    def _detect_all(self) -> None:
        try:
            while (batch := self.gate.take(self._max_batch, POLL_S)) is not None:
                self._telemetry.queue_depth.labels("track").set(self._between.qsize())
                if batch:
                    self._between.put(self._detect_batch(batch))
        finally:
            self._between.put(None)

    def _detect_batch(self, batch: Sequence[Arrived | StreamEnd]) -> Sequence[Detected | StreamEnd]:
        now_s = time.monotonic()
        for item in batch:
            if isinstance(item, Arrived):
                age = self._telemetry.frame_age.labels(item.frame.stream_id)
                age.observe(now_s - item.at_s)
        items = [item.frame if isinstance(item, Arrived) else item for item in batch]
        with self._telemetry.timing("detect"):
            return list(self._detect.on_batch(items))

    def _track_all(self) -> None:
        while (batch := self._between.get()) is not None:
            before = self._failures.counts(i.frame.stream_id for i in batch if isinstance(i, Detected))
            with self._telemetry.timing("track"):
                tracklets = list(self._track.on_batch(batch))
            after = self._failures.counts(before)
            if any(after[stream_id] == count for stream_id, count in before.items()):
                self._failures.worked()
            if tracklets:
                self._bus.publish(tracklets)


def _with_reason(text: str, reason: str | None) -> str:
    return f"{text}: {reason}" if reason else text
