"""One stream is read, lost, opened again and ended."""

import random
import sys
import threading
import time
from collections.abc import Iterator, Sequence
from dataclasses import replace
from functools import partial

import numpy as np
import pytest
from numpy.typing import NDArray

from pipeline.errors import ConfigError, InputError, StreamError
from pipeline.messages import EndReason, Frame, RawFrame, StreamEnd
from pipeline.runner.gate import Arrived, FrameGate
from pipeline.runner.reader import ReaderSettings, StreamReader
from pipeline.runner.watchdog import MOST_STUCK, Watchdog
from pipeline.testing import ListSource, StuckSource, frame
from tests.servers.wait import wait_until

AT_ONCE = ReaderSettings(max_fps=None, backoff_s=(0.0, 0.0))
FINAL = ConfigError("no more sources")  # not an OutsideError: the reader gives up


class World:
    """A reader of one stream and a gate that keeps all it was given.

    Args:
        sources: One an opening; behind the last the reader finds `FINAL`.
        settings: How to read.
    """

    def __init__(self, *sources: object, settings: ReaderSettings = AT_ONCE) -> None:
        self.now_s = 0.0
        self.gate = FrameGate(lambda: self.now_s)
        self._sources = iter(sources)
        self.reader = StreamReader("door", self._next, self.gate, settings)

    def _next(self) -> object:
        source = next(self._sources, FINAL)
        if isinstance(source, Exception):
            raise source
        return source

    def drained(self) -> list[tuple[int, str] | EndReason]:
        """Reads to the end: index and epoch of each frame, and the ends."""
        self.reader.start()
        given: list[tuple[int, str] | EndReason] = []
        while (news := self._take(0.02)) or self.reader.alive:
            given += news
        while news := self._take(0):
            given += news
        return given

    def _take(self, timeout_s: float) -> list[tuple[int, str] | EndReason]:
        items: Sequence[Arrived | StreamEnd] = self.gate.take(8, timeout_s) or ()
        return [(i.frame.index, i.frame.epoch) if isinstance(i, Arrived) else i.reason for i in items]


def clip(*indices: int, epoch: str = "e1") -> list[Frame]:
    return [replace(frame(i), epoch=epoch) for i in indices]


def test_a_recording_is_read_once_to_its_end() -> None:
    world = World(ListSource(clip(0, 1, 2)))
    assert world.drained() == [(0, "e1"), (1, "e1"), (2, "e1"), EndReason.TRACK_ENDED]
    assert world.reader.failure is None
    assert world.gate.counts()["door"].reconnects == 0


def test_a_live_recording_at_real_speed_ends_too() -> None:
    source = ListSource(clip(0), live=True)
    source.finite = True  # type: ignore[attr-defined]
    assert World(source).drained() == [(0, "e1"), EndReason.TRACK_ENDED]


def test_a_damaged_recording_ends_with_its_error() -> None:
    world = World(ListSource([*clip(0), InputError("damaged after 1 frames")]))
    assert world.drained() == [(0, "e1"), EndReason.STREAM_LOST]
    assert str(world.reader.failure) == "damaged after 1 frames"


def test_the_end_of_a_live_stream_is_a_lost_stream_that_is_opened_again() -> None:
    world = World(ListSource(clip(0), live=True), ListSource(clip(0, epoch="e2"), live=True))
    assert world.drained() == [(0, "e1"), EndReason.STREAM_LOST, (0, "e2"), EndReason.STREAM_LOST]
    assert world.gate.counts()["door"].reconnects == 1
    assert world.reader.failure is FINAL


def test_every_connection_is_an_epoch_of_its_own() -> None:
    world = World(ListSource([frame(0)], live=True), ListSource([frame(0)], live=True))
    (_, first), _, (_, second), _ = world.drained()
    assert len(first) == len(second) == 32
    assert first != second


def test_a_camera_that_is_down_at_the_start_is_no_reconnect() -> None:
    down = StreamError("refused")
    world = World(down, down, ListSource([down], live=True), ListSource(clip(0), live=True))
    assert world.drained() == [(0, "e1"), EndReason.STREAM_LOST]
    assert world.gate.counts()["door"].reconnects == 0


