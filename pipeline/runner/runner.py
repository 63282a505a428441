"""A run from its first frame to its last event."""

import logging
from collections.abc import Callable, Mapping
from contextlib import ExitStack
from dataclasses import asdict, dataclass
from typing import Any

from pipeline import build
from pipeline.config import Config
from pipeline.runner.edge import edge
from pipeline.runner.front import StreamSummary
from pipeline.runner.gate import StreamCounts
from pipeline.runner.process import Process
from pipeline.runner.telemetry import serve
from pipeline.runner.whole import whole

logger = logging.getLogger("musewatch.runner")


@dataclass(frozen=True, slots=True)
class RunSummary:
    """What a run did.

    Attributes:
        streams: One entry a stream.
        hits: Hits opened.
        outbox: Events that a sink has not acknowledged.
        failure: Why the run, or a recorded stream, ended early; None when all went well.
        stopped: Somebody asked for the end.
    """

    streams: tuple[StreamSummary, ...]
    hits: int
    outbox: int
    failure: Exception | None = None
    stopped: bool = False

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

    streams: Mapping[str, StreamCounts]
    hits: int
    outbox: int


class Runner:
    """A process with cameras: people are identified in it, or by a group where its bus leads out of it.

    Args:
        config: What to run.

    Attributes:
        telemetry: What it tells about itself.

    Raises:
        ConfigError: A part cannot start; nothing has been started.
        OutsideError: A file or the telemetry address cannot be opened.
    """

    def __init__(self, config: Config) -> None:
        with ExitStack() as opened:
            bus = build.open_bus(config, opened)
            assemble = whole if bus.in_process else edge
            parts = assemble(config, bus, opened)
            cameras, self._back, self._delivery = parts.cameras, parts.back, parts.delivery
            self.telemetry, self._front, self._notes = cameras.telemetry, cameras.front, cameras.notes
            order = (self._front, self._back, self._delivery)
            self._process = Process(order, cameras.failures, cameras.looks.guests, config.outbox.drain_s)
            server = serve(config.telemetry, self.telemetry, self._process.problems)
            if server is not None:
                opened.callback(server.close)
            self._resources = opened.pop_all()
        self._reload: Config | None = None

    def problems(self) -> list[str]:
        """Reasons not to be ready."""
        return self._process.problems()

    def stop(self) -> None:
        """Asks for the end: streams stop, what is in the stages is finished, sinks are waited for."""
        self._process.stop()

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

        def on_tick() -> None:
            if self._reload is not None:
                changed, self._reload = self._reload, None
                self._front.reload(changed)
            if on_status is not None:
                on_status(Status(self._front.counts(), self._back.hits_opened, self._delivery.waiting))

        for note in self._notes:
            logger.info("%s", note)
        with self._resources:
            self._process.run(duration_s, on_tick)
        return RunSummary(
            self._front.summary(),
            self._back.hits_opened,
            self._delivery.waiting,
            self._process.failure,
            self._process.stopped,
        )
