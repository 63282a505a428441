"""A member of the group that verifies, from its start to its end."""

import logging
import threading
import time
from collections.abc import Mapping
from contextlib import ExitStack, suppress
from dataclasses import dataclass
from typing import Any

from pipeline import build
from pipeline.config import Config
from pipeline.deliver.outbox import Outbox
from pipeline.errors import ConfigError, OutsideError
from pipeline.facts import SinkFacts, facts
from pipeline.protocols import Sink
from pipeline.remote_bus import RemoteBus
from pipeline.runner.back import Identifier
from pipeline.runner.delivery import Delivery, EvidenceRoom
from pipeline.runner.positions import Commits, Positions
from pipeline.runner.process import Failures, Part, Process
from pipeline.runner.receiving import Expected, Receiving, Recent
from pipeline.runner.telemetry import Telemetry, serve
from pipeline.secrets import redact
from pipeline.watchlist.mirror import WatchlistMirror

logger = logging.getLogger("musewatch.verify")

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


class ReceiveThread(Part):
    """Receives tracklets, has them identified and commits their offsets; waits and tries again where that fails.

    Hits that this member left open by a crash are not closed at its next start: the tracks are somebody else's by
    then, and whoever has them closes the hits when they end.

    Args:
        remote: Where tracklets come from.
        mirror: Brings the group's watchlist.
        identifier: Asks.
        receiving: What is done with a delivery.
        outbox: Where the hits go.
        failures: Told of an unforeseen end.
        telemetry: Says what is odd about the group's watchlist.
    """

    def __init__(
        self,
        remote: RemoteBus,
        mirror: WatchlistMirror,
        identifier: Identifier,
        receiving: Receiving,
        outbox: Outbox,
        failures: Failures,
        telemetry: Telemetry,
    ) -> None:
        self._remote, self._mirror, self._telemetry = remote, mirror, telemetry
        self._identifier, self._receiving, self._outbox = identifier, receiving, outbox
        self._commits = Commits(outbox.progress, time.monotonic())
        self._failing: str | None = "waiting for the broker's watchlist"
        self._stop = threading.Event()
        self._thread = threading.Thread(target=failures.guard(self._run), name="verify", daemon=True)

    def prepare(self) -> None:
        """Leaves open what it left open before, and takes the watchlist as it is here.

        Raises:
            ConfigError: The enrolled pictures cannot be embedded.
            OutsideError: The watchlist or the outbox cannot be read.
        """
        left = self._outbox.leave_open_hits()
        if left:
            logger.info("%d hits were left open: whoever has their tracks closes them", left)
        self._identifier.follow()

    def start(self) -> None:
        """Begins."""
        self._thread.start()

    def look(self) -> bool:
        """False once its thread has died."""
        return self._thread.is_alive()

    def problems(self) -> list[str]:
        """What cannot be reached."""
        return [self._failing] if self._failing else []

    def finish(self, deadline_s: float) -> bool:
        """Finishes what is in hand."""
        self._stop.set()
        self._thread.join(max(1.0, deadline_s - time.monotonic()))
        return not self._thread.is_alive()

    def commit_rest(self) -> None:
        """After the end, and before the group is left: whoever takes over need not read again what is done."""
        if not self._thread.is_alive():
            with suppress(OutsideError):
                self._remote.commit(self._receiving.to_commit())

    def _run(self) -> None:
        """No tracklet is asked about before the broker's watchlist has been read."""
        while not self._stop.is_set():
            try:
                self._mirror.follow()
                self._telemetry.note("watchlist", self._mirror.remarks)
                self._identifier.follow_if_possible()
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


class Member:
    """A process that identifies what cameras elsewhere have seen; any number share the work.

    Args:
        config: What to run; its bus must lead out of the process.

    Attributes:
        telemetry: What it tells about itself.

    Raises:
        ConfigError: A part cannot start; nothing has been started.
        OutsideError: A file or the telemetry address cannot be opened.
    """

    def __init__(self, config: Config) -> None:
        self.telemetry = Telemetry(dict)
        self._failures, self._guests = Failures(self.telemetry), build.guests(config)
        self.telemetry.watch(self._guests)
        with ExitStack() as opened:
            self._assemble(config, opened)
            order = (self._receiver, self._delivery)
            self._process = Process(order, self._failures, self._guests, config.outbox.drain_s)
            server = serve(config.telemetry, self.telemetry, self._process.problems)
            if server is not None:
                opened.callback(server.close)
            self._resources = opened.pop_all()

    def stop(self) -> None:
        """Asks for the end: what is in hand is finished, sinks are waited for, others take over."""
        self._process.stop()

    def run(self, duration_s: float | None = None) -> MemberSummary:
        """Runs until `stop` is called or `duration_s` is over; drains before it returns.

        Sinks are waited for before the group is left: who takes over then sees what was reported.

        Raises:
            ConfigError: The enrolled pictures cannot be embedded.
            OutsideError: The watchlist or the outbox cannot be read.
        """
        with self._resources:
            self._process.run(duration_s)
            if self._failures.fatal is None:
                self._receiver.commit_rest()
        return MemberSummary(self._identifier.hits_opened, self._delivery.waiting, self._process.failure)

    def _assemble(self, config: Config, opened: ExitStack) -> None:
        remote = build.open_bus(config, opened)
        if remote.in_process:
            raise ConfigError(
                f"the bus {config.bus.use!r} stays inside one process, so there is no group to join",
                'set bus: {use: kafka, bootstrap: "HOST:PORT"}',
            )
        looks, judges = (
            build.open_looks(config, opened, self._guests),
            build.open_judges(config, opened, self._guests),
        )
        sinks = build.sinks(config)
        outbox = build.open_outbox(config, opened, sinks)
        room = EvidenceRoom(judges.evidence)
        self._delivery = Delivery(outbox, sinks, config.outbox, room, self.telemetry)
        stage = build.identify_stage(config, looks, judges, time.time)
        follower = build.follower(looks, judges)
        self._identifier = Identifier(config.site, stage, follower, self._delivery, self.telemetry)
        mirror = opened.enter_context(WatchlistMirror(remote, build.open_watchlist(config)))
        receiving = Receiving(
            remote,
            looks.codec,
            Expected(config.site, looks.embedder.digest, looks.embedder.dimension, config.verify.late_s),
            stage,
            self._identifier,
            self._delivery,
            Positions(config.verify.forget_s),
            _recent(sinks),
            config.decision.cooldown_s,
            self.telemetry,
        )
        self._receiver = ReceiveThread(
            remote, mirror, self._identifier, receiving, outbox, self._failures, self.telemetry
        )


def _recent(sinks: Mapping[str, Sink]) -> Recent | None:
    """Of the first sink that can tell what was reported."""
    told = (facts(SinkFacts, sink, f"sink {name!r}").recent for name, sink in sinks.items())
    return next((recent for recent in told if recent is not None), None)
