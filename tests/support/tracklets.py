"""Tracklets made by hand."""

from datetime import UTC, datetime

import cv2
import numpy as np

from pipeline.messages import Clock, Crop, Scene, TrackKey, Tracklet
from tests.support.pictures import person

WHEN = datetime(2026, 1, 1, tzinfo=UTC)


def tracklet(
    track_id: int = 1,
    box: tuple[float, float, float, float] = (10, 5, 30, 40),
    size: tuple[int, int] = (64, 48),
) -> Tracklet:
    """Somebody seen best in `box` of a grey scene of `size` (width, height), and once more in its corner."""
    vector = np.array([1, 0], np.float32)
    best = Crop(person(), box, 1.0, WHEN, 0.9, vector)
    other = Crop(person(40), (0, 0, 4, 8), 2.0, WHEN, 0.1, vector)
    _, jpeg = cv2.imencode(".jpg", np.full((size[1], size[0], 3), 128, np.uint8))
    return Tracklet(
        TrackKey("door", "e", track_id),
        1,
        (best, other),
        Scene(jpeg.tobytes(), size),
        vector,
        0.0,
        2.0,
        2.0,
        Clock.FILE,
    )
