"""Exact nearest rows: a pass over all finds those worth comparing, and these are compared number by number."""

from collections.abc import Iterator

import cv2
import numpy as np
from numpy.typing import NDArray
from pydantic import Field

from pipeline.settings import Settings

_ROUNDING = 2.0**-22  # of a float32 sum, per number in it


class ExactIndex:
    """Compares with every row; right for watchlists up to a million vectors.

    Rows stay float16: 512 dimensions take 1 kB a row. Read-only rows are kept as they are, others are copied. What is
    found does not depend on how many queries are asked at once.
    """

    class Config(Settings):
        """How much is unpacked at once."""

        block_rows: int = Field(
            default=512,
            ge=1,
            le=10_000_000,
            description="Rows converted to float32 at once; fastest where they fit the processor's second cache.",
        )

    def __init__(self, config: Config) -> None:
        self._block = config.block_rows
        self._rows = np.zeros((0, 0), np.float16)
        self._lengths = np.zeros(0, np.float32)

    def build(self, vectors: NDArray[np.float16]) -> None:
        """Replaces all rows; (N, D) unit vectors."""
        self._rows = np.array(vectors, np.float16, order="C", copy=True if vectors.flags.writeable else None)
        self._lengths = np.zeros(len(vectors), np.float32)
        for start, block in self._blocks():
            self._lengths[start : start + len(block)] = _lengths(block)

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
        distances, found = np.zeros((n, k), np.float32), np.zeros((n, k), np.int64)
        if n and k:
            for i, near in enumerate(self._worth_comparing(queries, k)):
                distances[i], found[i] = self._nearest(queries[i], near, k)
        return distances, found

    def _worth_comparing(self, queries: NDArray[np.float32], k: int) -> list[NDArray[np.int64]]:
        """Rows of each query, ascending, with the k nearest among them: their cosines may be off by `error`."""
        error = np.float32(_ROUNDING * queries.shape[1]) * _lengths(queries)
        kept = _Kept(len(queries), k, 2 * error)
        columns = np.ascontiguousarray(queries.T)
        for start, block in self._blocks():
            cosines = (block @ columns).T / self._lengths[start : start + len(block)]
            kept.add(start, cosines)
        return kept.rows()

    def _nearest(
        self, query: NDArray[np.float32], rows: NDArray[np.int64], k: int
    ) -> tuple[NDArray[np.float32], NDArray[np.int64]]:
        """The k nearest of these rows (ascending): each is summed alike, so equal rows are at equal distance."""
        cosines = np.einsum("nd,d->n", self._rows[rows].astype(np.float32), query) / self._lengths[rows]
        distances = np.sqrt(np.clip(2 - 2 * cosines, 0, 4))
        order = np.argsort(distances, kind="stable")[:k]
        return distances[order], rows[order]

    def _blocks(self) -> Iterator[tuple[int, NDArray[np.float32]]]:
        """First row and float32 rows; each block is overwritten by the next."""
        numbers = self._rows.view(np.int16)
        room = np.empty((min(self._block, len(numbers)), numbers.shape[1]), np.float32)
        for start in range(0, len(numbers), self._block):
            block = numbers[start : start + self._block]
            yield start, cv2.convertFp16(block, room[: len(block)])


class _Kept:
    """Rows that may be among the k with the largest cosines, as blocks of rows go by.

    Args:
        queries: How many are asked at once.
        k: Rows wanted of each.
        slack: (Q,) how far below the k-th cosine so far a row is still kept.
    """

    def __init__(self, queries: int, k: int, slack: NDArray[np.float32]) -> None:
        self._k, self._slack = k, slack
        self._limits = np.full(queries, -np.inf, np.float32)
        self._room = 4 * queries * k
        self._parts: list[tuple[NDArray[np.int64], NDArray[np.int64], NDArray[np.float32]]] = []
        self._held = 0

    def add(self, start: int, cosines: NDArray[np.float32]) -> None:
        """(Q, B) of the rows from `start` on."""
        if not self._parts and cosines.shape[1] > self._k:
            self._limits = np.partition(cosines, -self._k, axis=1)[:, -self._k] - self._slack
        query, place = np.nonzero(cosines >= self._limits[:, None])
        if len(query):
            self._parts.append((query, place + start, cosines[query, place]))
            self._held += len(query)
        if self._held > self._room:
            self._tighten()

    def rows(self) -> list[NDArray[np.int64]]:
        """Those of each query, ascending."""
        self._tighten()
        query, row, _ = self._parts[0]
        ends = np.searchsorted(query, np.arange(1, len(self._limits)))
        return [np.sort(rows) for rows in np.split(row, ends)]

    def _tighten(self) -> None:
        """One part, sorted by query and then from the largest cosine on, without those below the limit of today."""
        query, row, cosine = (np.concatenate(each) for each in zip(*self._parts, strict=True))
        order = np.lexsort((-cosine, query))
        query, row, cosine = query[order], row[order], cosine[order]
        counts = np.bincount(query, minlength=len(self._limits))
        enough = np.flatnonzero(counts >= self._k)
        kth = (np.cumsum(counts) - counts)[enough] + self._k - 1
        self._limits[enough] = np.maximum(self._limits[enough], cosine[kth] - self._slack[enough])
        still = cosine >= self._limits[query]
        self._parts = [(query[still], row[still], cosine[still])]
        self._held = int(still.sum())
        self._room = max(self._room, 2 * self._held)


def _lengths(vectors: NDArray[np.float32]) -> NDArray[np.float32]:
    """(N,) never 0, so that one may divide by them."""
    lengths: NDArray[np.float32] = np.maximum(np.linalg.norm(vectors, axis=1), np.float32(1e-12))
    return lengths
