"""A distance and a column as one sortable number: nearest first, ties by index."""

from typing import Any

import numpy as np
from numpy.typing import NDArray

FILL = np.uint64(2**64 - 1)
_COLUMN = np.uint64(2**32 - 1)
_SHIFT = np.uint64(32)


def pack(values: NDArray[np.float32], cols: NDArray[Any]) -> NDArray[np.uint64]:
    """One sortable number of a distance (not negative) and a column: nearest first, ties by index."""
    bits = np.ascontiguousarray(values, np.float32).view(np.uint32).astype(np.uint64)
    return (bits << _SHIFT) | cols.astype(np.uint64)


def unpack(keys: NDArray[np.uint64]) -> tuple[NDArray[np.float32], NDArray[np.int64]]:
    """Distances and columns of packed keys; (inf, -1) where there is none."""
    values = (keys >> _SHIFT).astype(np.uint32).view(np.float32)
    none = keys == FILL
    return np.where(none, np.float32(np.inf), values), np.where(none, -1, (keys & _COLUMN).astype(np.int64))


def padded(row: NDArray[Any], keys: NDArray[np.uint64], n_rows: int) -> NDArray[np.uint64]:
    """Keys as (n_rows, longest), unsorted, filled up with FILL."""
    order = np.argsort(row.astype(np.uint16) if n_rows <= 2**16 else row, kind="stable")
    row = row[order]
    count = np.bincount(row, minlength=n_rows)
    place = np.arange(len(row)) - np.repeat(np.cumsum(count) - count, count)
    table = np.full((n_rows, int(count.max(initial=0))), FILL)
    table[row, place] = keys[order]
    return table
