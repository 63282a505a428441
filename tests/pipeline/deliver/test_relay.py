import logging
import random
import threading
import time
from collections.abc import Iterator, Mapping, Sequence
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest

from pipeline.deliver.outbox import Outbox, send_again
from pipeline.deliver.relay import (
    FIRST_PAUSE_S,
    IDLE_S,
    LONGEST_PAUSE_S,
    LONGEST_WISH_S,
    REFUSALS,
    Relay,
    RelayThread,
    publish_once,
)
from pipeline.errors import BackpressureError, OutboxError, OutsideError, RefusedError
from tests.servers.wait import wait_until


class ListSink:
    """Takes events one by one; fails when told to, possibly in the middle of a batch."""

    def __init__(self) -> None:
        self.events: list[str] = []
        self.tried: list[str] = []
        self.calls = 0
        self.closed = False
        self.error: BaseException | None = None
        self.refused: str | None = None
        self.arrived = threading.Event()

    def publish(self, events: Sequence[Mapping[str, Any]]) -> None:
        self.calls += 1
        for event in events:
            self.tried.append(event["id"])
            if self.error and event["id"] == (self.refused or event["id"]):
                raise self.error
            self.events.append(event["id"])
        self.arrived.set()

    def close(self) -> None:
        self.closed = True


@pytest.fixture
def outbox(tmp_path: Path) -> Iterator[Outbox]:
    outbox = Outbox(tmp_path / "outbox.db", ("a",))
    yield outbox
    outbox.close()


@pytest.fixture
def sink() -> ListSink:
    return ListSink()


@pytest.fixture
def relay(outbox: Outbox, sink: ListSink) -> Relay:
    return Relay(outbox, sink, "a", batch=8, rng=random.Random(0))


def fill(outbox: Outbox, n: int, start: int = 0) -> list[str]:
    ids = [f"e{number:03}" for number in range(start, start + n)]
    outbox.append([{"id": id_, "data": {}} for id_ in ids])
    return ids


def run_until_idle(relay: Relay, now_s: float, steps: int = 200) -> float:
    for _ in range(steps):
        now_s = relay.step(now_s)
        if relay.idle:
            return now_s
    raise AssertionError("never idle")


def test_batches_follow_at_once_and_the_outbox_is_empty_after(
    relay: Relay, outbox: Outbox, sink: ListSink
) -> None:
    ids = fill(outbox, 20)
    assert relay.step(5.0) == 5.0
    assert relay.step(5.0) == 5.0
    assert relay.step(5.0) == 5.0 + IDLE_S
    assert sink.events == ids
    assert sink.calls == 3
    assert outbox.waiting() == 0


def test_nothing_to_do_is_no_call(relay: Relay, sink: ListSink) -> None:
    assert relay.step(1.0) == 1.0 + IDLE_S
    assert sink.calls == 0
    assert relay.idle


def test_pauses_grow_with_jitter_and_stay_in_their_range(
    relay: Relay, outbox: Outbox, sink: ListSink
) -> None:
    fill(outbox, 3)
    sink.error = OSError("down")
    now_s, pauses = 0.0, []
    for _ in range(20):
        due_s = relay.step(now_s)
        pauses.append(due_s - now_s)
        now_s = due_s
    assert min(pauses) >= FIRST_PAUSE_S
    assert LONGEST_PAUSE_S * 0.5 <= max(pauses) <= LONGEST_PAUSE_S
    assert len(set(pauses[-8:])) == 8
    assert sink.calls == 20


def test_pauses_double_up_to_the_longest(outbox: Outbox, sink: ListSink) -> None:
    class Longest(random.Random):
        def uniform(self, a: float, b: float) -> float:
            return b

    relay = Relay(outbox, sink, "a", rng=Longest())
    fill(outbox, 1)
    sink.error, times = OSError("down"), [0.0]
    for _ in range(8):
        times.append(relay.step(times[-1]))
    pauses = [later - earlier for earlier, later in pairwise(times)]
    assert pauses == [0.5, 1.0, 2.0, 4.0, 8.0, 15.0, 15.0, 15.0]


