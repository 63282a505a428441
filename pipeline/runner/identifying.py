"""The identifying half of a process, without a thread: watchlist, stage and what becomes of the hits."""

import logging
from collections.abc import Iterable, Sequence
from datetime import UTC, datetime

from pipeline.deliver.events import to_event
from pipeline.identify.stage import IdentifyStage
from pipeline.messages import Hit, HitState, Tracklet
from pipeline.runner.storing import Storing
from pipeline.runner.telemetry import Telemetry
from pipeline.secrets import redact
from pipeline.watchlist.follower import WatchlistFollower

logger = logging.getLogger("musewatch.runner")


class Identifying:
    """Asks tracklets against a watchlist that changes, counts the hits and hands them on.

    Args:
        site: Goes into the events.
        stage: Makes the hits.
        follower: Brings the watchlist's changes.
        storing: Takes the events, and holds them until it is told to store.
        telemetry: Counts them.

    Attributes:
        hits_opened: So far.
    """

    def __init__(
        self,
        site: str,
        stage: IdentifyStage,
        follower: WatchlistFollower,
        storing: Storing,
        telemetry: Telemetry,
    ) -> None:
        self.hits_opened = 0
        self._site, self._stage, self._follower = site, stage, follower
        self._storing, self._telemetry = storing, telemetry
        self._stale = False

    def follow(self) -> None:
        """Takes the watchlist as it is.

        Raises:
            ConfigError: The enrolled pictures cannot be embedded.
            OutsideError: The watchlist cannot be read.
        """
        snapshot = self._follower.refresh(datetime.now(UTC))
        if snapshot is None:
            return
        logger.info("watchlist version %d: %d enrolments", snapshot.version, len(snapshot))
        for enrolment in self._follower.unusable:
            logger.warning(
                "identity %s: enrolment %d cannot be used: %s",
                enrolment.identity_id, enrolment.enrolment_id, redact(enrolment.problem),
            )  # fmt: skip
        self.take(self._stage.use(snapshot))
        self._storing.store()

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
        """Asks; the hits are held until `Storing.store`."""
        if tracklets:
            with self._telemetry.timing("identify"):
                self.take(self._stage.on_batch(tracklets))

    def take(self, hits: Iterable[Hit]) -> None:
        """Counts hits and hands them on as events."""
        for hit in hits:
            self.hits_opened += hit.state is HitState.OPENED
            self._telemetry.hits.labels(hit.stream_id, str(hit.state)).inc()
            self._storing.add([to_event(hit, self._site)])
