"""Which lost track a new one continues."""

import numpy as np
import pytest

from pipeline.config import TracksConfig
from pipeline.follow.buffer import Record, TrackBuffer
from pipeline.follow.geometry import Box
from pipeline.follow.relink import find_predecessor
from pipeline.messages import Clock, Crop, TrackKey
from pipeline.testing import UNDATED


def record(pts_s: float, box: Box, angle: float = 0.0, track_id: int = 1) -> Record:
    buffer = TrackBuffer(TracksConfig())
    made = buffer.see(TrackKey("door", "e1", track_id), box, pts_s, Clock.FILE)
    vector = np.array([np.cos(angle), np.sin(angle)], np.float32)
    buffer.add(made, Crop(np.zeros((4, 2, 3), np.uint8), box, pts_s, UNDATED, 0.5, vector))
    return made


def at(x: float, height: float = 100.0) -> Box:
    return (x, 100.0, x + 40.0, 100.0 + height)


@pytest.mark.parametrize(
    ("new", "continues"),
    [
        # The same place, a second later, alike.
        (record(2.0, at(0)), True),
        # As far as one may walk in a second: 0.75 + 1.5 heights; and a little farther.
        (record(2.0, at(224)), True),
        (record(2.0, at(226)), False),
        # More time allows more way.
        (record(4.0, at(400)), True),
        # Somebody else's appearance: 2 sin(angle / 2) apart.
        (record(2.0, at(0), angle=0.51), True),
        (record(2.0, at(0), angle=0.53), False),
        # Suddenly much taller.
        (record(2.0, at(0, height=170)), False),
        # Already there while the other was still seen.
        (record(0.9, at(0)), False),
    ],
)
def test_near_in_appearance_place_and_time(new: Record, continues: bool) -> None:
    old = record(1.0, at(0))
    assert (find_predecessor(new, [old], max_distance=0.51) is old) == continues


def test_the_nearest_in_appearance_wins() -> None:
    old = [record(1.0, at(0), angle=0.3, track_id=1), record(1.0, at(50), angle=0.1, track_id=2)]
    assert find_predecessor(record(2.0, at(20)), old, 0.5) is old[1]
    assert find_predecessor(record(2.0, at(20)), [], 0.5) is None
