"""What signals do to a running command."""

import os
import signal
from collections.abc import Callable

from pipeline.cli.common import say

SECOND_SIGNAL = 130


def drain_on_signals(stop: Callable[[], None]) -> None:
    """The first SIGINT or SIGTERM calls `stop`, the second ends the process at once."""
    asked = [False]

    def end(signum: int, _: object) -> None:
        if asked[0]:
            os._exit(SECOND_SIGNAL)
        asked[0] = True
        say(f"musewatch: {signal.Signals(signum).name}: draining; once more ends at once")
        stop()

    signal.signal(signal.SIGINT, end)
    signal.signal(signal.SIGTERM, end)