@pytest.mark.parametrize(
    ("error", "said"),
    [
        (StreamError("192.0.2.1:554 refuses"), "192.0.2.1:554 refuses"),
        (OSError("tls"), "OSError: tls"),
        (ValueError("a bad time"), "ValueError: a bad time"),
        (InputError("not a video"), "not a video"),
        (MemoryError(), "MemoryError"),
        (SystemExit(3), "the source ended with SystemExit(3)"),
    ],
)
def test_a_live_source_is_opened_again_whatever_it_raises(error: BaseException, said: str) -> None:
    class Raising(ListSource):
        def frames(self) -> Iterator[Frame]:
            yield from super().frames()
            raise error

    world = World(Raising(clip(0), live=True), StuckSource([], obeys_close=True))
    world.reader.start()
    wait_until(lambda: world.reader.reading == 2)
    assert world.reader.trouble == said
    world.reader.stop()
    world.reader.join(5)
    assert world.reader.failure is None


def test_what_a_stream_suffered_from_is_over_with_its_next_frame() -> None:
    stuck = StuckSource(clip(0))
    world = World(OSError("tls"), stuck)
    world.reader.start()
    assert world.gate.take(8, 5.0)
    assert world.reader.trouble is None
    stuck.release()
    world.reader.stop()
    world.reader.join(5)


