"""A run from its first frame to its last event: starts the threads, watches over them, drains and stops."""

import logging
import threading
import time
from collections.abc import Callable
from contextlib import ExitStack, suppress
from dataclasses import asdict, dataclass
from typing import Any

from pipeline import build
from pipeline.config import Config, StreamConfig
from pipeline.deliver.relay import Relay, RelayThread
from pipeline.errors import OutboxError, OutsideError
from pipeline.messages import EndReason
from pipeline.runner.back import Back
from pipeline.runner.gate import FrameGate, StreamCounts
from pipeline.runner.reader import ReaderSettings, StreamReader
from pipeline.runner.telemetry import Telemetry, serve
from pipeline.runner.threads import Failures, FrontThreads
from pipeline.runner.watchdog import Watchdog
from pipeline.secrets import redact

logger = logging.getLogger("musewatch.runner")

TICK_S = 0.1
COUNT_EVERY_S = 1.0
TRACKLETS = 16  # handed to the bus at once: each may be near 1 MB


@dataclass(frozen=True, slots=True)
class StreamSummary:
    """What became of one stream's frames."""

    id: str
    frames_in: int
    frames_inferred: int
    dropped: int
    reconnects: int


@dataclass(frozen=True, slots=True)
class RunSummary:
    """What a run did.

    Attributes:
        streams: One entry a stream.
        hits: Hits opened.
        outbox: Events that a sink has not acknowledged.
        failure: Why the run, or a recorded stream, ended early; None when all went well.
    """

    streams: tuple[StreamSummary, ...]
    hits: int
    outbox: int
    failure: Exception | None = None

    def as_json(self) -> dict[str, Any]:
        """The document of `musewatch run --json`."""
        return {"streams": [asdict(s) for s in self.streams], "hits": self.hits, "outbox": self.outbox}


@dataclass(frozen=True, slots=True)
class Status:
    """How a run stands, for the status line.

    Attributes:
        streams: Live counts by stream.
        hits: Hits opened so far.
        outbox: Events that wait for a sink.
    """

    streams: dict[str, StreamCounts]
    hits: int
    outbox: int


