"""The line that a running musewatch shows on a terminal."""

import time
from collections.abc import Callable

from rich.text import Text

from pipeline.runner.runner import Status

WINDOW_S = 2.0


def status_line(clock: Callable[[], float] = time.monotonic) -> Callable[[Status], Text]:
    """Makes the line of each status: per stream frames per second and age, then hits and what waits."""
    since_s, before, rates = clock(), dict[str, int](), dict[str, float]()

    def show(status: Status) -> Text:
        nonlocal since_s
        now_s = clock()
        if now_s - since_s >= WINDOW_S:
            for name, counts in status.streams.items():
                new = max(0, counts.frames_inferred - before.get(name, 0))  # fewer: its stream was added anew
                rates[name] = new / (now_s - since_s)
                before[name] = counts.frames_inferred
            since_s = now_s
        parts = Text()
        for name, counts in status.streams.items():
            state = f"{rates.get(name, 0.0):.1f} fps {counts.age_s * 1000:.0f} ms" if counts.up else "down"
            parts.append(f"{name} ", style="bold").append(state, style="" if counts.up else "red").append(
                "  "
            )
        parts.append(f"{status.hits} hits", style="green" if status.hits else "")
        return parts.append(f"  {status.outbox} waiting") if status.outbox else parts

    return show
