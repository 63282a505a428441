"""The whole job in one process: cameras in front, people identified behind, hits delivered."""

import logging
import time
from collections.abc import Sequence
from contextlib import ExitStack

from pipeline import build
from pipeline.config import Config
from pipeline.deliver.outbox import Outbox
from pipeline.errors import words_of
from pipeline.messages import Tracklet
from pipeline.protocols import Bus
from pipeline.runner.assembly import Assembly
from pipeline.runner.back import BusThread, Identifier
from pipeline.runner.delivery import Delivery, EvidenceRoom
from pipeline.runner.process import Failures
from pipeline.runner.supervisor import open_front
from pipeline.secrets import redact

logger = logging.getLogger("musewatch.runner")


class IdentifyThread(BusThread):
    """Identifies the tracklets, each batch against the watchlist as it is then.

    Args:
        bus: Where tracklets arrive.
        delivery: Takes the events.
        failures: Told of an unforeseen end.
        identifier: Asks.
        outbox: Hits that an interrupted run left open there are closed.
    """

    name = "identify"

    def __init__(
        self, bus: Bus, delivery: Delivery, failures: Failures, identifier: Identifier, outbox: Outbox
    ) -> None:
        super().__init__(bus, delivery, failures)
        self._identifier, self._outbox, self._failures = identifier, outbox, failures
        self._failing: Exception | None = None

    @property
    def hits_opened(self) -> int:
        """So far."""
        return self._identifier.hits_opened

    def prepare(self) -> None:
        """Closes what an interrupted run left open, and takes the watchlist as it is.

        Raises:
            ConfigError: The enrolled pictures cannot be embedded.
            OutsideError: The watchlist or the outbox cannot be read.
        """
        closed = self._outbox.close_interrupted()
        if closed:
            logger.warning("%d hits of an interrupted run closed", len(closed))
        self._identifier.follow()

    def work(self, tracklets: Sequence[Tracklet]) -> None:
        """Asks all together; where that fails, one by one, so that the one to blame costs itself only."""
        self._identifier.follow_if_possible()
        try:
            self._identifier.ask(tracklets)
        except Exception:
            for tracklet in tracklets:
                self._ask_alone(tracklet)
        else:
            self._failing = None if tracklets else self._failing

    def _ask_alone(self, tracklet: Tracklet) -> None:
        try:
            self._identifier.ask([tracklet])
        except Exception as error:
            self._failing = error
            self._failures.report(tracklet.key.stream_id, error, "a track was not identified")
        else:
            self._failing = None

    def problems(self) -> list[str]:
        """Why the last track could not be identified."""
        return [f"identify: {redact(words_of(self._failing))}"] if self._failing else []

    def failures(self) -> list[Exception]:
        """The same, where none has been since."""
        return [self._failing] if self._failing else []


def whole(config: Config, bus: Bus, opened: ExitStack) -> Assembly:
    """Puts the parts together.

    Args:
        config: What to run.
        bus: Inside this process.
        opened: Closes what is opened.

    Raises:
        ConfigError: A part cannot start.
        OutsideError: A file of the data folder cannot be opened.
    """
    cameras = open_front(config, bus, opened)
    looks, telemetry = cameras.looks, cameras.telemetry
    judges, sinks = build.open_judges(config, opened, looks.guests), build.sinks(config)
    outbox = build.open_outbox(config, opened, sinks)
    delivery = Delivery(outbox, sinks, config.outbox, EvidenceRoom(judges.evidence), telemetry)
    identifier = Identifier(
        config.site,
        build.identify_stage(config, looks, judges, time.time),
        build.follower(looks, judges),
        delivery,
        telemetry,
    )
    back = IdentifyThread(bus, delivery, cameras.failures, identifier, outbox)
    return Assembly(cameras, back, delivery)
