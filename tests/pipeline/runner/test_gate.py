"""Frames wait for the detector: live ones give way to newer ones, recorded ones never."""

import threading
from collections.abc import Sequence

import pytest

from pipeline.messages import EndReason, StreamEnd
from pipeline.runner.gate import RECORDED_WAITING, Arrived, FrameGate
from pipeline.testing import frame

LOST, STOPPED = EndReason.STREAM_LOST, EndReason.STOPPED


class Clock:
    now_s = 100.0

    def __call__(self) -> float:
        return self.now_s


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def gate(clock: Clock) -> FrameGate:
    return FrameGate(clock)


def told(items: Sequence[Arrived | StreamEnd] | None) -> list[object]:
    assert items is not None
    return [
        (item.frame.stream_id, item.frame.index) if isinstance(item, Arrived) else item.reason
        for item in items
    ]


def test_of_a_live_stream_the_newest_waits_and_the_rest_are_counted(gate: FrameGate, clock: Clock) -> None:
    door = gate.add("door")
    for i in range(5):
        assert gate.put(door, frame(i, stream_id="door"), newest_only=True)
    clock.now_s += 0.25
    assert told(gate.take(8, 0)) == [("door", 4)]
    counts = gate.counts()["door"]
    assert (counts.frames_in, counts.frames_inferred, counts.dropped) == (5, 1, 4)
    assert counts.age_s == 0.25


def test_of_a_recording_every_frame_waits_and_its_reader_with_it(gate: FrameGate) -> None:
    clip = gate.add("clip")
    reader = threading.Thread(
        target=lambda: [gate.put(clip, frame(i, stream_id="clip"), newest_only=False) for i in range(7)]
    )
    reader.start()
    taken: list[object] = []
    while len(taken) < 7:
        assert gate.counts()["clip"].frames_in - len(taken) <= RECORDED_WAITING
        taken += told(gate.take(8, 5.0))
    reader.join(5)
    assert taken == [("clip", i) for i in range(7)]
    assert gate.counts()["clip"].dropped == 0


def test_a_batch_has_one_frame_of_each_stream_the_longest_waiting_first(
    gate: FrameGate, clock: Clock
) -> None:
    inlets = {name: gate.add(name) for name in ("a", "b", "c")}
    for name in ("c", "a", "b"):
        clock.now_s += 1
        for i in range(2):
            gate.put(inlets[name], frame(i, stream_id=name), newest_only=False)
    assert told(gate.take(2, 0)) == [("c", 0), ("a", 0)]
    assert told(gate.take(8, 0)) == [("c", 1), ("a", 1), ("b", 0)]


def test_an_end_keeps_its_place_and_comes_once(gate: FrameGate) -> None:
    door = gate.add("door")
    gate.end_through(door, LOST)  # nothing has begun yet
    gate.put(door, frame(0, stream_id="door"), newest_only=True)
    gate.end_through(door, LOST)
    gate.end_through(door, STOPPED)
    gate.put(door, frame(1, stream_id="door"), newest_only=True)  # never replaces what is behind an end
    assert [told(gate.take(8, 0)) for _ in range(4)] == [[("door", 0)], [LOST], [("door", 1)], []]


def test_an_end_waits_for_nobody_when_only_some_can_be_taken(gate: FrameGate, clock: Clock) -> None:
    """Tracks that are over are told before new frames are looked at."""
    door, yard = gate.add("door"), gate.add("yard")
    gate.put(yard, frame(0, stream_id="yard"), newest_only=True)
    clock.now_s += 1
    gate.put(door, frame(0, stream_id="door"), newest_only=True)
    gate.end_through(door, LOST)
    assert told(gate.take(8, 0)) == [("yard", 0), ("door", 0)]
    gate.put(yard, frame(1, stream_id="yard"), newest_only=True)
    assert told(gate.take(1, 0)) == [LOST]


