"""A remote bus without a broker: one topic, one table, one member at a time, and faults on request."""

import time
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from pipeline.deliver.events import encode
from pipeline.errors import OutsideError
from pipeline.remote_bus import BusMessage, Delivery, TableFault


class ListTable:
    """Rows in a list.

    Attributes:
        log: Every row ever written.
        down: How many of the next calls fail.
        cut: Whether the link had failed since the rows were last read.
        wrong: What is told of how the table is kept.
    """

    def __init__(self) -> None:
        self.log: list[BusMessage] = []
        self.down = 0
        self.cut = False
        self.wrong: list[TableFault] = []
        self._read = 0

    def rows(self) -> Iterator[BusMessage]:
        """Everything there is."""
        self._maybe_fail()
        self._read = len(self.log)
        self.cut = False
        return iter(self.log[: self._read])

    def faults(self, *, mend: bool) -> list[TableFault]:
        """What is in `wrong`."""
        return list(self.wrong)

    def news(self) -> list[BusMessage] | None:
        """What came since the rows were read; None while `cut`."""
        if self.cut:
            return None
        fresh, self._read = self.log[self._read :], len(self.log)
        return fresh

    def write(self, rows: Sequence[tuple[str, bytes | None]]) -> None:
        """Adds rows."""
        self._maybe_fail()
        for key, value in rows:
            self.log.append(BusMessage("watchlist", 0, len(self.log), key.encode(), value, 0.0))

    def close(self) -> None:
        """Nothing to let go."""

    def _maybe_fail(self) -> None:
        if self.down:
            self.down -= 1
            raise OutsideError("the table is away")


class ListBus:
    """Tracklets in a list, on one partition, with one member at a time.

    Attributes:
        watchlist: The table beside them.
        log: Every message ever published.
        refused: Messages put aside, with the reasons.
        committed: By partition, from where the next member receives.
        down: How many of the next refusals fail.
    """

    in_process = False

    def __init__(self) -> None:
        self.watchlist = ListTable()
        self.log: list[BusMessage] = []
        self.refused: list[tuple[BusMessage, str]] = []
        self.committed: dict[int, int] = {}
        self.down = 0
        self._next: int | None = None

    def publish(self, events: Sequence[Mapping[str, Any]]) -> None:
        """Adds events."""
        for event in events:
            self.put(encode(event))

    def put(self, body: bytes | None) -> None:
        """Adds one message as it stands."""
        self.log.append(BusMessage("tracklets", 0, len(self.log), b"door", body, time.time()))

    def receive(self, limit: int, timeout_s: float) -> Delivery:
        """What nobody has received; the partition is gained with the first call."""
        gained: frozenset[int] = frozenset()
        if self._next is None:
            self._next, gained = self.committed.get(0, 0), frozenset({0})
        found = self.log[self._next : self._next + limit]
        self._next += len(found)
        return Delivery(tuple(found), frozenset(), gained)

    def leave(self) -> None:
        """Somebody else takes over."""
        self._next = None

    def commit(self, positions: Mapping[int, int]) -> None:
        """Keeps the positions."""
        self.committed |= positions

    def refuse(self, message: BusMessage, reason: str) -> None:
        """Keeps the message in `refused`; fails while `down`."""
        if self.down:
            self.down -= 1
            raise OutsideError("the dead letters are away")
        self.refused.append((message, reason))

    def lag(self) -> dict[int, int]:
        """Messages not received; nothing while there is no member."""
        return {} if self._next is None else {0: len(self.log) - self._next}

    def close(self) -> None:
        """Leaves the group."""
        self.leave()
