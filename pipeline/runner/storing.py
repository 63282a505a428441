"""Events on their way into the outbox: held in order while it cannot take them."""

import logging
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any

from pipeline.deliver.outbox import Outbox
from pipeline.deliver.relay import RelayThread
from pipeline.errors import OutboxFullError, OutsideError
from pipeline.store.pictures import EvidenceStore

logger = logging.getLogger("musewatch.runner")

ROOM_BYTES = 1_000_000  # freed at once for events that find no room


class Storing:
    """Puts events into the outbox and wakes the relays; what it cannot take is held, nothing is dropped.

    Args:
        outbox: Where events go.
        make_room: Called while there is no room for them; False when it cannot make more.
        relays: Told of news.
        what: The events in the log's words.

    Attributes:
        held: Why events are held, or None.
    """

    def __init__(
        self,
        outbox: Outbox,
        make_room: Callable[[], bool],
        relays: Sequence[RelayThread],
        what: str = "hits",
    ) -> None:
        self.held: str | None = None
        self._outbox, self._make_room, self._relays, self._what = outbox, make_room, relays, what
        self._events: list[Mapping[str, Any]] = []

    def __len__(self) -> int:
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
        for relay in self._relays:
            relay.wake()
        return True

    def _append(self) -> None:
        while True:
            try:
                self._outbox.append(self._events)
                return
            except OutboxFullError:
                if not self._make_room():
                    raise


def by_deleting(evidence: EvidenceStore) -> Callable[[], bool]:
    """Makes room for hits: the oldest pictures go."""

    def make_room() -> bool:
        freed = evidence.make_room(ROOM_BYTES)
        if freed:
            logger.warning("the disk is full: %.1f MB of the oldest evidence deleted", freed / 1e6)
        return freed > 0

    return make_room