def test_a_step_before_its_time_does_nothing(relay: Relay, outbox: Outbox, sink: ListSink) -> None:
    fill(outbox, 1)
    sink.error = OSError("down")
    due_s = relay.step(0.0)
    assert relay.step(due_s - 0.001) == due_s
    assert sink.calls == 1
    relay.hurry()
    relay.step(due_s - 0.001)
    assert sink.calls == 2


def test_backpressure_waits_as_long_as_it_was_asked(relay: Relay, outbox: Outbox, sink: ListSink) -> None:
    fill(outbox, 1)
    sink.error = BackpressureError("busy", 42.0)
    assert relay.step(10.0) == 52.0
    sink.error = None
    run_until_idle(relay, 52.0)
    assert sink.events == ["e000"]


@pytest.mark.parametrize(
    ("wish", "pause_s"),
    [(float("inf"), LONGEST_WISH_S), (86400.0, LONGEST_WISH_S), (float("nan"), FIRST_PAUSE_S),
     (-1.0, FIRST_PAUSE_S), (None, FIRST_PAUSE_S), ("3", FIRST_PAUSE_S)],
)  # fmt: skip
def test_the_pause_a_sink_asks_for_has_bounds(
    relay: Relay, outbox: Outbox, sink: ListSink, wish: Any, pause_s: float
) -> None:
    fill(outbox, 1)
    sink.error = BackpressureError("busy", wish)
    assert relay.step(10.0) == 10.0 + pause_s


class Wordless(Exception):  # noqa: N818
    """Cannot be put into words."""

    def __str__(self) -> str:
        raise ValueError("no words")


@pytest.mark.parametrize(
    ("error", "told"),
    [
        (SystemExit(3), "it raised SystemExit. a plugin must not end the process"),
        (GeneratorExit(), "it raised GeneratorExit. a plugin must not end the process"),
        (Wordless(), "Wordless"),
    ],
)
def test_whatever_a_sink_raises_is_told_and_the_thread_goes_on(
    relay: Relay, outbox: Outbox, sink: ListSink, error: BaseException, told: str
) -> None:
    fill(outbox, 1)
    sink.error = error
    thread = RelayThread(relay)
    thread.start()
    wait_until(lambda: relay.failing == told)
    sink.error = None
    thread.stop(time.monotonic() + 5)
    assert thread.join()
    assert sink.events == ["e000"]


def test_a_trial_of_a_sink_that_ends_the_process_is_a_failure(sink: ListSink) -> None:
    sink.error = SystemExit(0)
    with pytest.raises(OutsideError, match="it raised SystemExit"):
        publish_once(sink, [{"id": "e"}], 5.0)


def test_one_line_when_it_fails_and_one_when_it_recovers(
    relay: Relay, outbox: Outbox, sink: ListSink, caplog: pytest.LogCaptureFixture
) -> None:
    ids = fill(outbox, 30)
    sink.error, sink.refused = OSError("cannot reach http://me:secret@h/"), "e013"
    with caplog.at_level(logging.INFO):
        now_s = 0.0
        for _ in range(40):
            now_s = relay.step(now_s)
        assert relay.failing
        sink.error = None
        run_until_idle(relay, now_s)
    assert [record.levelname for record in caplog.records] == ["WARNING", "INFO"]
    assert "secret" not in caplog.text
    assert not relay.failing
    assert list(dict.fromkeys(sink.events)) == ids


def test_a_refused_event_is_reached_and_few_are_repeated(
    relay: Relay, outbox: Outbox, sink: ListSink
) -> None:
    fill(outbox, 30)
    sink.error, sink.refused = OSError("no"), "e013"
    now_s = 0.0
    for _ in range(60):
        now_s = relay.step(now_s)
    assert outbox.take("a", 1)[0].event["id"] == "e013"
    assert max(sink.events.count(id_) for id_ in sink.events) <= 4


