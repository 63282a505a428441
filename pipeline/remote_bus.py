"""The interface of a bus between processes: messages by partition, a group of members, a shared table.

Found and checked as in `pipeline.protocols`.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Protocol, runtime_checkable


@dataclass(frozen=True, slots=True)
class BusMessage:
    """A message of a topic, not yet read; `at_s` is when the topic took it, in seconds since 1970."""

    topic: str
    partition: int
    offset: int
    key: bytes | None
    value: bytes | None
    at_s: float


@dataclass(frozen=True, slots=True)
class Delivery:
    """What a member receives.

    Attributes:
        messages: In order per partition, all of partitions held now.
        lost: Partitions taken away since the last delivery; they come before the messages.
        gained: Partitions given since, from their committed offset on.
    """

    messages: tuple[BusMessage, ...]
    lost: frozenset[int] = frozenset()
    gained: frozenset[int] = frozenset()


@dataclass(frozen=True, slots=True)
class TableFault:
    """How a table is kept that loses rows by itself, what to do about it, and whether that was just done."""

    problem: str
    fix: str
    mended: bool = False


@runtime_checkable
class Table(Protocol):
    """Values under keys, shared by all processes."""

    def rows(self) -> Iterator[BusMessage]:
        """Everything there is now, the last value of a key after its older ones; None = removed.

        Raises:
            OutsideError: It cannot be reached.
        """
        ...

    def news(self) -> list[BusMessage] | None:
        """What came since `rows` or the last call, nothing while it is away.

        None when the link had failed: something may have come and gone meanwhile, so `rows` is to be read again.
        """
        ...

    def faults(self, *, mend: bool) -> list[TableFault]:
        """What is wrong with how the table is kept; none where nobody can tell.

        Args:
            mend: Puts it right where that is allowed.

        Raises:
            OutsideError: It cannot be reached.
        """
        ...

    def write(self, rows: Sequence[tuple[str, bytes | None]]) -> None:
        """Puts values under keys; returns when they are safe.

        Raises:
            OutsideError: They are not.
        """
        ...


@runtime_checkable
class RemoteBus(Protocol):
    """Carries tracklets between processes: `run` publishes, the members of one group receive.

    `in_process` is False. `publish` is a sink's, of events made by `pipeline.deliver.tracklets`. Every
    stream lies on one partition, every partition belongs to one member at a time.
    """

    in_process: bool

    @property
    def watchlist(self) -> Table:
        """The watchlist that all processes share: rows as in `pipeline.watchlist.shared`."""
        ...

    def publish(self, events: Sequence[Mapping[str, Any]]) -> None:
        """As `Sink.publish`."""
        ...

    def receive(self, limit: int, timeout_s: float) -> Delivery:
        """About `limit` messages at most; waits for the first at most `timeout_s`, may be empty.

        Raises:
            OutsideError: The other side cannot be reached; call again.
        """
        ...

    def commit(self, positions: Mapping[int, int]) -> None:
        """By partition the offset from which whoever gets it next is to receive.

        Raises:
            OutsideError: The other side cannot be reached; nothing is lost by going on.
        """
        ...

    def refuse(self, message: BusMessage, reason: str) -> None:
        """Puts a message that cannot be read aside, unchanged, for people to look at.

        Raises:
            OutsideError: It is not safe there yet; try again.
        """
        ...

    def lag(self) -> dict[int, int]:
        """By partition, messages not received yet."""
        ...

    def close(self) -> None:
        """Leaves the group, so that others take over at once."""
        ...
