"""What every bus promises, inside a process and between processes."""

import threading
import time
from collections.abc import Callable
from typing import Any

import pytest

from pipeline.messages import TrackKey
from pipeline.protocols import Bus
from pipeline.remote_bus import RemoteBus
from pipeline.testing.contracts.wanted import wanted
from pipeline.testing.fakes import tracklet

PATIENCE_S = 30.0


class BusContract:
    """Give `bus`."""

    @pytest.fixture
    def bus(self) -> Any:
        """The one under test, empty."""
        wanted("bus")

    def test_it_is_a_bus_inside_a_process(self, bus: Any) -> None:
        """All attributes are there."""
        assert isinstance(bus, Bus)
        assert bus.in_process is True

    def test_everything_comes_over_in_order_whichever_side_is_slower(self, bus: Any) -> None:
        """And nothing twice."""
        sent = [tracklet(TrackKey("door", "e1", n)) for n in range(50)]
        sender = threading.Thread(target=bus.publish, args=(sent,))
        sender.start()
        received: list[Any] = []
        while len(received) < 50:
            fresh = bus.receive(10, PATIENCE_S)
            assert 0 < len(fresh) <= 10
            received += fresh
        sender.join()
        assert received == sent
        assert bus.receive(10, 0.0) == []


class RemoteBusContract:
    """Give `new_bus`."""

    @pytest.fixture
    def new_bus(self) -> Callable[[], Any]:
        """Connects another process to the same topics and group, which are empty at first."""
        wanted("new_bus, a callable that connects to the same topics and group")

    def event(self, n: int) -> dict[str, Any]:
        """Of three streams in turn."""
        return {"id": f"t{n}", "partitionkey": f"cam-{n % 3}", "data": {"n": n}}

    def received(self, bus: Any, count: int) -> list[Any]:
        """At least so many messages, after some patience."""
        messages: list[Any] = []
        end_s = time.monotonic() + PATIENCE_S
        while len(messages) < count and time.monotonic() < end_s:
            messages += bus.receive(10, 0.3).messages
        assert len(messages) >= count
        return messages

    def test_it_is_a_bus_between_processes(self, new_bus: Callable[[], Any]) -> None:
        """All attributes are there."""
        bus = new_bus()
        assert isinstance(bus, RemoteBus)
        assert bus.in_process is False

    def test_nothing_is_passed_on_before_it_is_committed(self, new_bus: Callable[[], Any]) -> None:
        """A member that dies leaves everything to the next; what was committed is done."""
        new_bus().publish([self.event(n) for n in range(12)])
        first = new_bus()
        before = self.received(first, 12)
        first.close()
        second = new_bus()
        after = self.received(second, 12)
        assert sorted(m.value for m in after) == sorted(m.value for m in before), "all of it again"
        second.commit({m.partition: m.offset + 1 for m in after})
        second.close()
        new_bus().publish([self.event(12)])
        (only,) = self.received(new_bus(), 1)
        assert b'"n":12' in only.value


class TableContract:
    """Give `new_table`."""

    @pytest.fixture
    def new_table(self) -> Callable[[], Any]:
        """Connects another process to the same table, which is empty at first."""
        wanted("new_table, a callable that connects to the same table")

    def test_the_last_value_of_a_key_counts_and_none_removes_it(self, new_table: Callable[[], Any]) -> None:
        """For everybody who reads it later."""
        new_table().write([("anna", b"1"), ("luca", b"1"), ("anna", b"2"), ("luca", None)])
        read = {row.key: row.value for row in new_table().rows()}
        assert read.pop(b"luca", None) is None
        assert read == {b"anna": b"2"}

    def test_news_are_what_came_since(self, new_table: Callable[[], Any]) -> None:
        """Whoever wrote it."""
        mine, theirs = new_table(), new_table()
        mine.write([("anna", b"1")])
        assert [row.value for row in mine.rows()] == [b"1"]
        theirs.write([("anna", b"2")])
        fresh: list[Any] = []
        end_s = time.monotonic() + PATIENCE_S
        while not fresh and time.monotonic() < end_s:
            fresh += mine.news() or ()
        assert [(row.key, row.value) for row in fresh] == [(b"anna", b"2")]
