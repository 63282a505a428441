"""From tracklets to events: who they are is asked here, or elsewhere.

`Identifier` asks and owns no thread; `BusThread` carries tracklets off the bus inside this process.
"""

import logging
import math
import threading
import time
from abc import abstractmethod
from collections.abc import Iterable, Sequence
from datetime import UTC, datetime

from pipeline.clock import SteadyTime
from pipeline.deliver.events import to_event
from pipeline.identify.stage import IdentifyStage
from pipeline.messages import Hit, HitState, Tracklet
from pipeline.protocols import Bus
from pipeline.runner.delivery import Delivery
from pipeline.runner.process import Failures, Part
from pipeline.runner.telemetry import Telemetry
from pipeline.secrets import redact
from pipeline.watchlist.follower import WatchlistFollower

logger = logging.getLogger("musewatch.runner")

POLL_S = 0.25
BATCH = 64  # tracklets asked together


class Identifier:
    """Asks tracklets against a watchlist that changes, counts the hits and hands them on.

    Args:
        site: Goes into the events.
        stage: Makes the hits.
        follower: Brings the watchlist's changes.
        delivery: Takes the events, and holds them until it is told to store.
        telemetry: Counts them.

    Attributes:
        hits_opened: So far.
    """

    def __init__(
        self,
        site: str,
        stage: IdentifyStage,
        follower: WatchlistFollower,
        delivery: Delivery,
        telemetry: Telemetry,
    ) -> None:
        self.hits_opened = 0
        self._site, self._stage, self._follower = site, stage, follower
        self._delivery, self._telemetry = delivery, telemetry
        self._stale = False
        self._time = SteadyTime()  # nobody is over by a clock that is wrong for a minute

    def follow(self) -> None:
        """Takes the watchlist as it is.

        Raises:
            ConfigError: The enrolled pictures cannot be embedded.
            OutsideError: The watchlist cannot be read.
        """
        now = datetime.fromtimestamp(self._time(time.time()), UTC)
        snapshot = self._follower.refresh(now)
        if snapshot is None:
            return
        logger.info("watchlist version %d: %d enrolments", snapshot.version, len(snapshot))
        for enrolment in self._follower.unusable:
            logger.warning(
                "identity %s: enrolment %d cannot be used: %s",
                enrolment.identity_id, enrolment.enrolment_id, redact(enrolment.problem),
            )  # fmt: skip
        self.take(self._stage.use(snapshot))
        self._delivery.store()

    def follow_if_possible(self) -> None:
        """As `follow`; goes on with the watchlist as it was while that fails."""
        try:
            self.follow()
        except Exception as error:
            if not self._stale:
                logger.error("the watchlist stays as it was: %s", redact(str(error)))
            self._stale = True
            return
        if self._stale:
            logger.info("the watchlist is followed again")
        self._stale = False

    def ask(self, tracklets: Sequence[Tracklet]) -> None:
        """Asks; the hits are held until `Delivery.store`."""
        if tracklets:
            with self._telemetry.timing("identify"):
                self.take(self._stage.on_batch(tracklets))

    def take(self, hits: Iterable[Hit]) -> None:
        """Counts hits and hands them on as events."""
        for hit in hits:
            self.hits_opened += hit.state is HitState.OPENED
            self._telemetry.hits.labels(hit.stream_id, str(hit.state)).inc()
            self._delivery.add([to_event(hit, self._site)])


class BusThread(Part):
    """Takes tracklets off the bus inside this process and sees to it that what comes of them is stored.

    Args:
        bus: Where tracklets arrive.
        delivery: Holds the events until the outbox takes them.
        failures: Told of an unforeseen end.

    Attributes:
        name: Of the thread.
        most_held: Events held at which the bus is left to fill, so that frames are dropped in front instead.
    """

    name = "bus"
    most_held = math.inf

    def __init__(self, bus: Bus, delivery: Delivery, failures: Failures) -> None:
        self._bus, self._delivery = bus, delivery
        self._finish = threading.Event()
        self._deadline_s = math.inf
        self._thread = threading.Thread(target=failures.guard(self._run), name=self.name, daemon=True)

    @property
    def hits_opened(self) -> int:
        """In this process, so far."""
        return 0

    @abstractmethod
    def work(self, tracklets: Sequence[Tracklet]) -> None:
        """Makes events of some tracklets, none when there were none, and gives them to the delivery."""

    def start(self) -> None:
        """Begins."""
        self._thread.start()

    def finish(self, deadline_s: float) -> bool:
        """Ends when the bus is empty and all events are in the outbox, or at the deadline."""
        self._deadline_s = deadline_s
        self._finish.set()
        self._thread.join(max(1.0, deadline_s - time.monotonic()))
        return not self._thread.is_alive()

    def _run(self) -> None:
        while True:
            ending = self._finish.is_set()
            full = len(self._delivery) >= self.most_held
            tracklets = [] if full else self._bus.receive(BATCH, 0.0 if ending else POLL_S)
            self.work(tracklets)
            stored = self._delivery.store()
            drained = stored and not full
            if ending and not tracklets and (drained or time.monotonic() >= self._deadline_s):
                return
            if not stored and (ending or full):
                time.sleep(POLL_S)
