"""Holds recorded frames back until they are due, as a camera would."""

import time
from collections.abc import Callable
from typing import Literal

PaceName = Literal["real", "fast"]


class Pace:
    """Real speed, counted from the first frame held.

    Args:
        wait: Blocks for so many seconds, less when the source is closed.
        clock: Monotonic seconds.
    """

    def __init__(self, wait: Callable[[float], object], clock: Callable[[], float] = time.monotonic) -> None:
        self._wait = wait
        self._clock = clock
        self._zero_s: float | None = None

    def hold(self, at_s: float) -> None:
        """Returns when a frame of that time is due; at once for the first and for late ones."""
        now_s = self._clock()
        if self._zero_s is None:
            self._zero_s = now_s - at_s
        delay_s = self._zero_s + at_s - now_s
        if delay_s > 0:
            self._wait(delay_s)
