"""The watchlist is followed by a time of day that does not jump."""

import time
from datetime import datetime
from functools import partial
from typing import Any, cast

import pytest

from pipeline.clock import SETTLE_S, SteadyTime
from pipeline.runner import back
from pipeline.runner.back import Identifier


class Asked:
    """A follower that notes when it was asked for."""

    def __init__(self) -> None:
        self.at_s: list[float] = []

    def refresh(self, now: datetime) -> None:
        self.at_s.append(now.timestamp())


class Clocks:
    """The monotonic clock of a machine, and its wall clock."""

    passed_s = wrong_by_s = 0.0

    def monotonic(self) -> float:
        return self.passed_s

    def wall(self) -> float:
        return 1e9 + self.passed_s + self.wrong_by_s


def test_nobody_is_over_by_a_clock_that_is_wrong_for_a_minute(monkeypatch: pytest.MonkeyPatch) -> None:
    asked, clocks = Asked(), Clocks()
    monkeypatch.setattr(time, "time", clocks.wall)
    monkeypatch.setattr(back, "SteadyTime", partial(SteadyTime, clocks.monotonic))
    unused = cast(Any, None)
    identifier = Identifier("hall", unused, cast(Any, asked), unused, unused)
    for passed_s, wrong_by_s in ((0, 0), (10, 1e8), (70, 1e8), (80, 0), (90 + SETTLE_S, 0)):
        clocks.passed_s, clocks.wrong_by_s = passed_s, wrong_by_s
        identifier.follow()
    assert [at_s - 1e9 for at_s in asked.at_s] == [0, 10, 70, 80, 90 + SETTLE_S]
