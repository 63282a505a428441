"""The bus inside one process: a bounded queue of tracklets."""

import queue
from collections.abc import Sequence

from pydantic import Field

from pipeline.messages import Tracklet
from pipeline.settings import Settings


class MemoryBus:
    """Hands tracklets from the thread that makes them to the one that identifies them.

    Attributes:
        in_process: True: who publishes must also receive.
    """

    in_process = True

    class Config(Settings):
        """Settings of the bus."""

        max_waiting: int = Field(
            default=256, ge=1, le=1_000_000, description="Tracklets that wait before publish blocks."
        )

    def __init__(self, config: Config) -> None:
        self._queue: queue.Queue[Tracklet] = queue.Queue(config.max_waiting)

    def publish(self, tracklets: Sequence[Tracklet]) -> None:
        """Hands tracklets on; blocks while the other side is full."""
        for tracklet in tracklets:
            self._queue.put(tracklet)

    def receive(self, limit: int, timeout_s: float) -> list[Tracklet]:
        """Up to `limit` tracklets in order; waits for the first at most `timeout_s`, may be empty."""
        received: list[Tracklet] = []
        try:
            received.append(self._queue.get(timeout=timeout_s))
            while len(received) < limit:
                received.append(self._queue.get_nowait())
        except queue.Empty:
            pass
        return received

    def __len__(self) -> int:
        return self._queue.qsize()
