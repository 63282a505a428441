import logging
from collections.abc import Iterator
from itertools import pairwise
from types import SimpleNamespace
from typing import Any

import pytest

from plugins.sources.hardware import hardware
from plugins.sources.video import Decoder, TimeLine


@pytest.mark.parametrize(
    ("stamps", "expected"),
    [
        ([5.0, 5.1, 5.2], [0, 0.1, 0.2]),  # counts from the first
        ([None, 0.1, 0.2], [0, 0.1, 0.2]),  # RTSP: the first frame has none
        ([1.0, None, 1.2], [0, 0.1, 0.2]),
        ([0.0, 0.1, 0.1, 0.3], [0, 0.1, 0.101, 0.3]),
        ([0.0, 0.1, 0.05, 0.2], [0, 0.1, 0.101, 0.2]),  # one glitch does not move what follows
        ([0.0, 2.0, 0.0, 0.1], [0, 2.0, 2.1, 2.2]),  # the sender starts its clock again
        ([0.0, 9.0], [0, 9.0]),  # a gap stays a gap
    ],
)
def test_time_only_grows(stamps, expected):
    times = TimeLine(frame_s=0.1)
    placed = [times.place(stamp) for stamp in stamps]
    assert placed == pytest.approx(expected)
    assert all(a < b for a, b in pairwise(placed))


def test_software_needs_no_trial():
    assert hardware("none") is None


@pytest.mark.parametrize(("name", "level"), [("qsv", logging.WARNING), ("auto", logging.INFO)])
def test_a_decoder_that_does_not_start_is_reported(name, level, caplog, monkeypatch):
    def refuse(*_: object) -> None:
        raise PermissionError("no driver")

    class Refusing:
        def __init__(self, *_: object, **__: object) -> None: ...

        create = refuse

    monkeypatch.setattr("plugins.sources.hardware.HWAccel", Refusing)
    caplog.set_level(logging.INFO, "musewatch.source")
    assert hardware(name) is None
    assert {record.levelno for record in caplog.records} == {level}


class Wordless:
    """Packets of a decoder that says nothing of what it cannot use, as H.265's without parameter sets."""

    def __init__(self, answers: list[tuple[int, list[int]]]) -> None:
        self.stream = SimpleNamespace(codec_context=object(), index=0)
        self.streams = SimpleNamespace(video=[self.stream])
        self.answers = answers

    def demux(self) -> Iterator[Any]:
        for pts, shown in self.answers:
            frames = [SimpleNamespace(pts=each) for each in shown]
            yield SimpleNamespace(
                stream=self.stream, is_keyframe=True, pts=pts, decode=lambda frames=frames: frames,
                has_sidedata=lambda _: False,
            )  # fmt: skip


@pytest.mark.parametrize(
    ("answers", "damaged"),
    [
        ([(0, []), (1, []), (2, [2]), (3, [3])], 2),
        ([(0, []), (2, [0]), (1, [1, 2])], 0),  # the delay of reordering is no damage
        (
            [(5, []), (3, []), (4, []), (6, [5, 6])],
            0,
        ),  # pictures shown before their key frame are left out by rule
    ],
)
def test_pictures_that_a_decoder_swallows_are_counted(answers, damaged):
    decoder = Decoder(Wordless(answers), threads="SLICE")
    assert list(decoder.frames())
    assert decoder.damaged == damaged
