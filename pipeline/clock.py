"""The time of day, believed only once it has lasted."""

import time
from collections.abc import Callable

SETTLE_S = 600.0
SLACK_S = 60.0  # clocks drift, and are put right by so much without a word


class SteadyTime:
    """The time of day without its jumps: nothing is deleted by a clock that is wrong for a minute.

    A machine's clock may be wrong from its start until somebody sets it, and may jump for a while. Between jumps
    this time goes with the monotonic one; what the clock shows is followed when it has stood for `SETTLE_S`.

    Args:
        monotonic: Seconds that never jump.

    Attributes:
        settled: The clock has gone without a jump for `SETTLE_S`.
        followed_s: Sum of the jumps that were followed; times noted before are to be moved by what came since.
    """

    def __init__(self, monotonic: Callable[[], float] = time.monotonic) -> None:
        self.settled = False
        self.followed_s = 0.0
        self._monotonic = monotonic
        self._believed_s: float | None = None  # both are offsets to the monotonic time
        self._shown_s = self._since_s = 0.0

    def __call__(self, wall_s: float) -> float:
        """What to believe when the clock shows `wall_s`, both in seconds since 1970; to be asked now and then."""
        now_s = self._monotonic()
        shown_s = wall_s - now_s
        if self._believed_s is None or abs(shown_s - self._shown_s) > SLACK_S:
            self._since_s = now_s
        self._shown_s = shown_s
        self.settled = now_s - self._since_s >= SETTLE_S
        if self._believed_s is None or abs(shown_s - self._believed_s) <= SLACK_S:
            self._believed_s = shown_s
        elif self.settled:
            self.followed_s += shown_s - self._believed_s
            self._believed_s = shown_s
        return now_s + self._believed_s
