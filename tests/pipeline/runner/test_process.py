"""Parts start, are watched and end in order, whatever one of them does."""

import pytest

from pipeline.calls import Guests
from pipeline.errors import ConfigError, OutsideError
from pipeline.runner.process import Failures, Part, Process
from pipeline.runner.telemetry import Telemetry


class Told(Part):
    """Writes down what is asked of it; `fails` at one of that."""

    def __init__(self, name: str, story: list[str], fails: str = "", looks: int = 1) -> None:
        self._name, self._story, self._fails, self._looks = name, story, fails, looks

    def _tell(self, what: str) -> None:
        self._story.append(f"{self._name} {what}")
        if what == self._fails:
            raise ConfigError(f"{self._name} cannot {what}")

    def prepare(self) -> None:
        self._tell("prepare")

    def start(self) -> None:
        self._tell("start")

    def look(self) -> bool:
        self._looks -= 1
        return self._looks > 0

    def problems(self) -> list[str]:
        return [f"{self._name} is slow"]

    def finish(self, deadline_s: float) -> bool:
        self._story.append(f"{self._name} finish")
        return self._fails != "finish"


def process(*parts: Part) -> Process:
    return Process(parts, Failures(Telemetry(dict)), Guests(), drain_s=0.0)


def test_parts_start_from_the_last_and_end_from_the_first() -> None:
    story: list[str] = []
    made = process(Told("front", story, looks=3), Told("back", story, looks=99))
    ticks: list[int] = []
    made.run(None, lambda: ticks.append(1))
    assert story == [
        "front prepare", "back prepare", "back start", "front start", "front finish", "back finish",
    ]  # fmt: skip
    assert (len(ticks), made.failure, made.stopped) == (2, None, False)
    assert made.problems() == ["front is slow", "back is slow"]


def test_where_a_part_cannot_prepare_nothing_starts() -> None:
    story: list[str] = []
    with pytest.raises(ConfigError, match="back cannot prepare"):
        process(Told("front", story), Told("back", story, "prepare")).run(None)
    assert story == ["front prepare", "back prepare"]


def test_where_a_part_cannot_start_those_that_have_are_ended() -> None:
    story: list[str] = []
    with pytest.raises(ConfigError, match="front cannot start"):
        process(Told("front", story, "start"), Told("back", story)).run(None)
    assert story[2:] == ["back start", "front start", "back finish"]


def test_all_parts_end_though_watching_fails() -> None:
    story: list[str] = []

    def fail() -> None:
        raise OSError("the terminal is gone")

    with pytest.raises(OSError, match="terminal"):
        process(Told("front", story, looks=9), Told("back", story, looks=9)).run(None, fail)
    assert story[-2:] == ["front finish", "back finish"]


def test_a_part_that_does_not_finish_in_time_is_told() -> None:
    story: list[str] = []
    made = process(Told("front", story, "finish"), Told("back", story))
    made.run(None)
    assert story[-1] == "back finish"
    assert isinstance(made.failure, OutsideError)
    assert "not finished in time" in str(made.failure)


def test_whoever_asks_for_the_end_before_the_start_gets_it() -> None:
    story: list[str] = []
    made = process(Told("front", story, looks=99))
    made.stop()
    made.run(None)
    assert (story[-1], made.stopped) == ("front finish", True)
