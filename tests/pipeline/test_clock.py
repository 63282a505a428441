"""The time of day without its jumps."""

import pytest

from pipeline.clock import SETTLE_S, SteadyTime

NOON_S = 1_796_040_000.0


class Clocks:
    """A wall clock that can be set, and a monotonic one."""

    def __init__(self, wrong_by_s: float = 0.0) -> None:
        self.passed_s, self.wrong_by_s = 0.0, wrong_by_s
        self.time = SteadyTime(lambda: self.passed_s)

    def after(self, seconds: float) -> float:
        """What is believed then, from noon on."""
        self.passed_s += seconds
        return self.time(NOON_S + self.passed_s + self.wrong_by_s) - NOON_S


def test_it_is_the_time_of_day() -> None:
    clocks = Clocks()
    assert [clocks.after(s) for s in (0, 1, 3600)] == [0, 1, 3601]


def test_a_jump_is_not_followed_before_it_has_lasted() -> None:
    clocks = Clocks()
    clocks.after(0)
    clocks.wrong_by_s = 7200
    assert [clocks.after(s) for s in (1, SETTLE_S - 1)] == [1, SETTLE_S]
    assert not clocks.time.settled
    assert clocks.after(1) == SETTLE_S + 1 + 7200
    assert (clocks.time.settled, clocks.time.followed_s) == (True, 7200)


@pytest.mark.parametrize("jump_s", [1e9, -1e9])
def test_a_jump_that_is_taken_back_is_never_seen(jump_s: float) -> None:
    clocks = Clocks()
    clocks.after(0)
    clocks.wrong_by_s = jump_s
    seen = [clocks.after(30) for _ in range(3)]
    clocks.wrong_by_s = 0
    seen += [clocks.after(30) for _ in range(40)]
    assert seen == [30.0 * n for n in range(1, 44)]
    assert (clocks.time.settled, clocks.time.followed_s) == (True, 0)


def test_it_takes_its_time_to_settle_after_the_start_and_after_every_jump() -> None:
    clocks = Clocks()
    clocks.after(0)
    clocks.after(SETTLE_S - 1)
    assert not clocks.time.settled
    clocks.after(1)
    assert clocks.time.settled
    clocks.wrong_by_s = 90
    clocks.after(1)
    assert not clocks.time.settled


def test_a_clock_that_is_put_right_by_a_little_is_followed_at_once() -> None:
    clocks = Clocks(wrong_by_s=30)
    assert clocks.after(SETTLE_S) == SETTLE_S + 30
    clocks.wrong_by_s = -20
    assert clocks.after(1) == SETTLE_S - 19
    assert (clocks.time.settled, clocks.time.followed_s) == (False, 0)
