"""Calls into plugins that answer, fail, hang and come back."""

import gc
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import pytest

from pipeline import calls as module
from pipeline.calls import CallCounts, Calls, Guests, Limits
from pipeline.errors import HangingError, InputError

SHORT = Limits(call_s=0.05, first_s=0.05, told_s=0.02)


class Clock:
    """Stands still until it is told."""

    now_s = 100.0

    def __call__(self) -> float:
        return self.now_s


def answer(value: Any) -> Any:
    return value


def calls(limits: Limits = SHORT, clock: Callable[[], float] = time.monotonic) -> tuple[Calls, CallCounts]:
    counts = CallCounts()
    return Calls("verifier", "verifier 'x'", limits, counts, clock), counts


@contextmanager
def hanging() -> Iterator[Callable[[], str]]:
    """A call that comes back when the block is left."""
    release = threading.Event()

    def hang() -> str:
        release.wait(30)
        return "late"

    try:
        yield hang
    finally:
        release.set()


def until(true: Callable[[], bool]) -> None:
    end_s = time.monotonic() + 10
    while not true():
        assert time.monotonic() < end_s
        time.sleep(0.005)


def test_a_call_that_hangs_is_given_up_told_and_not_repeated_until_it_came_back(
    caplog: pytest.LogCaptureFixture,
) -> None:
    caplog.set_level("INFO", "musewatch.plugin")
    asking, counts = calls()
    with hanging() as hang:
        with pytest.raises(HangingError, match=r"the verifier 'x' did not answer within 0\.05 s"):
            asking.ask(answer, hang)
        assert asking.problem is not None
        assert asking.problem.startswith("the verifier 'x' has not answered for ")
        for _ in range(20):
            with pytest.raises(HangingError, match="has not answered"):
                asking.ask(answer, hang)
        assert (counts.calls, counts.timeouts, counts.failures) == (1, 1, 0)
    until(lambda: asking.problem is None)
    assert asking.ask(answer, lambda: "well") == "well"
    assert caplog.messages == [
        "the verifier 'x' did not answer within 0.1 s; going on without it",
        "the verifier 'x' answers again",
    ]


def test_what_hangs_is_told_before_it_is_given_up() -> None:
    asking, _ = calls(Limits(call_s=30, first_s=30, told_s=0.01))
    with hanging() as hang:
        thread = threading.Thread(target=asking.ask, args=(answer, hang))
        thread.start()
        until(lambda: asking.problem is not None)
    thread.join()
    assert asking.problem is None


def test_one_that_never_comes_back_is_tried_again_now_and_then_a_few_times() -> None:
    clock = Clock()
    asking, counts = calls(clock=clock)
    with hanging() as hang:
        for attempt in range(1, module.MOST_LEFT + 3):
            with pytest.raises(HangingError):
                asking.ask(answer, hang)
            with pytest.raises(HangingError):
                asking.ask(answer, hang)
            assert counts.calls == min(attempt, module.MOST_LEFT)
            clock.now_s += module.TRY_AGAIN_S


def test_a_plugin_replaced_in_time_is_asked_again_though_one_call_never_came_back() -> None:
    clock = Clock()
    asking, _ = calls(clock=clock)
    with hanging() as hang:
        with pytest.raises(HangingError):
            asking.ask(answer, hang)
        clock.now_s += module.TRY_AGAIN_S
        assert asking.ask(answer, lambda: "well") == "well"


def test_the_first_answer_may_take_longer() -> None:
    asking, _ = calls(Limits(call_s=0.05, first_s=30, told_s=30))
    assert asking.ask(answer, lambda: time.sleep(0.2)) is None
    with pytest.raises(HangingError):
        asking.ask(answer, lambda: time.sleep(0.2))


def test_a_limit_may_be_as_long_as_any() -> None:
    asking, _ = calls(Limits(call_s=1e12, first_s=1e12, told_s=30))
    assert asking.ask(answer, lambda: 7, pictures=10_000) == 7


