"""From events in memory to the sinks: the outbox, and a relay for each sink."""

import logging
import time
from collections.abc import Iterable, Mapping
from contextlib import suppress
from typing import Any, Protocol

from pipeline.config import OutboxConfig
from pipeline.deliver.outbox import Outbox
from pipeline.deliver.relay import Relay, RelayThread
from pipeline.errors import OutboxError, OutboxFullError, OutsideError
from pipeline.protocols import Sink
from pipeline.runner.process import Part
from pipeline.runner.telemetry import Telemetry
from pipeline.store.pictures import EvidenceStore

logger = logging.getLogger("musewatch.runner")

COUNT_EVERY_S = 1.0
FORGET_EVERY_S = 60.0
ROOM_BYTES = 1_000_000  # freed at once for events that find no room


class Room(Protocol):
    """What gives way when the outbox is full."""

    lightened: int
    """Events that lost pictures, so far."""

    @property
    def problem(self) -> str | None:
        """What it cannot write at present."""
        ...

    def make_room(self) -> bool:
        """Frees some; False when it cannot free more."""
        ...


class EvidenceRoom:
    """Makes room for hits: the oldest pictures go, in the end the reserve.

    Args:
        evidence: The pictures.
    """

    lightened = 0

    def __init__(self, evidence: EvidenceStore) -> None:
        self._evidence = evidence

    @property
    def problem(self) -> str | None:
        """Why pictures cannot be kept at present, or None."""
        return self._evidence.problem

    def make_room(self) -> bool:
        """Deletes some; False when none is left."""
        return self._evidence.make_room(ROOM_BYTES) > 0


class Delivery(Part):
    """Puts events into the outbox, from where a thread a sink takes them; nothing is dropped.

    What the outbox cannot take is held in memory, in order. `add` and `store` are for one thread.

    Args:
        outbox: Where events go.
        sinks: By their names in the outbox.
        limits: Events handed to a sink at once, and how long it may take.
        room: Asked while there is no room for them.
        telemetry: Shows what waits.
        what: The events in the log's words.

    Attributes:
        held: Why events are held in memory, or None.
        waiting: Events that a sink has not acknowledged, as last counted.
    """

    def __init__(
        self,
        outbox: Outbox,
        sinks: Mapping[str, Sink],
        limits: OutboxConfig,
        room: Room,
        telemetry: Telemetry,
        what: str = "hits",
    ) -> None:
        self.held: str | None = None
        self.waiting = 0
        self._outbox, self._room, self._telemetry, self._what = outbox, room, telemetry, what
        self._events: list[Mapping[str, Any]] = []
        self._counted_s = self._forgot_s = time.monotonic() - COUNT_EVERY_S
        self._relays = [
            Relay(outbox, sink, name, limits.batch, limits.answer_s) for name, sink in sinks.items()
        ]
        self._threads = [RelayThread(relay) for relay in self._relays]

    def __len__(self) -> int:
        """Events in memory."""
        return len(self._events)

    def add(self, events: Iterable[Mapping[str, Any]]) -> None:
        """Takes events into memory."""
        self._events += events

    def store(self) -> bool:
        """Tries to put all of them into the outbox; whether none is left."""
        if not self._events:
            return True
        try:
            self._append()
        except OutsideError as error:
            if self.held is None:
                logger.error("%s are held in memory: %s", self._what, error)
            self.held = str(error)
            return False
        if self.held is not None:
            logger.info("the outbox takes %s again", self._what)
        self.held = None
        self._events = []
        for thread in self._threads:
            thread.wake()
        return True

    def start(self) -> None:
        """Begins to publish."""
        for thread in self._threads:
            thread.start()

    def look(self) -> bool:
        """Counts what waits, now and then, and sees which sinks hang."""
        for relay in self._relays:
            relay.look()
            self._telemetry.sink_up.labels(relay.name).set(relay.problem is None)
        if time.monotonic() - self._counted_s >= COUNT_EVERY_S:
            self._count()
        self._telemetry.storage_failing.set(bool(self._storage_problems()))
        return True

    def problems(self) -> list[str]:
        """Sinks that take nothing, and what cannot be written; the disk is full, most likely."""
        sinks = [problem for relay in self._relays if (problem := relay.problem)]
        return sinks + self._storage_problems()

    def finish(self, deadline_s: float) -> bool:
        """Waits for the sinks; what they have not taken by then stays in the outbox."""
        for thread in self._threads:
            thread.stop(deadline_s)
        for thread in self._threads:
            thread.join()
        self._count()
        return True

    def failures(self) -> list[Exception]:
        """What is lost with this process: the outbox did not take it."""
        return [OutboxError(f"events could not be stored before the end: {self.held}")] if self.held else []

    def _append(self) -> None:
        while True:
            try:
                self._outbox.append(self._events)
                return
            except OutboxFullError:
                if not self._room.make_room():
                    raise

    def _count(self) -> None:
        """As many as before while the outbox cannot be read."""
        now_s = self._counted_s = time.monotonic()
        with suppress(OutsideError):
            self.waiting = self._telemetry.measure(self._outbox, self._room.lightened)
            if now_s - self._forgot_s >= FORGET_EVERY_S:
                self._forgot_s = now_s
                self._outbox.forget_delivered()

    def _storage_problems(self) -> list[str]:
        return [problem for problem in (self.held, self._room.problem) if problem]
