"""Which frames of a stream are looked at."""

import numpy as np
import pytest

from pipeline.frame_rate import FrameRate, MaxFps, Thinning, thinned


def taken(times_s: list[float], max_fps: MaxFps = "auto") -> list[int]:
    thinning = Thinning(max_fps)
    return [index for index, time_s in enumerate(times_s) if thinning.takes(time_s)]


def at(fps: float, count: int = 60) -> list[float]:
    return [index / fps for index in range(count)]


@pytest.mark.parametrize("fps", [0.5, 5.0, 10.0, 12.0, 14.99, 15.0])
def test_a_slow_stream_loses_nothing(fps: float) -> None:
    assert taken(at(fps)) == list(range(60))
    assert thinned(fps) is None


@pytest.mark.parametrize(
    ("fps", "step", "told"),
    [(20.0, 2, "20 frames"), (25.0, 2, "25 frames"), (30.0, 3, "30 frames"), (60.0, 6, "60 frames")],
)
def test_of_a_fast_stream_about_ten_a_second_are_taken_evenly(fps: float, step: int, told: str) -> None:
    rest = taken(at(fps))[10:]
    assert set(np.diff(rest)) == {step}
    assert told in str(thinned(fps))


def test_times_that_tremble_do_not_matter() -> None:
    rng = np.random.default_rng(5)
    fast = [time_s + float(rng.uniform(-0.008, 0.008)) for time_s in at(30.0, 300)]
    slow = [time_s + float(rng.uniform(-0.02, 0.02)) for time_s in at(12.0, 300)]
    assert 80 <= len(taken(fast)) <= 130
    assert len(taken(slow)) == 300


def test_null_is_every_frame_and_a_number_at_most_so_many() -> None:
    assert taken(at(30.0), None) == list(range(60))
    assert taken(at(30.0), 5.0) == list(range(0, 60, 6))
    assert Thinning(5.0).told is None


def test_a_stream_that_becomes_slow_is_taken_whole() -> None:
    times = at(30.0, 30)
    slow = [times[-1] + (index + 1) / 8 for index in range(30)]
    assert taken(times + slow)[-25:] == list(range(35, 60))


def test_the_rate_is_the_middle_one_of_the_latest_steps() -> None:
    rate = FrameRate()
    assert [rate.with_frame(time_s) for time_s in (0.0, 0.1, 0.2, 0.3, 0.4)] == [None] * 5
    assert rate.with_frame(5.0) == pytest.approx(10.0)
