"""The line on the terminal says how each stream stands."""

from pipeline.cli.status import WINDOW_S, status_line
from pipeline.runner.gate import StreamCounts
from pipeline.runner.runner import Status


class Clock:
    now_s = 50.0

    def __call__(self) -> float:
        return self.now_s


def test_rate_age_hits_and_what_waits() -> None:
    clock = Clock()
    show = status_line(clock)
    door = StreamCounts(frames_inferred=10, up=True, age_s=0.123)
    yard = StreamCounts()
    status = Status({"door": door, "yard": yard}, hits=2, outbox=0)
    assert show(status).plain == "door 0.0 fps 123 ms  yard down  2 hits"
    clock.now_s += WINDOW_S
    door.frames_inferred = 40
    assert show(status).plain.startswith("door 20.0 fps 123 ms")
    clock.now_s += WINDOW_S / 2
    door.frames_inferred = 1000
    assert show(Status({"door": door}, 3, 7)).plain == "door 20.0 fps 123 ms  3 hits  7 waiting"
    clock.now_s += WINDOW_S / 2
    assert show(status).plain.startswith("door 480.0 fps")


def test_a_stream_added_later_is_counted_from_its_first_frame() -> None:
    clock = Clock()
    show = status_line(clock)
    gate = StreamCounts(frames_inferred=20, up=True)
    clock.now_s += WINDOW_S
    assert show(Status({"gate": gate}, 0, 0)).plain == "gate 10.0 fps 0 ms  0 hits"


def test_a_stream_counted_anew_has_no_negative_rate() -> None:
    clock = Clock()
    show = status_line(clock)
    clock.now_s += WINDOW_S
    show(Status({"door": StreamCounts(frames_inferred=500, up=True)}, 0, 0))
    clock.now_s += WINDOW_S
    assert "-" not in show(Status({"door": StreamCounts(frames_inferred=5, up=True)}, 0, 0)).plain