def test_pauses_double_to_a_limit_and_are_drawn_from_their_upper_half(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    reader = World(settings=ReaderSettings(None, (0.5, 3.0))).reader
    for drawn, expected in ((1.0, [0.5, 1.0, 2.0, 3.0, 3.0]), (0.5, [0.25, 0.5, 1.0, 1.5, 1.5])):
        monkeypatch.setattr(random, "uniform", lambda low, high, drawn=drawn: drawn if low == 0.5 else high)
        assert [reader._pause_s(n) for n in (1, 2, 3, 4, 500)] == expected


def test_failures_are_counted_anew_after_a_frame(monkeypatch: pytest.MonkeyPatch) -> None:
    down = StreamError("refused")
    up = [ListSource([*clip(0), down], live=True) for _ in range(2)]
    world = World(down, down, up[0], down, up[1])
    counted: list[int] = []

    def pause_s(failures: int) -> float:
        counted.append(failures)
        return 0.0

    monkeypatch.setattr(world.reader, "_pause_s", pause_s)
    world.drained()
    assert counted == [1, 2, 1, 2, 1]


def test_a_frame_rate_cap_skips_by_the_streams_own_time_and_counts() -> None:
    source = ListSource([replace(frame(i, fps=25.0), epoch="e1") for i in range(50)])
    world = World(source, settings=ReaderSettings(5.0, (0.0, 0.0)))
    assert [item[0] for item in world.drained()[:-1]] == list(range(0, 50, 5))
    counts = world.gate.counts()["door"]
    assert (counts.frames_in, counts.frames_inferred, counts.dropped) == (50, 10, 40)


def test_a_cap_lets_the_first_frame_of_every_epoch_through() -> None:
    source = ListSource([*clip(0, 1), *clip(0, 1, epoch="e2")])
    world = World(source, settings=ReaderSettings(1.0, (0.0, 0.0)))
    assert world.drained() == [(0, "e1"), (0, "e2"), EndReason.TRACK_ENDED]


def fast(*, live: bool) -> World:
    source = ListSource([replace(frame(i, fps=30.0), epoch="e1") for i in range(60)], live=live)
    source.finite = True  # type: ignore[attr-defined]
    return World(source, settings=replace(AT_ONCE, max_fps="auto"))


def test_frames_that_a_fast_live_stream_has_too_many_of_are_left_out_and_that_is_told(
    caplog: pytest.LogCaptureFixture,
) -> None:
    caplog.set_level("INFO")
    world = fast(live=True)
    world.drained()
    assert world.gate.counts()["door"].frames_in == 60
    assert "stream door: 30 frames a second: 10 of them are looked at" in str(world.reader.thinned)
    assert caplog.text.count("looked at") == 1


def test_a_recording_played_as_fast_as_it_can_be_keeps_every_frame() -> None:
    world = fast(live=False)
    assert [item[0] for item in world.drained()[:-1]] == list(range(60))
    assert world.reader.thinned is None


class Counting:
    """Frames that count how often their pictures are made."""

    live = finite = True

    def __init__(self, fps: float, count: int) -> None:
        self.made: list[int] = []
        self._frames = [frame(index, fps=fps) for index in range(count)]

    def frames(self) -> Iterator[Frame]:
        raise AssertionError("raw frames are preferred")

    def raw_frames(self) -> Iterator[RawFrame]:
        for each in self._frames:
            yield RawFrame(
                "", each.index, partial(self._make, each), each.pts_s, each.captured_at, each.clock
            )

    def _make(self, of: Frame) -> NDArray[np.uint8]:
        self.made.append(of.index)
        return of.image


def test_a_picture_that_is_not_looked_at_is_not_made() -> None:
    source = Counting(fps=30.0, count=60)
    world = World(source, settings=replace(AT_ONCE, max_fps=10.0))
    world.reader.start()
    world.reader.join(5)
    (arrived, _) = world.gate.take(8, 1.0) or (), world.gate.close()
    newest = next(item.frame for item in arrived if isinstance(item, Arrived))
    assert isinstance(newest, RawFrame)
    assert (newest.index, source.made) == (57, [])
    assert newest.converted().stream_id == "door"
    assert source.made == [57]


@pytest.mark.parametrize(("fps", "told"), [(0.5, "0.5 frames"), (1.0, "1 frames"), (2.0, None), (10.0, None)])
def test_a_stream_too_slow_to_follow_anybody_is_told(
    fps: float, told: str | None, caplog: pytest.LogCaptureFixture
) -> None:
    world = World(ListSource([replace(frame(i, fps=fps), epoch="e1") for i in range(12)]))
    world.drained()
    if told:
        assert told in str(world.reader.remark)
    assert (world.reader.remark is None) == (told is None)
    assert caplog.text.count("frames a second") == (told is not None)


def test_a_cap_that_is_too_low_is_told_as_such() -> None:
    settings = replace(AT_ONCE, max_fps=1.0)
    world = World(ListSource([replace(frame(i, fps=10.0), epoch="e1") for i in range(80)]), settings=settings)
    world.drained()
    assert "raise max_fps to 4 or more" in str(world.reader.remark)


class Endless:
    """Frames for ever; `closed` when somebody closed it."""

    live = True

    def __init__(self) -> None:
        self.closed = threading.Event()

    def frames(self) -> Iterator[Frame]:
        index = 0
        while not self.closed.wait(0.001):
            yield frame(index)
            index += 1

    def close(self) -> None:
        self.closed.set()


def test_stop_closes_the_source_and_ends_the_stream_as_stopped() -> None:
    source = Endless()
    world = World(source)
    world.reader.start()
    assert world.gate.take(8, 5.0)
    world.reader.stop()
    world.reader.join(5)
    assert source.closed.is_set()
    assert not world.reader.alive
    assert EndReason.STOPPED in world._take(0) + world._take(0)


def test_a_source_that_cannot_be_closed_does_not_break_the_reader() -> None:
    class Bad(ListSource):
        def close(self) -> None:
            raise OSError("closed twice")

    assert World(Bad(clip(0))).drained() == [(0, "e1"), EndReason.TRACK_ENDED]


def test_a_source_that_ends_the_process_as_it_is_closed_ends_nothing() -> None:
    class Exiting(ListSource):
        def close(self) -> None:
            sys.exit(3)

    world = World(Exiting(clip(0)))
    assert world.drained() == [(0, "e1"), EndReason.TRACK_ENDED]
    world.reader.stop()
    assert world.reader.failure is None


def test_times_are_plain_numbers_whatever_the_source_reckons_in() -> None:
    world = World(ListSource([replace(frame(1), pts_s=np.float32(0.5))]))
    world.reader.start()
    world.reader.join(5)
    [arrived] = world.gate.take(1, 1.0) or []
    assert isinstance(arrived, Arrived)
    assert type(arrived.frame.pts_s) is float


def test_a_source_may_give_any_iterator() -> None:
    class Plain(ListSource):
        def frames(self) -> Iterator[Frame]:
            return iter(list(super().frames()))

    world = World(Plain(clip(0, 1)))
    assert world.drained() == [(0, "e1"), (1, "e1"), EndReason.TRACK_ENDED]
    assert world.reader.failure is None


def test_a_silent_stream_is_woken_and_opened_again() -> None:
    silent = StuckSource(clip(0), obeys_close=True)
    world = World(silent, ListSource(clip(1, epoch="e2"), live=True))
    dog = Watchdog(world.gate, silent_s=10.0)
    world.reader.start()
    assert world.gate.take(8, 5.0)

    assert dog.look({"door": world.reader}, 9.0) == []
    assert world.gate.counts()["door"].up
    assert dog.look({"door": world.reader}, 10.5) == []
    assert world._take(0) == [EndReason.STREAM_LOST]
    world.reader.join(5)
    assert world._take(0) == [(1, "e2")]
    assert dog.look({"door": world.reader}, 99.0) == []


def test_a_reader_that_does_not_come_back_is_stuck_and_its_late_frames_are_ignored() -> None:
    stuck = StuckSource(clip(0), then=clip(1))
    world = World(stuck)
    dog = Watchdog(world.gate, silent_s=10.0)
    readers = {"door": world.reader}
    world.reader.start()
    assert world.gate.take(8, 5.0)
    assert dog.look(readers, 10.5) == []
    assert dog.look(readers, 20.4) == []
    assert dog.look(readers, 20.6) == ["door"]

    world.reader.stop()
    readers["door"] = StreamReader(
        "door", lambda: ListSource(clip(2, epoch="e2"), live=True), world.gate, AT_ONCE
    )
    assert dog.look(readers, 20.7) == []
    stuck.release()
    world.reader.join(5)
    assert world._take(0) == [EndReason.STREAM_LOST]
    assert world._take(0) == []
    assert world.gate.counts()["door"].frames_in == 1


def test_a_recording_may_be_as_slow_as_it_likes() -> None:
    stuck = StuckSource(clip(0), live=False)
    world = World(stuck)
    dog = Watchdog(world.gate, silent_s=10.0)
    world.reader.start()
    assert world.gate.take(8, 5.0)
    assert dog.look({"door": world.reader}, 1000.0) == []
    assert world.gate.counts()["door"].up
    stuck.release()
    wait_until(lambda: not world.reader.alive)


def test_a_source_without_a_first_frame_is_silent_too_and_opened_again() -> None:
    silent = StuckSource([], obeys_close=True)
    world = World(silent, ListSource(clip(1, epoch="e2"), live=True))
    dog = Watchdog(world.gate, silent_s=10.0)
    began_s = time.monotonic()
    world.reader.start()
    wait_until(lambda: world.reader.reading == 1)
    assert dog.look({"door": world.reader}, began_s + 9.0) == []
    assert world.reader.reading == 1
    assert dog.look({"door": world.reader}, began_s + 11.0) == []
    world.reader.join(5)
    assert world._take(0) == [(1, "e2")]


def test_a_source_may_take_its_own_time_to_open() -> None:
    slow = StuckSource([], obeys_close=True)
    slow.opening_s = 60.0  # type: ignore[attr-defined]
    world = World(slow)
    dog = Watchdog(world.gate, silent_s=10.0)
    began_s = time.monotonic()
    world.reader.start()
    wait_until(lambda: (world.reader.silent_since_s or 0.0) > began_s + 59.0)
    dog.look({"door": world.reader}, began_s + 69.0)
    assert world.reader.reading == 1
    dog.look({"door": world.reader}, began_s + 75.0)
    wait_until(lambda: not world.reader.alive)


def test_openings_that_hang_keep_few_threads_however_long_it_lasts(
    caplog: pytest.LogCaptureFixture,
) -> None:
    gate = FrameGate(time.monotonic)
    hanging: list[StuckSource] = []

    def hang() -> StuckSource:
        hanging.append(StuckSource([]))
        return hanging[-1]

    def reader() -> StreamReader:
        made = StreamReader("door", hang, gate, AT_ONCE)
        made.start()
        wait_until(lambda: made.reading == 1)
        return made

    readers, everyone = {"door": reader()}, []
    dog = Watchdog(gate, silent_s=10.0)
    now_s = time.monotonic()
    for _ in range(40):
        now_s += 11.0
        for name in dog.look(readers, now_s):
            everyone.append(readers[name])
            readers[name].stop()
            readers[name] = reader()
    assert len(everyone) == MOST_STUCK
    assert caplog.text.count("sources hang") == 1
    everyone.append(readers["door"])
    for source in hanging:
        source.release()
    readers["door"].stop()
    wait_until(lambda: not any(one.alive for one in everyone))
