"""What signals do to a running command."""

import os
import signal
from collections.abc import Callable
from contextlib import suppress

SECOND_SIGNAL = 130
STDERR = 2
SHOW_CURSOR = b"\r\x1b[2K\x1b[?25h"  # after the status line, which hides it and is wiped too


class DrainOnSignals:
    """From now on the first SIGINT or SIGTERM drains, the second ends the process at once.

    Made before anything that takes time, so that a signal during the start counts too.
    """

    def __init__(self) -> None:
        self._asked = False
        self._stop: Callable[[], None] | None = None
        signal.signal(signal.SIGINT, self._end)
        signal.signal(signal.SIGTERM, self._end)

    def by(self, stop: Callable[[], None]) -> None:
        """Says what drains; it is called at once when a signal came before."""
        self._stop = stop
        if self._asked:
            stop()

    def _end(self, signum: int, _: object) -> None:
        if self._asked:
            if os.isatty(STDERR):
                os.write(STDERR, SHOW_CURSOR)
            os._exit(SECOND_SIGNAL)
        self._asked = True
        line = f"musewatch: {signal.Signals(signum).name}: draining; once more ends at once\n"
        with suppress(OSError):
            os.write(STDERR, line.encode())  # a handler may have come in the middle of a write to sys.stderr
        if self._stop is not None:
            self._stop()


class Hangup:
    """From now on SIGHUP is noted and ends nothing.

    Only that: whoever asks by it is served where a failure can be told.
    """

    def __init__(self) -> None:
        self._came = False
        signal.signal(signal.SIGHUP, self._note)

    def taken(self) -> bool:
        """Whether it has come since this was last asked."""
        came, self._came = self._came, False
        return came

    def _note(self, signum: int, _: object) -> None:
        del signum
        self._came = True
