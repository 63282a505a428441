"""Holds recorded frames back until they are due, as a camera would."""

import logging
from collections.abc import Callable
from typing import Literal

logger = logging.getLogger("musewatch.source")

PaceName = Literal["real", "fast"]
LONGEST_WAIT_S = 10.0


class Pace:
    """Real speed, counted from the first frame held; a longer gap than anybody wants to sit out is passed over.

    Args:
        wait: Blocks for so many seconds, less when the source is closed.
        clock: Monotonic seconds.
        name: Of what is played, for the log.
        longest_s: The longest wait.
    """

    def __init__(
        self,
        wait: Callable[[float], object],
        clock: Callable[[], float],
        name: str,
        longest_s: float = LONGEST_WAIT_S,
    ) -> None:
        self._wait = wait
        self._clock = clock
        self._name = name
        self._longest_s = longest_s
        self._zero_s: float | None = None

    def hold(self, at_s: float) -> None:
        """Returns when a frame of that time is due; at once for the first, for late ones and behind a gap."""
        now_s = self._clock()
        if self._zero_s is None:
            self._zero_s = now_s - at_s
        delay_s = self._zero_s + at_s - now_s
        if delay_s > self._longest_s:
            logger.warning("%s: a gap of %.0f s before %.1f s is passed over", self._name, delay_s, at_s)
            self._zero_s = now_s - at_s
        elif delay_s > 0:
            self._wait(delay_s)