def refuse_until_set_aside(relay: Relay, outbox: Outbox) -> float:
    now_s = 0.0
    for _ in range(60):
        now_s = relay.step(now_s)
        if outbox.refused():
            return now_s
    raise AssertionError("never set aside")


def test_an_event_refused_for_good_is_set_aside_and_the_others_keep_their_order(
    relay: Relay, outbox: Outbox, sink: ListSink, caplog: pytest.LogCaptureFixture
) -> None:
    ids = fill(outbox, 30)
    sink.error, sink.refused = RefusedError("400 Bad Request"), "e013"
    now_s = refuse_until_set_aside(relay, outbox)
    assert sink.tried.count("e013") >= REFUSALS
    now_s = run_until_idle(relay, now_s)
    assert list(dict.fromkeys(sink.events)) == [id_ for id_ in ids if id_ != "e013"]
    assert (outbox.waiting(), outbox.refused(), relay.failing) == (1, {"a": 1}, None)
    errors = [record.message for record in caplog.records if record.levelno == logging.ERROR]
    assert errors == ["sink a refused event e013 for good, see musewatch hits refused: 400 Bad Request"]

    sink.error = None
    assert send_again(outbox._file.path) == 1
    run_until_idle(relay, now_s + 60)
    assert sink.events[-1] == "e013"
    assert (outbox.waiting(), outbox.refused()) == (0, {})


def test_refusals_of_one_event_are_not_held_against_the_next(
    relay: Relay, outbox: Outbox, sink: ListSink
) -> None:
    fill(outbox, 2)
    sink.error, sink.refused, now_s = RefusedError("no"), "e000", 0.0
    for _ in range(REFUSALS):  # both together once, then it alone
        now_s = relay.step(now_s)
    sink.refused = "e001"
    for _ in range(REFUSALS):  # the first is taken, then the other refused
        now_s = relay.step(now_s)
    assert (sink.events, outbox.refused()) == (["e000"], {})
    relay.step(now_s)
    assert outbox.refused() == {"a": 1}


