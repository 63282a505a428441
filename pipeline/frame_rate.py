"""How fast the frames of a stream come, and which of them are looked at."""

import math
from collections import deque
from typing import Literal

MaxFps = float | Literal["auto"] | None
"""Frames a second of the stream that are looked at: at most so many, as many as are worth it, or all."""

LOOKED_AT = 5
PLENTY_FPS = 15.5  # where more come, some are left out: people are followed as well at half of it
AIM_FPS = 10.0


class FrameRate:
    """Frames a second, by the middle one of the latest steps from frame to frame of one epoch."""

    def __init__(self) -> None:
        self._steps_s: deque[float] = deque(maxlen=LOOKED_AT)
        self._last_s: float | None = None

    def with_frame(self, pts_s: float) -> float | None:
        """The rate with one more frame; None while it is not known."""
        if self._last_s is not None:
            self._steps_s.append(pts_s - self._last_s)
        self._last_s = pts_s
        if len(self._steps_s) < LOOKED_AT:
            return None
        step_s = sorted(self._steps_s)[LOOKED_AT // 2]
        return 1 / step_s if step_s > 0 else None


def one_in(fps: float) -> int:
    """Of how many frames one is looked at where a config does not say: 1 = every frame."""
    return max(1, round(fps / AIM_FPS)) if fps > PLENTY_FPS else 1


def thinned(fps: float) -> str | None:
    """What is left out of a live stream where a config does not say, in words; None = nothing."""
    count = one_in(fps)
    if count == 1:
        return None
    return f"{fps:.0f} frames a second: {fps / count:.0f} of them are looked at; set max_fps to have it otherwise"


class Thinning:
    """Chooses the frames of one epoch that are looked at, evenly in time.

    Args:
        max_fps: How many; "auto" takes every frame until the rate is known, and some above `PLENTY_FPS`.

    Attributes:
        fps: How fast all of them come; None while that is not known.
    """

    def __init__(self, max_fps: MaxFps) -> None:
        self._max_fps = max_fps
        self._rate = FrameRate()
        self._taken_s = -math.inf
        self.fps: float | None = None

    @property
    def told(self) -> str | None:
        """What "auto" leaves out, in words; None where that is nothing."""
        return thinned(self.fps) if self.fps and self._max_fps == "auto" else None

    def takes(self, pts_s: float) -> bool:
        """Whether the frame of that time is looked at."""
        self.fps = self._rate.with_frame(pts_s)
        if pts_s - self._taken_s < self._shortest_s():
            return False
        self._taken_s = pts_s
        return True

    def _shortest_s(self) -> float:
        if self._max_fps is None:
            return 0.0
        if self._max_fps != "auto":
            return 0.99 / self._max_fps
        count = one_in(self.fps) if self.fps else 1
        return (count - 0.5) / self.fps if self.fps and count > 1 else 0.0
