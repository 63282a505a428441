"""When a member commits its offsets: as soon as nothing would be gone with it."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass

from pipeline.deliver.outbox import Progress

EVERY_S = 0.5
STALLED_S = 30.0


@dataclass(frozen=True, slots=True)
class _Mark:
    taken: int
    offsets: Mapping[int, int]
    at_s: float


class Commits:
    """Holds offsets back until the sinks have what came of the tracklets before them, at most `STALLED_S`.

    In the outbox the hits are safe from a crash of the process, not from the loss of its machine: what no sink has
    yet, a successor makes again from the same tracklets, under the same ids. A sink that takes nothing must not hold
    the group's books up for ever, so after `STALLED_S` the outbox alone has to do.

    Args:
        progress: How far the outbox and its sinks are.
        now_s: Monotonic seconds at the start.
    """

    def __init__(self, progress: Callable[[], Progress], now_s: float) -> None:
        self._progress = progress
        self._mark: _Mark | None = None
        self._done_s = now_s

    def due(self, offsets: Mapping[int, int], now_s: float) -> dict[int, int]:
        """What to commit now, by partition.

        Args:
            offsets: Up to which everything is in the outbox now.
            now_s: Monotonic seconds.

        Raises:
            OutboxError: The outbox cannot be read.
        """
        if now_s - self._done_s < EVERY_S:
            return {}
        progress = self._progress()
        mark = self._mark = self._mark or _Mark(progress.taken, dict(offsets), now_s)
        if progress.confirmed < mark.taken and now_s - mark.at_s < STALLED_S:
            return {}
        self._mark, self._done_s = None, now_s
        return {partition: offset for partition, offset in mark.offsets.items() if partition in offsets}
