"""The thread of a relay; it belongs to the runner."""

import threading
import time
from collections.abc import Callable

from pipeline.deliver.relay import Relay


class RelayThread:
    """Steps a relay until it is told to stop; a sink that blocks holds up nobody else.

    Args:
        relay: What to step.
        clock: Seconds that never go back.
    """

    def __init__(self, relay: Relay, clock: Callable[[], float] = time.monotonic) -> None:
        self._relay = relay
        self._clock = clock
        self._woken = threading.Event()
        self._until_s: float | None = None
        self._thread = threading.Thread(target=self._run, name=f"relay-{relay.name}", daemon=True)

    def start(self) -> None:
        """Begins to publish."""
        self._thread.start()

    def wake(self) -> None:
        """Something new waits in the outbox."""
        self._woken.set()

    def stop(self, deadline_s: float) -> None:
        """Tries at once, whatever pause was due, and ends when nothing waits or at `deadline_s` of the clock.

        There is one try even when that has passed. Returns at once; `join` waits.
        """
        self._until_s = deadline_s
        self._woken.set()

    def join(self) -> bool:
        """Waits for the end that `stop` asked for; False when a call into the sink outlasts it."""
        until_s = self._clock() if self._until_s is None else self._until_s
        self._thread.join(max(0.0, until_s - self._clock()) + 1.0)
        return not self._thread.is_alive()

    def _run(self) -> None:
        while self._until_s is None:
            self._woken.clear()
            self._pause(self._relay.step(self._clock()))
        self._relay.hurry()
        while True:
            due_s = self._relay.step(self._clock())
            if self._relay.idle or self._clock() >= self._until_s:
                break
            self._woken.clear()
            self._pause(min(due_s, self._until_s))
        self._relay.close()

    def _pause(self, until_s: float) -> None:
        self._woken.wait(max(0.0, until_s - self._clock()))