def test_closing_ends_every_stream_and_what_waits_is_still_given_out(gate: FrameGate) -> None:
    door = gate.add("door")
    gate.put(door, frame(0, stream_id="door"), newest_only=True)
    gate.close(STOPPED)
    assert not gate.put(door, frame(1, stream_id="door"), newest_only=True)
    assert [told(gate.take(8, 0)), told(gate.take(8, 0))] == [[("door", 0)], [STOPPED]]
    assert gate.take(8, 0) is None


def test_closing_frees_a_reader_that_waits(gate: FrameGate) -> None:
    clip = gate.add("clip")
    answers: list[bool] = []
    reader = threading.Thread(
        target=lambda: answers.extend(
            gate.put(clip, frame(i, stream_id="clip"), newest_only=False) for i in range(3)
        )
    )
    reader.start()
    while gate.counts()["clip"].frames_in < RECORDED_WAITING:
        pass
    gate.close()
    reader.join(5)
    assert answers == [True, True, False]


def test_a_stream_that_left_is_given_out_to_its_end_and_takes_no_more(gate: FrameGate) -> None:
    door, yard = gate.add("door"), gate.add("yard")
    gate.put(door, frame(0, stream_id="door"), newest_only=True)
    gate.end("door", STOPPED)
    gate.remove("door")
    assert not gate.put(door, frame(1, stream_id="door"), newest_only=True)
    assert gate.put(yard, frame(0, stream_id="yard"), newest_only=True)
    assert list(gate.counts()) == ["yard"]
    assert sorted(map(str, told(gate.take(8, 0)))) == ["('door', 0)", "('yard', 0)"]
    assert told(gate.take(8, 0)) == [STOPPED]


def test_a_new_inlet_shuts_the_old_one_and_the_counts_go_on(gate: FrameGate) -> None:
    old = gate.add("door")
    gate.put(old, frame(0, stream_id="door"), newest_only=True)
    new = gate.add("door")
    assert not gate.put(old, frame(1, stream_id="door"), newest_only=True)
    gate.skip(old)
    gate.end_through(old, LOST)
    gate.came_up(old)
    gate.came_up(new)
    assert gate.put(new, frame(2, stream_id="door"), newest_only=True)
    counts = gate.counts()["door"]
    assert (counts.frames_in, counts.dropped, counts.reconnects, counts.up) == (2, 1, 1, True)
    assert told(gate.take(8, 0)) == [("door", 2)]


def test_a_stream_removed_and_added_again_counts_from_zero(gate: FrameGate) -> None:
    gate.put(gate.add("door"), frame(0, stream_id="door"), newest_only=True)
    gate.remove("door")
    gate.came_up(gate.add("door"))
    counts = gate.counts()["door"]
    assert (counts.frames_in, counts.reconnects, counts.up) == (0, 0, False)


def test_a_stream_that_came_back_waits_for_what_it_left_behind() -> None:
    gate = FrameGate(lambda: 0.0)
    old = gate.add("door")
    gate.put(old, frame(0, stream_id="door"), newest_only=False)
    gate.end("door", EndReason.STOPPED)
    gate.remove("door")
    gate.put(gate.add("door"), frame(1, stream_id="door"), newest_only=False)
    given = [gate.take(8, 0.0) for _ in range(3)]
    kinds = [
        [item.frame.index if isinstance(item, Arrived) else str(item.reason) for item in batch or ()]
        for batch in given
    ]
    assert kinds == [[0], ["stopped"], [1]]


def test_a_stream_that_came_back_twice_gives_out_the_oldest_first(gate: FrameGate) -> None:
    for index in range(2):
        inlet = gate.add("door")
        gate.put(inlet, frame(index, stream_id="door"), newest_only=False)
        gate.end("door", STOPPED)
        gate.remove("door")
    gate.put(gate.add("door"), frame(2, stream_id="door"), newest_only=False)
    given = [told(gate.take(8, 0.0)) for _ in range(5)]
    assert given == [[("door", 0)], [STOPPED], [("door", 1)], [STOPPED], [("door", 2)]]
