"""What a member of the group does with a delivery: read, identify, store, and only then commit."""

import logging
import time
from collections import deque
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from typing import Any

from pipeline.bounds import MAX_PIXELS
from pipeline.clock import SteadyTime
from pipeline.deliver.events import to_hit
from pipeline.deliver.tracklets import Arrival, from_message
from pipeline.errors import InputError, OutsideError
from pipeline.identify.stage import IdentifyStage
from pipeline.messages import Hit, HitState, TrackKey, Tracklet
from pipeline.protocols import ProbingCodec
from pipeline.remote_bus import BusMessage, RemoteBus
from pipeline.runner.back import Identifier
from pipeline.runner.delivery import Delivery
from pipeline.runner.positions import Positions
from pipeline.runner.telemetry import Telemetry

logger = logging.getLogger("musewatch.verify")

LIMIT = 32  # tracklets received, and asked, together
SLACK_S = 60.0  # between clocks, when looking for hits already reported

Recent = Callable[[float], Iterable[Mapping[str, Any]]]
"""Hit events reported within so many seconds, by anybody."""


@dataclass(frozen=True, slots=True)
class Expected:
    """Which tracklets can be compared here.

    Attributes:
        site: Of this member; part of every hit's id.
        engine: Digest of the engine behind the watchlist's vectors.
        dimension: Their length.
        late_s: A tracklet asked so long ago is marked.
    """

    site: str
    engine: str
    dimension: int
    late_s: float


