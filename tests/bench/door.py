"""What the door costs: calls that do nothing, straight and through it, in microseconds.

`python -m tests.bench.door`.
"""

import time
from collections.abc import Callable

import numpy as np

from pipeline.messages import Mask
from pipeline.plugged import PluggedEmbedder, PluggedMasker
from pipeline.testing import tracklet

CALLS = 5_000
DIMENSION = 512


class Still:
    """Has its answers ready."""

    dimension = DIMENSION

    def __init__(self, crops: int) -> None:
        self._rows = np.eye(DIMENSION, dtype=np.float32)[:crops]

    def embed(self, crops: object) -> object:
        return self._rows

    def mask(self, tracklets: object) -> object:
        return [Mask((64 * 48,), (48, 64))]


def microseconds(call: Callable[[], object]) -> float:
    """Of one call: the least of five rounds."""
    rounds = []
    for _ in range(5):
        start_s = time.perf_counter()
        for _ in range(CALLS // 5):
            call()
        rounds.append((time.perf_counter() - start_s) / (CALLS // 5) * 1e6)
    return min(rounds)


def embedding(count: int) -> str:
    """A row: some crops, straight and through the door."""
    crops = [np.zeros((128, 64, 3), np.uint8)] * count
    still = Still(count)
    door = PluggedEmbedder.of(still)
    straight, through = microseconds(lambda: still.embed(crops)), microseconds(lambda: door.embed(crops))
    return f"embed {count:2d} crops: straight {straight:5.1f} us, through the door {through:5.1f} us"


def main() -> None:
    """Prints a row a call."""
    masker, sight = PluggedMasker.of(Still(1)), tracklet()
    print(embedding(1))
    print(embedding(16))
    print(f"mask: through the door {microseconds(lambda: masker.mask([(sight, None)])):5.1f} us")


if __name__ == "__main__":
    main()
