"""Unit rows in a byte a number: tells which of many may be among the nearest."""

from collections.abc import Iterable

import faiss
import numpy as np
from numpy.typing import NDArray

_LANES = 16  # numbers a row is filled up to a multiple of: what faiss takes at once
_TOP = 127
_ROUNDING = 2.0**-22  # of a float32 sum, per number in it
_SPARE = 1e-6


class RowCodes:
    """Whole numbers instead of rows and queries, with a bound on how far that puts a cosine off.

    A row is kept as what it has beyond the mean of the first rows: that is the same for every row of a query. faiss
    multiplies whole numbers with whole numbers; we round the query to them, so that its part of the bound is known.

    Args:
        first: (N, D) float32 blocks of unit vectors, N >= 1 in all; the mean and the scale are taken from them.
        dimension: D.
    """

    def __init__(self, first: Iterable[NDArray[np.float32]], dimension: int) -> None:
        count, total = 0, np.zeros(dimension, np.float64)
        low, high = np.full(dimension, np.inf, np.float32), np.full(dimension, -np.inf, np.float32)
        for block in first:
            count, total = count + len(block), total + block.sum(axis=0)
            low, high = np.minimum(low, block.min(axis=0)), np.maximum(high, block.max(axis=0))
        self._mean = (total / count).astype(np.float32)
        farthest = max(np.max(high - self._mean), np.max(self._mean - low), 1e-6)
        self._scale = np.float32(_TOP / farthest)
        self._longest = self._lost = 0.0
        width = -(-dimension // _LANES) * _LANES
        kind = faiss.ScalarQuantizer.QT_8bit_direct_signed
        self._index = faiss.IndexScalarQuantizer(width, kind, faiss.METRIC_INNER_PRODUCT)

    def __len__(self) -> int:
        return int(self._index.ntotal)

    def append(self, units: NDArray[np.float32]) -> None:
        """Adds (N, D) unit vectors behind the others."""
        rows = units - self._mean
        codes = np.clip(np.rint(rows * self._scale), -_TOP, _TOP)
        lost = np.linalg.norm(rows - codes / self._scale, axis=1).max(initial=0)
        self._lost = max(self._lost, float(lost))
        self._longest = max(self._longest, float(np.linalg.norm(rows, axis=1).max(initial=0)))
        self._index.add(self._filled(codes))

    def remove(self, start: int, stop: int) -> None:
        """Takes rows out; those behind them move up."""
        self._index.remove_ids(faiss.IDSelectorRange(start, stop))

    def near(self, queries: NDArray[np.float32], k: int, most: int) -> list[NDArray[np.int64] | None]:
        """Rows of each query, ascending, with the k of the largest cosines among them.

        Args:
            queries: (Q, D).
            k: 1 to the number of rows.
            most: Rows looked at of each query, more than `k`.

        Returns:
            None for a query of which more than `most` may be among the k.
        """
        most = min(most, len(self))
        tops = np.maximum(np.abs(queries).max(axis=1), np.float32(1e-12))
        codes = np.rint(queries * (_TOP / tops)[:, None])
        lengths = np.linalg.norm(queries, axis=1)
        rounded = codes * (tops / _TOP)[:, None]
        error = np.linalg.norm(queries - rounded, axis=1) * self._longest
        error += np.linalg.norm(rounded, axis=1) * self._lost
        error += lengths * (_ROUNDING * queries.shape[1] + _SPARE)
        faiss.omp_set_num_threads(1)  # of this thread only
        products, rows = self._index.search(self._filled(codes), most)
        cosines = products * (tops / (_TOP * self._scale))[:, None]
        limits = cosines[:, k - 1] - 2 * error
        whole = (cosines[:, -1] < limits) | (most == len(self))
        return [
            np.sort(line[cosine >= limit]) if is_whole else None
            for line, cosine, limit, is_whole in zip(rows, cosines, limits, whole, strict=True)
        ]

    def _filled(self, codes: NDArray[np.float32]) -> NDArray[np.float32]:
        width = self._index.d
        return np.ascontiguousarray(np.pad(codes, ((0, 0), (0, width - codes.shape[1]))), np.float32)
