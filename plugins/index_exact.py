"""Exact nearest rows in numpy: float16 kept, float32 computed, a block of rows at a time."""

from collections.abc import Iterator

import numpy as np
from numpy.typing import NDArray
from pydantic import Field

from pipeline.settings import Settings


class ExactIndex:
    """Compares with every row; right for watchlists up to some 100,000 vectors.

    512 dimensions take 1 kB a row; a search among 100,000 rows costs 0.1 s of CPU, for 32 queries little more.
    """

    class Config(Settings):
        """How much is unpacked at once."""

        block_rows: int = Field(
            default=8192,
            ge=1,
            le=10_000_000,
            description="Rows converted to float32 at once; bounds the memory of a search.",
        )

    def __init__(self, config: Config) -> None:
        self._block = config.block_rows
        self._rows = np.zeros((0, 0), np.float16)
        self._lengths = np.zeros(0, np.float32)

    def build(self, vectors: NDArray[np.float16]) -> None:
        """Replaces all rows; (N, D) unit vectors."""
        self._rows = np.array(vectors, np.float16)
        lengths = [np.linalg.norm(block, axis=1) for _, block in self._blocks()]
        self._lengths = np.concatenate([np.zeros(0, np.float32), *lengths])

    def search(self, queries: NDArray[np.float32], k: int) -> tuple[NDArray[np.float32], NDArray[np.int64]]:
        """The k nearest rows of each query, equal distances in the order of rows.

        Args:
            queries: (Q, D) unit vectors.
            k: Cut to the number of rows.

        Returns:
            Euclidean distances (Q, k) in [0, 2], ascending, and row numbers (Q, k). Stored rows are brought
            back to unit length after their rounding, so a row finds itself at less than 0.002.
        """
        n, k = len(queries), min(k, len(self._rows))
        distances, found = np.zeros((n, 0), np.float32), np.zeros((n, 0), np.int64)
        for rows, block in self._blocks():
            cosines = (queries @ block.T) / np.maximum(self._lengths[rows], np.float32(1e-12))
            near = np.sqrt(np.clip(2 - 2 * cosines, 0, 4))
            distances = np.hstack([distances, near])
            found = np.hstack([found, np.broadcast_to(rows, near.shape)])
            distances, found = _nearest(distances, found, k)
        return distances, found

    def _blocks(self) -> Iterator[tuple[NDArray[np.int64], NDArray[np.float32]]]:
        for start in range(0, len(self._rows), self._block):
            block = self._rows[start : start + self._block].astype(np.float32)
            yield np.arange(start, start + len(block)), block


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
