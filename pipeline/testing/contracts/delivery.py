"""What every sink promises: all events, in order, safe when `publish` returns."""

import json
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import pytest

from pipeline.deliver.events import encode
from pipeline.deliver.outbox import Outbox
from pipeline.deliver.relay import Relay
from pipeline.protocols import DeadLetters, Readable, Sink
from pipeline.testing.contracts.wanted import wanted

Arrived = Callable[[], Sequence[str]]


def hits(n: int, start: int = 0) -> list[dict[str, Any]]:
    """Events as a run makes them, each of a hit of its own."""
    return [
        {
            "specversion": "1.0", "id": f"h{i}-1", "source": "/north-hall/door", "type": "musewatch.hit.opened",
            "subject": "anna", "time": "2026-11-21T07:00:00.120Z", "partitionkey": "door",
            "data": {"hit_id": f"h{i}", "stream_id": "door", "state": "opened", "reason": None, "x": "Å" * (i % 7)},
        }
        for i in range(start, start + n)
    ]  # fmt: skip


def ids(events: Sequence[Any]) -> list[str]:
    """Their ids, in order."""
    return [event["id"] for event in events]


class SinkContract:
    """Give `sink` and `arrived`."""

    @pytest.fixture
    def sink(self) -> Any:
        """The one under test."""
        wanted("sink")

    @pytest.fixture
    def arrived(self, sink: Any) -> Arrived:
        """Looks at the other side of that sink: the ids of the events there, in order."""
        wanted("arrived, a callable that gives the ids of the events on the other side")

    def test_it_is_a_sink(self, sink: Any) -> None:
        """All methods are there."""
        assert isinstance(sink, Sink)

    def test_events_arrive_in_order_before_publish_returns(self, sink: Any, arrived: Arrived) -> None:
        """All of them."""
        sink.publish(hits(5))
        sink.publish(hits(30, start=5))
        assert arrived() == ids(hits(35))

    def test_no_events_only_reach_for_the_other_side(self, sink: Any, arrived: Arrived) -> None:
        """As `musewatch check` does."""
        sink.publish([])
        sink.publish(hits(1))
        assert arrived() == ids(hits(1))

    def test_it_can_be_used_after_close(self, sink: Any, arrived: Arrived) -> None:
        """Where it can be closed at all, also twice."""
        close = getattr(sink, "close", lambda: None)
        sink.publish(hits(1))
        close()
        close()
        sink.publish(hits(1, start=1))
        assert arrived() == ids(hits(2))


class SinkTroubleContract:
    """Give `sink`, `arrived`, and what breaks and mends the other side: `breaks_after` and `mends`."""

    @pytest.fixture
    def sink(self) -> Any:
        """The one under test."""
        wanted("sink")

    @pytest.fixture
    def arrived(self, sink: Any) -> Arrived:
        """As for `SinkContract`; repeats are allowed."""
        wanted("arrived, a callable that gives the ids of the events on the other side")

    @pytest.fixture
    def breaks_after(self, sink: Any) -> Callable[[int], object]:
        """Lets the other side take so many events more and then fail."""
        wanted("breaks_after, a callable that lets the other side fail after so many events")

    @pytest.fixture
    def mends(self, sink: Any) -> Callable[[], object]:
        """Makes the other side whole again."""
        wanted("mends, a callable that makes the other side whole again")

    def test_nothing_is_lost_or_reordered_when_publish_fails_midway(
        self, sink: Any, arrived: Arrived, breaks_after: Callable[[int], object], mends: Callable[[], object],
        tmp_path: Path,
    ) -> None:  # fmt: skip
        """Driven by our own outbox and relay."""
        outbox = Outbox(tmp_path / "outbox.db", ("a",))
        relay = Relay(outbox, sink, "a", batch=8)
        outbox.append(hits(20))
        now_s = relay.step(0.0)
        breaks_after(3)
        for _ in range(3):
            now_s = relay.step(now_s)
        assert relay.failing
        assert outbox.waiting() > 0
        mends()
        outbox.append(hits(10, start=20))
        for _ in range(40):
            now_s = relay.step(now_s)
            if relay.idle:
                break
        assert outbox.waiting() == 0
        assert list(dict.fromkeys(reversed(arrived())))[::-1] == ids(
            hits(30)
        )  # the last of each, as a reader keeps
        outbox.close()


class DeadLettersContract:
    """Give `sink` and `dead`."""

    @pytest.fixture
    def sink(self) -> Any:
        """The one under test."""
        wanted("sink, one with a place for refused events")

    @pytest.fixture
    def dead(self, sink: Any) -> Callable[[], Sequence[bytes]]:
        """Looks at that place: the events there, each as JSON, in order."""
        wanted("dead, a callable that gives the refused events as JSON")

    def test_a_refused_event_is_kept_whole(self, sink: Any, dead: Callable[[], Sequence[bytes]]) -> None:
        """As it was, when the call returns."""
        assert isinstance(sink, DeadLetters)
        for event in hits(2):
            sink.set_aside(event, "413 Payload Too Large")
        assert [json.loads(body) for body in dead()] == [json.loads(encode(event)) for event in hits(2)]


class ReadableContract:
    """Give `sink`."""

    @pytest.fixture
    def sink(self) -> Any:
        """The one under test, with nothing in it."""
        wanted("sink, one that can be read")

    def test_what_was_published_is_read(self, sink: Any) -> None:
        """From the start, in order; then None until there is more."""
        sink.publish(hits(3))
        assert isinstance(sink, Readable)
        found: list[Any] = []
        for event in sink.read(from_start=True):
            if event is not None:
                found.append(event)
            elif len(found) >= 3:
                break
        assert ids(found) == ids(hits(3))
