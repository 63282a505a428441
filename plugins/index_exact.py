"""Exact nearest rows: a pass over all finds those worth comparing, and these are compared number by number."""

from collections.abc import Iterator
from typing import TYPE_CHECKING

import cv2
import numpy as np
from numpy.typing import NDArray
from pydantic import Field

from pipeline.settings import Settings

if TYPE_CHECKING:
    from plugins.row_codes import RowCodes

_ROUNDING = 2.0**-22  # of a float32 sum, per number in it
_FEW = 4  # queries that are sooner asked one by one
_MANY_ROWS = 20_000  # from here on codes are faster; faiss is not imported for less
_LEFT_OVER = 1024  # rows that codes may leave over, or one of 256 where that is more
_IN_VAIN = 8  # searches that codes did not shorten, one after the other, until they are dropped


class ExactIndex:
    """Compares with every row; right for watchlists up to a million vectors.

    Rows stay float16: 512 dimensions take 1 kB a row. Read-only rows are kept as they are, others are copied. From
    20,000 rows on there is a code of a byte a number beside them, by which few queries are answered in a third of the
    time: it rules out what cannot be among the nearest. What is found is the same with it and without it, and does not
    depend on how many queries are asked at once.
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
        self._codes: RowCodes | None = None
        self._in_vain = 0

    def build(self, vectors: NDArray[np.float16]) -> None:
        """Replaces all rows; (N, D) unit vectors.

        Rows in front and behind that are what they were cost little.
        """
        before = self._rows
        rows = np.array(vectors, np.float16, order="C", copy=True if vectors.flags.writeable else None)
        front = _equal_rows(before, rows)
        back = min(_equal_rows(before[::-1], rows[::-1]), min(len(before), len(rows)) - front)
        self._rows = rows
        new = [_lengths(block) for _, block in self._blocks(front, len(rows) - back)]
        behind = len(before) - back
        self._lengths = np.concatenate([self._lengths[:front], *new, self._lengths[behind:]])
        self._code(front, behind, len(rows) - back)

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

    def _code(self, start: int, former_stop: int, stop: int) -> None:
        """Brings the codes up to date: what was rows `start` to `former_stop` is rows `start` to `stop` now."""
        self._in_vain = 0
        if len(self._rows) < _MANY_ROWS or self._rows.shape[1] == 0:
            self._codes = None
            return
        if self._codes is None or (start, stop) == (0, len(self._rows)):
            from plugins.row_codes import RowCodes

            start = 0
            self._codes = RowCodes(self._units(0), self._rows.shape[1])
        elif stop == start:
            self._codes.remove(start, former_stop)
            return
        else:
            self._codes.remove(start, len(self._codes))
        for units in self._units(start):
            self._codes.append(units)

    def _worth_comparing(self, queries: NDArray[np.float32], k: int) -> list[NDArray[np.int64]]:
        """Rows of each query, ascending, with the k nearest among them."""
        found: list[NDArray[np.int64] | None] = [None] * len(queries)
        most = max(_LEFT_OVER, len(self._rows) // 256)
        if self._codes is not None and len(queries) <= _FEW and k < most:
            found = self._codes.near(queries, k, most)
            self._in_vain = self._in_vain + 1 if any(rows is None for rows in found) else 0
            if self._in_vain == _IN_VAIN:
                self._codes = None
        left = [i for i, rows in enumerate(found) if rows is None]
        if not left:
            return [rows for rows in found if rows is not None]
        passed = dict(zip(left, self._passed(queries[left], k), strict=True))
        return [passed[i] if rows is None else rows for i, rows in enumerate(found)]

    def _passed(self, queries: NDArray[np.float32], k: int) -> list[NDArray[np.int64]]:
        """The same by a pass over all rows."""
        error = np.float32(_ROUNDING * queries.shape[1]) * _lengths(queries)
        kept = _Kept(len(queries), k, 2 * error)
        columns = np.ascontiguousarray(queries.T)
        for start, block in self._blocks():
            cosines = block @ columns
            cosines /= self._lengths[start : start + len(block), None]
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

    def _units(self, start: int) -> Iterator[NDArray[np.float32]]:
        """Rows from `start` on, of unit length, in blocks."""
        for first, block in self._blocks(start):
            yield block / self._lengths[first : first + len(block), None]

    def _blocks(self, start: int = 0, stop: int | None = None) -> Iterator[tuple[int, NDArray[np.float32]]]:
        """First row and float32 rows; each block is overwritten by the next."""
        numbers = self._rows[:stop].view(np.int16)
        room = np.empty((min(self._block, len(numbers)), numbers.shape[1]), np.float32)
        for first in range(start, len(numbers), self._block):
            block = numbers[first : first + self._block]
            yield first, cv2.convertFp16(block, room[: len(block)])


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
        """(B, Q) of the rows from `start` on."""
        if not self._parts and len(cosines) > self._k:
            self._limits = np.partition(cosines, -self._k, axis=0)[-self._k] - self._slack
        places = np.flatnonzero(cosines >= self._limits)
        if len(places):
            row, query = np.divmod(places, len(self._limits))
            self._parts.append((query, row + start, cosines.reshape(-1)[places]))
            self._held += len(places)
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


def _equal_rows(some: NDArray[np.float16], others: NDArray[np.float16]) -> int:
    """How many rows in front are the same, bit by bit."""
    if some.shape[1] != others.shape[1]:
        return 0
    most, step = min(len(some), len(others)), 4096
    for start in range(0, most, step):
        end = min(start + step, most)
        same = (some[start:end].view(np.int16) == others[start:end].view(np.int16)).all(axis=1)
        if not same.all():
            return start + int(np.argmin(same))
    return most


def _lengths(vectors: NDArray[np.float32]) -> NDArray[np.float32]:
    """(N,) never 0, so that one may divide by them."""
    lengths: NDArray[np.float32] = np.maximum(np.linalg.norm(vectors, axis=1), np.float32(1e-12))
    return lengths
