"""Exact nearest rows in numpy: float16 kept, float32 computed, a block of rows at a time."""

import numpy as np
from numpy.typing import NDArray
from pydantic import Field

from pipeline.config import Settings


class ExactIndex:
    """Compares with every row; right for watchlists up to some 100,000 vectors.

    512 dimensions take 1 kB a row; 100,000 rows cost about 0.1 s of CPU a search, for 1 query or 32.
    """

    class Config(Settings):
        """How much is unpacked at once."""

        block_rows: int = Field(
            default=8192,
            ge=1,
            description="Rows converted to float32 at once; bounds the memory of a search.",
        )

    def __init__(self, config: Config) -> None:
        self._block = config.block_rows
        self._rows = np.zeros((0, 0), np.float16)

    def build(self, vectors: NDArray[np.float16]) -> None:
        """Replaces all rows; (N, D) unit vectors."""
        self._rows = np.array(vectors, np.float16)

    def search(self, queries: NDArray[np.float32], k: int) -> tuple[NDArray[np.float32], NDArray[np.int64]]:
        """The k nearest rows of each query, equal distances in the order of rows.

        Args:
            queries: (Q, D) unit vectors.
            k: Cut to the number of rows.

        Returns:
            Euclidean distances (Q, k) in [0, 2], ascending, and row numbers (Q, k). Stored rows are brought
            back to unit length after their rounding, so a row finds itself at less than 0.002.
        """
        n, rows = len(queries), self._rows
        distances, found = np.zeros((n, 0), np.float32), np.zeros((n, 0), np.int64)
        if not len(rows):
            return distances, found
        for start in range(0, len(rows), self._block):
            block = rows[start : start + self._block].astype(np.float32)
            block /= np.maximum(np.linalg.norm(block, axis=1, keepdims=True), np.float32(1e-12))
            near = np.sqrt(np.clip(2 - 2 * (queries @ block.T), 0, 4))
            numbers = np.broadcast_to(np.arange(start, start + len(block)), near.shape)
            distances, found = _nearest(
                np.hstack([distances, near]), np.hstack([found, numbers]), min(k, len(rows))
            )
        return distances, found


def _nearest(
    distances: NDArray[np.float32], rows: NDArray[np.int64], k: int
) -> tuple[NDArray[np.float32], NDArray[np.int64]]:
    """The k smallest of each line; equal ones keep their order."""
    k = min(k, distances.shape[1])
    if k == 0:
        return distances[:, :0], rows[:, :0]
    limit = np.partition(distances, k - 1, axis=1)[:, k - 1]
    order = np.empty((len(distances), k), np.int64)
    for query, line in enumerate(distances):
        within = np.flatnonzero(line <= limit[query])
        order[query] = within[np.argsort(line[within], kind="stable")[:k]]
    return np.take_along_axis(distances, order, 1), np.take_along_axis(rows, order, 1)