class Runner:
    """Owns the threads of one run.

    Args:
        config: What to run.

    Raises:
        ConfigError: A part cannot start; nothing has been started.
        OutsideError: A file or the telemetry address cannot be opened.
    """

    def __init__(self, config: Config) -> None:
        self._config = config
        self._stopping = False  # no Event: a signal may come while this very thread holds its lock
        self._reload: Config | None = None
        self._unfinished = False
        self._last_waiting, self._waiting_read_s = 0, -COUNT_EVERY_S
        self._readers: dict[str, StreamReader] = {}
        self._resources = ExitStack()
        self._gate = FrameGate(time.monotonic)
        self._watchdog = Watchdog(self._gate, config.runner.silent_s)
        try:
            self._assemble()
        except BaseException:
            self._resources.close()
            raise

    def stop(self) -> None:
        """Asks for the end: streams stop, what is in the stages is finished, sinks are waited for."""
        self._stopping = True

    def reload(self, config: Config) -> None:
        """Takes the streams of another config: new ones start, missing ones stop, changed ones do both."""
        self._reload = config

    def run(
        self, duration_s: float | None = None, on_status: Callable[[Status], None] | None = None
    ) -> RunSummary:
        """Runs until all recordings have ended, `duration_s` is over or `stop` is called; drains before it returns.

        Raises:
            ConfigError: The enrolled pictures cannot be embedded.
            OutsideError: The watchlist or the outbox cannot be read.
        """
        with self._resources:
            self._prepare()
            try:
                self._start()
                self._watch(duration_s, on_status)
            finally:
                summary = self._finish()
        return summary

    def _assemble(self) -> None:
        config = self._config
        self._factories = {s.id: build.source_factory(config, s) for s in config.streams}
        self._parts = self._resources.enter_context(build.open_parts(config))
        self.telemetry = Telemetry(self._gate.counts)
        self._failures = Failures(self.telemetry)
        detect, self._track = build.front_stages(
            config, self._parts.networks, self._parts.max_distance, self._failures.report
        )
        self._front = FrontThreads(
            self._gate,
            detect,
            self._track,
            self._parts.bus,
            self.telemetry,
            self._failures,
            config.runner.max_batch,
        )
        batch = config.outbox.batch if self._parts.remote is None else min(TRACKLETS, config.outbox.batch)
        self._relays = [
            Relay(self._parts.outbox, sink, name, batch) for name, sink in self._parts.sinks.items()
        ]
        self._relay_threads = [RelayThread(relay) for relay in self._relays]
        self._back = Back(config, self._parts, self._relay_threads, self.telemetry, self._failures)
        server = serve(config.telemetry, self.telemetry, self._problems)
        if server is not None:
            self._resources.callback(server.close)

    def _problems(self) -> list[str]:
        """Reasons not to be ready."""
        counts = self._gate.counts()
        up = {name for name, count in counts.items() if count.up}
        over = {name for name, reader in self._readers.items() if reader.done}
        down = [f"stream {s.id} is down" for s in self._config.streams if s.id not in up | over]
        sinks = [f"sink {relay.name}: {relay.failing}" for relay in self._relays if relay.failing]
        return down + sinks + self._storage_problems()

    def _storage_problems(self) -> list[str]:
        """What cannot be written; the disk is full, most likely."""
        return [problem for problem in (self._back.held, self._parts.evidence.problem) if problem]

    def _prepare(self) -> None:
        if self._parts.remote is None:
            closed = self._parts.outbox.close_interrupted()
            if closed:
                logger.warning("%d hits of an interrupted run closed", len(closed))
        self._back.prepare()

    def _start(self) -> None:
        self._back.start()
        for thread in self._relay_threads:
            thread.start()
        self._front.start()
        for stream in self._config.streams:
            self._open(stream)

    def _open(self, stream: StreamConfig) -> None:
        settings = ReaderSettings(stream.max_fps, self._config.runner.backoff_s)
        reader = StreamReader(stream.id, self._factories[stream.id], self._gate, settings)
        self._readers[stream.id] = reader
        reader.start()

    def _watch(self, duration_s: float | None, on_status: Callable[[Status], None] | None) -> None:
        start_s = time.monotonic()
        tick = threading.Event()  # never set; unlike sleep its wait bears a clock that jumps
        while not self._stopping:
            tick.wait(TICK_S)
            if duration_s is not None and time.monotonic() - start_s >= duration_s:
                return
            if not any(reader.alive for reader in self._readers.values()) or self._failures.fatal:
                return
            self._wake_silent_streams()
            if self._reload is not None:
                self._change_streams(self._reload)
            if time.monotonic() - self._waiting_read_s >= COUNT_EVERY_S:
                self._count_waiting()
            self.telemetry.storage_failing.set(bool(self._storage_problems()))
            if on_status is not None:
                on_status(Status(self._gate.counts(), self._back.hits_opened, self._last_waiting))

    def _wake_silent_streams(self) -> None:
        for stream_id in self._watchdog.look(self._readers, time.monotonic()):
            logger.error("stream %s: its source does not return; giving it up for a new one", stream_id)
            self._readers[stream_id].stop()
            self._open(next(stream for stream in self._config.streams if stream.id == stream_id))

    def _change_streams(self, config: Config) -> None:
        self._reload = None
        if not config.streams:
            logger.error("the config was not reloaded: it has no streams; a signal ends the run")
            return
        old = {stream.id: stream for stream in self._config.streams}
        new = {stream.id: stream for stream in config.streams}
        added = [name for name in new if old.get(name) != new[name]]
        try:
            factories = {name: build.source_factory(config, new[name]) for name in added}
        except Exception as error:
            logger.error("the config was not reloaded: %s", redact(str(error)))
            return
        for stream_id in [name for name in old if old[name] != new.get(name)]:
            self._readers.pop(stream_id).stop()
            self._gate.end(stream_id, EndReason.STOPPED)
            self._gate.remove(stream_id)
            logger.info("stream %s: removed", stream_id)
        self._config = config
        self._factories |= factories
        self._track.use_zones(build.zones(config))
        for stream_id in added:
            self._open(new[stream_id])
            logger.info("stream %s: added", stream_id)

    def _count_waiting(self) -> int:
        """Events in the outbox; as many as before while it cannot be read."""
        with suppress(OutsideError):
            self._last_waiting = self.telemetry.measure(self._parts.outbox, self._back.lightened)
        self._waiting_read_s = time.monotonic()
        return self._last_waiting

    def _finish(self) -> RunSummary:
        stopped = self._stopping or any(reader.alive for reader in self._readers.values())
        for reader in self._readers.values():
            reader.stop()
        self._gate.close(EndReason.STOPPED if stopped else None)
        deadline_s = time.monotonic() + self._config.outbox.drain_s
        followed = self._front.join(max(1.0, deadline_s - time.monotonic()))
        self._back.finish(deadline_s)
        identified = self._back.join(max(1.0, deadline_s - time.monotonic()))
        self._unfinished = not (followed and identified)
        for thread in self._relay_threads:
            thread.stop(deadline_s)
        for thread in self._relay_threads:
            thread.join()
        return self._summary(self._count_waiting())

    def _summary(self, waiting: int) -> RunSummary:
        failures = [
            self._failures.fatal,
            *(reader.failure for reader in self._readers.values()),
            self._unstored(),
        ]
        streams = tuple(
            StreamSummary(name, c.frames_in, c.frames_inferred, c.dropped, c.reconnects)
            for name, c in self._gate.counts().items()
        )
        first = next((failure for failure in failures if failure is not None), None)
        return RunSummary(streams, self._back.hits_opened, waiting, first)

    def _unstored(self) -> OutsideError | None:
        """What is lost with this process: the outbox did not take it, or the stages were too slow."""
        held = self._back.held
        if held:
            return OutboxError(f"events could not be stored before the end: {held}")
        if self._unfinished:
            return OutsideError("the last frames were not finished in time", "raise outbox.drain_s")
        return None