class Receiving:
    """Turns deliveries into events in the outbox; for one thread, which calls `step` again and again.

    When it takes a partition over it first reads the hits reported of late, so that it goes on where the member
    before it was seen to stop: open ones are adopted, closed ones stay closed, cool-downs count.

    Args:
        remote: Where tracklets come from.
        codec: Opens their pictures.
        expected: Others are refused.
        stage: Makes the hits; the same as `identifier` asks.
        identifier: Asks.
        delivery: Puts events into the outbox.
        positions: The books.
        recent: Hits already reported, where a sink can tell.
        cooldown_s: How far a reported hit reaches.
        telemetry: Counts.
    """

    def __init__(
        self,
        remote: RemoteBus,
        codec: ProbingCodec,
        expected: Expected,
        stage: IdentifyStage,
        identifier: Identifier,
        delivery: Delivery,
        positions: Positions,
        recent: Recent | None,
        cooldown_s: float,
        telemetry: Telemetry,
    ) -> None:
        self._remote, self._codec, self._expected = remote, codec, expected
        self._stage, self._identifier, self._delivery = stage, identifier, delivery
        self._positions, self._recent, self._cooldown_s = positions, recent, cooldown_s
        self._telemetry = telemetry
        self._time = SteadyTime()
        self._waiting: deque[BusMessage] = deque()
        self._ready: list[tuple[BusMessage, Tracklet]] = []
        self._taken_over: set[int] = set()
        self._reported: dict[TrackKey, list[Hit]] = {}
        self._complained: set[str] = set()

    def step(self, timeout_s: float) -> bool:
        """Receives, and works off what is in hand; False when the outbox takes nothing now.

        Raises:
            OutsideError: Something cannot be reached; what is in hand is kept for the next step.
        """
        if not self._waiting and not self._ready and self._delivery.store():
            self._receive(timeout_s)
        self._look_up_reported()
        while self._waiting:
            self._read(self._waiting[0])
            self._waiting.popleft()
        self._ask()
        self._close_forgotten()
        return self._delivery.store()

    def to_commit(self) -> dict[int, int]:
        """By partition the offset to commit; none while something is in hand that is not in the outbox."""
        if self._waiting or self._ready or len(self._delivery):
            return {}
        return self._positions.to_commit()

    def _receive(self, timeout_s: float) -> None:
        delivery = self._remote.receive(LIMIT, timeout_s)
        for partition in delivery.lost:
            self._stage.forget(self._positions.drop(partition))
        self._taken_over = (self._taken_over - delivery.lost) | delivery.gained
        if delivery.gained or delivery.lost:
            logger.info("partitions gained %s, lost %s", sorted(delivery.gained), sorted(delivery.lost))
        self._waiting.extend(delivery.messages)
        self._measure(delivery.messages)

    def _measure(self, messages: Iterable[BusMessage]) -> None:
        lag = sum(self._remote.lag().values())
        self._telemetry.bus_lag.set(lag)
        oldest_s = min((message.at_s for message in messages), default=None)
        if oldest_s is not None:
            self._telemetry.tracklet_age.set(max(0.0, time.time() - oldest_s))
        elif not lag:
            self._telemetry.tracklet_age.set(0.0)

    def _look_up_reported(self) -> None:
        """Before the first message of a partition taken over: what has been reported since that message."""
        first = [message for message in self._waiting if message.partition in self._taken_over]
        if not first:
            return
        if self._recent is not None:
            at_s = [message.at_s for message in first]
            age_s = max(self._time(time.time()), *at_s) - min(at_s) + self._cooldown_s + SLACK_S
            latest = _latest(self._recent(age_s))
            self._stage.recall(latest)
            for hit in latest:
                key = TrackKey(hit.stream_id, hit.epoch, hit.track_id)
                self._reported.setdefault(key, []).append(hit)
                if hit.continued_from is not None:
                    self._reported.setdefault(key._replace(track_id=hit.continued_from), []).append(hit)
        self._taken_over -= {message.partition for message in first}

    def _read(self, message: BusMessage) -> None:
        try:
            arrival = from_message(message.value, self._codec)
        except Exception as error:
            self._bury(message, error)
            self._positions.note(message)
            return
        self._positions.note(message)
        problem = self._foreign(arrival)
        if problem is not None:
            self._refused(*problem)
        else:
            self._take(message, arrival)

    def _bury(self, message: BusMessage, error: Exception) -> None:
        """Whatever one message does ends with that message: it goes to the dead letters."""
        reason = str(error) if isinstance(error, InputError) else f"{type(error).__name__}: {error}"[:300]
        self._remote.refuse(message, reason)
        self._refused("unreadable", f"{message.topic}, offset {message.offset}", reason)

    def _foreign(self, arrival: Arrival) -> tuple[str, str, str] | None:
        """Why the tracklet cannot be compared with this watchlist: reason, sender, message."""
        expected, length = self._expected, len(arrival.tracklet.embedding)
        if arrival.site != expected.site:
            text = f"they are of site {arrival.site!r}, this member serves {expected.site!r}"
            return "site", arrival.site, text
        if arrival.engine != expected.engine or length != expected.dimension:
            theirs = f"{arrival.engine} ({length} numbers)"
            text = (
                f"made by engine {theirs}, the watchlist by {expected.engine} ({expected.dimension} numbers)"
            )
            return "engine", arrival.engine, text
        return None

    def _refused(self, reason: str, sender: str, text: str) -> None:
        self._telemetry.refused.labels(reason).inc()
        if reason == "unreadable":
            logger.warning("dead letter: %s: %s", sender, text)
        elif sender not in self._complained:
            self._complained.add(sender)
            logger.error("tracklets are refused, not compared: %s", text)

    def _take(self, message: BusMessage, arrival: Arrival) -> None:
        tracklet, partition = arrival.tracklet, message.partition
        if self._positions.is_new(partition, tracklet.key):
            self._go_on(partition, tracklet.key)
        self._interrupt(partition, self._positions.superseded(partition, tracklet.key, arrival.asked_at))
        if self._positions.take(message, tracklet):
            late = datetime.now(UTC) - arrival.asked_at > timedelta(seconds=self._expected.late_s)
            self._ready.append((message, replace(tracklet, degraded=("late",)) if late else tracklet))
            if sum(ready.pixels for _, ready in self._ready) > MAX_PIXELS:
                self._ask()

    def _go_on(self, partition: int, key: TrackKey) -> None:
        """Takes up what another member has reported of a track."""
        reported = self._reported.pop(key, [])
        closed = [hit for hit in reported if hit.state is HitState.CLOSED and hit.track_id == key.track_id]
        if closed and not any(hit.state.is_open for hit in reported):
            self._positions.finish(partition, [key])
        else:
            self._stage.adopt(key, (hit for hit in reported if hit not in closed))

    def _interrupt(self, partition: int, keys: list[TrackKey]) -> None:
        if keys:
            self._ask()
            self._identifier.take(self._stage.interrupt(keys))
            self._positions.finish(partition, keys)

    def _ask(self) -> None:
        """All together; where that fails, one by one, so that the one to blame is known."""
        try:
            self._identifier.ask([tracklet for _, tracklet in self._ready])
            self._ready.clear()
        except OutsideError:
            raise
        except Exception:
            while self._ready:
                self._ask_first()

    def _ask_first(self) -> None:
        message, tracklet = self._ready[0]
        try:
            self._identifier.ask([tracklet])
        except OutsideError:
            raise
        except Exception as error:
            self._bury(message, error)
            self._positions.give_back(message, tracklet.key)
        del self._ready[0]

    def _close_forgotten(self) -> None:
        read_up = [partition for partition, lag in self._remote.lag().items() if not lag]
        for partition, key in self._positions.forgotten(self._time(time.time()), read_up):
            self._interrupt(partition, [key])


def _latest(events: Iterable[Mapping[str, Any]]) -> list[Hit]:
    """The last revision of every hit, in the order in which they were opened."""
    hits: dict[str, Hit] = {}
    for event in events:
        try:
            hit = to_hit(event)
        except ValueError:  # somebody else's
            continue
        known = hits.get(hit.hit_id)
        if known is None or hit.revision > known.revision:
            hits[hit.hit_id] = hit
    return list(hits.values())