def test_many_pictures_may_take_longer() -> None:
    asking, _ = calls(Limits(call_s=0.05, first_s=0.05, told_s=30))
    assert asking.ask(answer, lambda: time.sleep(0.2), pictures=8 * 100) is None
    with pytest.raises(HangingError):
        asking.ask(answer, lambda: time.sleep(0.5), pictures=8)


def fail() -> None:
    raise RuntimeError("out of memory")


def leave() -> None:
    sys.exit(3)


def interrupt() -> None:
    raise KeyboardInterrupt


@pytest.mark.parametrize(
    ("call", "text"), [(fail, "out of memory"), (leave, "SystemExit"), (interrupt, "KeyboardInterrupt")]
)
def test_a_call_that_fails_costs_itself_and_is_told_until_one_works(
    call: Callable[[], None], text: str, caplog: pytest.LogCaptureFixture
) -> None:
    asking, counts = calls()
    for _ in range(3):
        with pytest.raises(RuntimeError, match=text):
            asking.ask(answer, call)
    assert asking.problem is not None
    assert "the verifier 'x' failed: " in asking.problem
    assert len(caplog.records) == 1
    assert asking.ask(answer, lambda: 7) == 7
    assert asking.problem is None
    assert (counts.calls, counts.failures) == (4, 3)


def test_an_answer_that_cannot_be_is_a_failure() -> None:
    def refuse(value: object) -> None:
        raise ValueError(f"{value} is no mask")

    asking, counts = calls()
    with pytest.raises(ValueError, match="7 is no mask"):
        asking.ask(refuse, lambda: 7)
    assert counts.failures == 1
    assert asking.problem == "the verifier 'x' failed: 7 is no mask"


def test_a_refused_input_is_no_failure() -> None:
    def refuse() -> None:
        raise InputError("the text is too long")

    asking, counts = calls()
    with pytest.raises(InputError):
        asking.ask(answer, refuse)
    assert (counts.failures, asking.problem) == (0, None)


def test_calls_come_one_at_a_time_and_from_one_thread() -> None:
    asking, _ = calls(Limits(30, 30, 30))
    inside: list[int] = []
    names: set[str] = set()

    def call() -> int:
        inside.append(1)
        names.add(threading.current_thread().name)
        together = len(inside)
        time.sleep(0.002)
        inside.pop()
        return together

    found: list[int] = []
    threads = [
        threading.Thread(target=lambda: found.extend(asking.ask(answer, call) for _ in range(5)))
        for _ in range(4)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert found == [1] * 20
    assert names == {"verifier 'x'"}


def workers() -> list[threading.Thread]:
    return [thread for thread in threading.enumerate() if thread.name == "verifier 'x'"]


@pytest.mark.parametrize("closed", [True, False])
def test_its_thread_ends_when_it_is_closed_or_forgotten(closed: bool) -> None:
    asking, _ = calls()
    asking.ask(answer, int)
    assert workers()
    told: list[str] = []
    if closed:
        asking.close(lambda: told.append(threading.current_thread().name))
        assert told == ["verifier 'x'"]
    del asking
    gc.collect()
    until(lambda: not workers())


def test_closing_never_raises_and_never_waits_for_ever(caplog: pytest.LogCaptureFixture) -> None:
    asking, _ = calls()
    asking.close(fail)
    with hanging() as hang:
        calls()[0].close(hang)
    assert [m for m in caplog.messages if "does not close" in m] == [
        "the verifier 'x' does not close: out of memory",
        "the verifier 'x' does not close: the verifier 'x' did not answer within 0.05 s",
    ]


def test_guests_know_their_problems_and_count_by_role() -> None:
    guests = Guests(call_s=30, spare_call_s=0.02)
    verifier, masker = guests.calls("verifier", "v"), guests.calls("masker", "m")
    with hanging() as hang, pytest.raises(HangingError):
        verifier.ask(answer, hang)
    with pytest.raises(RuntimeError):
        masker.ask(answer, fail)
    assert any("masker 'm' failed" in problem for problem in guests.problems())
    counts = guests.counts()
    assert (counts["verifier"].timeouts, counts["masker"].failures, counts["codec"].calls) == (1, 1, 0)
