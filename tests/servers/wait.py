"""Waits for what another thread is about to do."""

import threading
from collections.abc import Callable


def wait_until(true: Callable[[], object]) -> None:
    """Returns as soon as another thread has made it true."""
    poll = threading.Event()
    for _ in range(1000):
        if true():
            return
        poll.wait(0.005)
    raise AssertionError("it never happened")