def test_what_cannot_be_set_aside_waits_like_after_any_failure(
    relay: Relay, outbox: Outbox, sink: ListSink, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(*_: object) -> None:
        raise OutboxError("disk full")

    monkeypatch.setattr(outbox, "refuse", refuse)
    fill(outbox, 1)
    sink.error, now_s = RefusedError("too large"), 0.0
    for _ in range(2 * REFUSALS):
        due_s = relay.step(now_s)
        assert due_s > now_s
        now_s = due_s
    assert (relay.problem, outbox.waiting()) == ("sink a: too large", 1)


@pytest.mark.parametrize("error", [OSError("down"), OutsideError("401"), BackpressureError("busy", 0.5)])
def test_trouble_that_is_no_refusal_sets_nothing_aside_however_long_it_lasts(
    relay: Relay, outbox: Outbox, sink: ListSink, error: Exception
) -> None:
    fill(outbox, 3)
    sink.error = error
    now_s = 0.0
    for _ in range(20 * REFUSALS):
        now_s = relay.step(now_s)
    assert (outbox.refused(), outbox.waiting()) == ({}, 3)


def test_a_refusal_of_many_together_is_of_none_of_them(
    relay: Relay, outbox: Outbox, sink: ListSink, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Too large together, none of them is by itself."""
    ids = fill(outbox, 8)
    publish = sink.publish

    def small(events: Sequence[Mapping[str, Any]]) -> None:
        if len(events) > 2:
            raise RefusedError("too large")
        publish(events)

    monkeypatch.setattr(sink, "publish", small)
    now_s = 0.0
    for _ in range(200):
        now_s = relay.step(now_s)
    assert (sink.events, outbox.waiting()) == (ids, 0)


@pytest.mark.parametrize("works", [True, False])
def test_a_sink_with_a_place_for_dead_letters_is_told_once(
    outbox: Outbox, caplog: pytest.LogCaptureFixture, works: bool
) -> None:
    class Filing(ListSink):
        def set_aside(self, event: Mapping[str, Any], reason: str) -> None:
            letters.append((event["id"], reason))
            if not works:
                raise OutsideError("no such topic")

    letters: list[tuple[str, str]] = []
    sink = Filing()
    relay = Relay(outbox, sink, "a", rng=random.Random(0))
    fill(outbox, 1)
    sink.error = RefusedError("too large")
    refuse_until_set_aside(relay, outbox)
    assert letters == [("e000", "too large")]
    assert outbox.refused() == {"a": 1}
    assert ("no dead letter" in caplog.text) is not works


def test_an_outbox_that_cannot_forget_makes_repeats_not_losses(
    relay: Relay, outbox: Outbox, sink: ListSink, monkeypatch: pytest.MonkeyPatch
) -> None:
    ids = fill(outbox, 2)

    def refuse(*_: object) -> None:
        raise OutboxError("disk full")

    with monkeypatch.context() as patch:
        patch.setattr(outbox, "done", refuse)
        now_s = relay.step(0.0)
    run_until_idle(relay, now_s)
    assert sink.events == [*ids, *ids]
    assert outbox.waiting() == 0


def test_a_restarted_relay_takes_up_where_the_first_stopped(outbox: Outbox) -> None:
    ids = fill(outbox, 20)
    first, second = ListSink(), ListSink()
    Relay(outbox, first, "a", batch=8).step(0.0)
    run_until_idle(Relay(outbox, second, "a", batch=8), 0.0)
    assert first.events + second.events == ids


def test_the_thread_publishes_what_comes_and_drains_at_the_end(
    relay: Relay, outbox: Outbox, sink: ListSink
) -> None:
    thread = RelayThread(relay)
    thread.start()
    first = fill(outbox, 2)
    thread.wake()
    assert sink.arrived.wait(10)
    rest = fill(outbox, 30, start=2)
    thread.stop(time.monotonic() + 10)
    assert thread.join()
    assert sink.events == first + rest
    assert sink.closed


def test_a_deadline_that_has_passed_leaves_one_try(relay: Relay, outbox: Outbox, sink: ListSink) -> None:
    sink.error = BackpressureError("not yet", 1000.0)
    ids = fill(outbox, 8)
    relay.step(time.monotonic())
    sink.error = None
    thread = RelayThread(relay)
    thread.stop(time.monotonic() - 1)
    thread.start()
    assert thread.join()
    assert sink.events == ids[:1]


def test_the_end_is_waited_for_until_the_deadline_and_a_second_for_the_last_answer(
    relay: Relay, monkeypatch: pytest.MonkeyPatch
) -> None:
    waited: list[float] = []
    thread = RelayThread(relay, clock=lambda: 100.0)
    assert thread._thread.daemon, "a sink that never answers would keep the process alive"
    monkeypatch.setattr(thread._thread, "join", waited.append)
    for deadline_s in (107.0, 93.0):
        thread.stop(deadline_s)
        thread.join()
    assert waited == [8.0, 1.0]


def test_draining_tries_at_once_and_ends_at_the_deadline(
    relay: Relay, outbox: Outbox, sink: ListSink
) -> None:
    fill(outbox, 1)
    sink.error = BackpressureError("for ever", 1000.0)
    relay.step(time.monotonic())
    thread = RelayThread(relay)
    thread.start()
    began_s = time.monotonic()
    thread.stop(began_s + 0.2)
    assert thread.join()
    assert time.monotonic() - began_s < 5
    assert sink.calls == 2
    assert outbox.waiting() == 1


def test_a_sink_that_fails_to_close_is_named_and_costs_nothing(
    outbox: Outbox, sink: ListSink, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail() -> None:
        raise RuntimeError("the door is stuck")

    monkeypatch.setattr(sink, "close", fail)
    Relay(outbox, sink, "a").close()
    assert caplog.messages == ["sink a does not close: the door is stuck"]


class HangingSink(ListSink):
    """Does not come back until it is told to."""

    def __init__(self) -> None:
        super().__init__()
        self.asked, self.comes_back = threading.Event(), threading.Event()

    def publish(self, events: Sequence[Mapping[str, Any]]) -> None:
        self.asked.set()
        self.comes_back.wait(60)
        super().publish(events)


def test_a_sink_that_hangs_is_told_by_somebody_else_and_the_others_go_on(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    outbox = Outbox(tmp_path / "two.db", ("a", "b"))
    hanging, other, now_s = HangingSink(), ListSink(), [100.0]
    relay = Relay(outbox, hanging, "a", answer_s=30, clock=lambda: now_s[0])
    threads = [RelayThread(relay), RelayThread(Relay(outbox, other, "b"))]
    ids = fill(outbox, 3)
    for thread in threads:
        thread.start()
    assert hanging.asked.wait(10)
    assert other.arrived.wait(10)
    told = []
    for later_s in (29, 31, 32):
        now_s[0] = 100.0 + later_s
        relay.look()
        told.append(relay.problem)
    assert told == [None, *(f"sink a: it has not answered for {s} s" for s in (31, 32))]
    assert caplog.messages == ["sink a has not answered for 30 s, events wait in the outbox"]
    assert other.events == ids

    with caplog.at_level(logging.INFO):
        hanging.comes_back.set()
        assert hanging.arrived.wait(10)
        for thread in threads:
            thread.stop(time.monotonic() + 10)
            assert thread.join()
        relay.look()
    assert (relay.problem, hanging.events, outbox.waiting()) == (None, ids, 0)
    assert caplog.messages[-1] == "sink a answers again"
    outbox.close()


def test_a_trial_of_a_sink_that_hangs_ends_with_what_to_do() -> None:
    sink = HangingSink()
    with pytest.raises(OutsideError, match="it has not answered for 0 s") as failure:
        publish_once(sink, [], 0.05)
    assert failure.value.fix == "see outbox.answer_s"
    sink.comes_back.set()
    assert sink.arrived.wait(10)


def test_a_slow_sink_gets_smaller_batches_so_that_it_does_not_seem_to_hang(outbox: Outbox) -> None:
    now_s, sizes = [0.0], []

    class SlowSink(ListSink):
        def publish(self, events: Sequence[Mapping[str, Any]]) -> None:
            sizes.append(len(events))
            now_s[0] += 2.0 * len(events)
            super().publish(events)

    relay = Relay(outbox, SlowSink(), "a", clock=lambda: now_s[0])
    fill(outbox, 40)
    run_until_idle(relay, 0.0)
    assert sum(sizes) == 40
    assert sizes[:3] == [10, 5, 2]
    assert max(sizes[3:]) <= 4


@pytest.mark.parametrize("hangs", ["set_aside", "close"])
def test_every_call_into_a_sink_is_watched(outbox: Outbox, hangs: str) -> None:
    now_s = [0.0]

    class Filing(ListSink):
        def set_aside(self, event: Mapping[str, Any], reason: str) -> None:
            self.hang("set_aside")

        def close(self) -> None:
            self.hang("close")

        def hang(self, where: str) -> None:
            if where == hangs:
                now_s[0] += 100
                problems.append(relay.problem)

    problems: list[str | None] = []
    sink = Filing()
    relay = Relay(outbox, sink, "a", clock=lambda: now_s[0])
    fill(outbox, 1)
    sink.error = RefusedError("too large")
    refuse_until_set_aside(relay, outbox)
    relay.close()
    assert problems == ["sink a: it has not answered for 100 s"]
