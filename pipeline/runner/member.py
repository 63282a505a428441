"""A member of the group that verifies, from its start to its end."""

import logging
import threading
import time
from collections.abc import Callable
from contextlib import ExitStack, suppress
from dataclasses import dataclass
from typing import Any

from pipeline import build
from pipeline.config import Config
from pipeline.deliver.relay import Relay, RelayThread
from pipeline.errors import OutsideError
from pipeline.runner.commits import Commits
from pipeline.runner.identifying import Identifying
from pipeline.runner.positions import Positions
from pipeline.runner.receiving import Expected, Receiving, Recent
from pipeline.runner.storing import Storing, by_deleting
from pipeline.runner.telemetry import Telemetry, serve
from pipeline.runner.threads import Failures, guarded
from pipeline.secrets import redact
from pipeline.watchlist.mirror import WatchlistMirror
from pipeline.watchlist.vectors import digest_of

logger = logging.getLogger("musewatch.verify")

TICK_S = 0.1
COUNT_EVERY_S = 1.0
POLL_S = 0.2
PAUSE_S = 0.5  # after a failure of something outside


@dataclass(frozen=True, slots=True)
class MemberSummary:
    """What a member did.

    Attributes:
        hits: Hits opened.
        outbox: Events that a sink has not acknowledged.
        failure: Why it ended early; None when all went well.
    """

    hits: int
    outbox: int
    failure: Exception | None = None

    def as_json(self) -> dict[str, Any]:
        """The document of `musewatch verify --json`."""
        return {"hits": self.hits, "outbox": self.outbox}


class Member:
    """Owns the threads of one member.

    Hits that it left open by a crash are not closed at its next start: the tracks are somebody else's by then, and
    whoever has them closes the hits when they end.

    Args:
        config: What to run; its bus must lead out of the process.

    Raises:
        ConfigError: A part cannot start; nothing has been started.
        OutsideError: A file or the telemetry address cannot be opened.
    """

    def __init__(self, config: Config) -> None:
        self._config = config
        self._stopping = False  # by a signal, perhaps while this thread holds the lock of the event below
        self._stop = threading.Event()
        self._failing: str | None = "waiting for the broker's watchlist"
        self._resources = ExitStack()
        try:
            self._assemble()
        except BaseException:
            self._resources.close()
            raise

    def stop(self) -> None:
        """Asks for the end: what is in hand is finished, sinks are waited for, others take over."""
        self._stopping = True

    def run(self, duration_s: float | None = None) -> MemberSummary:
        """Runs until `stop` is called or `duration_s` is over; drains before it returns.

        Raises:
            ConfigError: The enrolled pictures cannot be embedded.
            OutsideError: The watchlist or the outbox cannot be read.
        """
        with self._resources:
            left = self._parts.outbox.leave_open_hits()
            if left:
                logger.info("%d hits were left open: whoever has their tracks closes them", left)
            self._identifying.follow()
            for thread in self._relay_threads:
                thread.start()
            self._thread.start()
            try:
                self._watch(duration_s)
            finally:
                summary = self._finish()
        return summary

    def _assemble(self) -> None:
        config = self._config
        self._parts = parts = self._resources.enter_context(build.open_parts(config, member=True))
        assert parts.remote is not None
        self._remote = parts.remote
        self.telemetry = Telemetry(dict)
        self._failures = Failures(self.telemetry)
        self._relays = [
            Relay(parts.outbox, sink, name, config.outbox.batch) for name, sink in parts.sinks.items()
        ]
        self._relay_threads = [RelayThread(relay) for relay in self._relays]
        self._storing = Storing(parts.outbox, by_deleting(parts.evidence), self._relay_threads)
        stage = build.identify_stage(config, parts, time.time)
        self._identifying = Identifying(
            config.site, stage, build.follower(parts), self._storing, self.telemetry
        )
        self._commits = Commits(parts.outbox.progress, time.monotonic())
        self._mirror = self._resources.enter_context(WatchlistMirror(self._remote, config.data_dir))
        embedder = parts.networks.embedder
        self._receiving = Receiving(
            self._remote,
            parts.networks.codec,
            Expected(config.site, digest_of(embedder), embedder.dimension, config.verify.late_s),
            stage,
            self._identifying,
            self._storing,
            Positions(config.verify.forget_s),
            _recent(parts),
            config.decision.cooldown_s,
            self.telemetry,
        )
        self._thread = threading.Thread(
            target=guarded(self._receive, self._failures), name="verify", daemon=True
        )
        server = serve(config.telemetry, self.telemetry, self._problems)
        if server is not None:
            self._resources.callback(server.close)

    def _problems(self) -> list[str]:
        """Reasons not to be ready."""
        sinks = [f"sink {relay.name}: {relay.failing}" for relay in self._relays if relay.failing]
        own = (self._failing, self._storing.held, self._parts.evidence.problem)
        return sinks + [problem for problem in own if problem]

    def _receive(self) -> None:
        """The member's thread: no tracklet is asked about before the broker's watchlist has been read."""
        while not self._stop.is_set():
            try:
                self._mirror.follow()
                self.telemetry.note("watchlist", self._mirror.remarks)
                self._identifying.follow_if_possible()
                done = self._receiving.step(POLL_S)
                if done:
                    self._remote.commit(self._commits.due(self._receiving.to_commit(), time.monotonic()))
            except OutsideError as error:
                self._failed(error)
                continue
            self._worked()
            if not done:
                self._stop.wait(PAUSE_S)

    def _failed(self, error: OutsideError) -> None:
        text = redact(str(error))
        if self._failing != text:
            logger.warning("trying again: %s", text)
        self._failing = text
        self._stop.wait(PAUSE_S)

    def _worked(self) -> None:
        if self._failing:
            logger.info("receiving tracklets")
        self._failing = None

    def _watch(self, duration_s: float | None) -> None:
        start_s = counted_s = time.monotonic()
        tick = threading.Event()  # never set; unlike sleep its wait bears a clock that jumps
        while not self._stopping:
            tick.wait(TICK_S)
            if duration_s is not None and time.monotonic() - start_s >= duration_s:
                return
            if self._failures.fatal or not self._thread.is_alive():
                return
            if time.monotonic() - counted_s >= COUNT_EVERY_S:
                counted_s = time.monotonic()
                self._waiting()
            self.telemetry.storage_failing.set(bool(self._storing.held))

    def _finish(self) -> MemberSummary:
        """Sinks are waited for before the group is left: who takes over then sees what was reported."""
        self._stop.set()
        deadline_s = time.monotonic() + self._config.outbox.drain_s
        self._thread.join(max(1.0, deadline_s - time.monotonic()))
        for thread in self._relay_threads:
            thread.stop(deadline_s)
        for thread in self._relay_threads:
            thread.join()
        if not self._thread.is_alive() and self._failures.fatal is None:
            with suppress(OutsideError):
                self._remote.commit(self._receiving.to_commit())
        return MemberSummary(self._identifying.hits_opened, self._waiting(), self._failures.fatal)

    def _waiting(self) -> int:
        with suppress(OutsideError):
            return self.telemetry.measure(self._parts.outbox)
        return 0


def _recent(parts: build.Parts) -> Recent | None:
    """Of the first sink that can tell what was reported."""
    found: list[Callable[..., Any]] = [
        sink.recent for sink in parts.sinks.values() if hasattr(sink, "recent")
    ]
    return found[0] if found else None
