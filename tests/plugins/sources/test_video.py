import logging
from itertools import pairwise

import pytest

from plugins.sources.hardware import hardware
from plugins.sources.video import TimeLine


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
