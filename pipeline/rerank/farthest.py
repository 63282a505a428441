"""The farthest image of every row, from tiles of approximate squared distances."""

import numpy as np
from numpy.typing import NDArray

MOST = 256  # candidates of one row in one tile; with more, the row is left to be done in full


class Farthest:
    """Columns that may be a row's farthest: all that come near enough to the largest squared distance.

    A row for which there are too many to tell has none.

    Attributes:
        best: (N,) largest squared distance seen.
        rows: (M,) rows of the candidates, after `settle`.
        cols: (M,) their columns.
    """

    def __init__(self, n: int) -> None:
        self.best = np.full(n, -np.inf, np.float32)
        self.rows, self.cols = np.zeros(0, np.int64), np.zeros(0, np.int64)
        self.values = np.zeros(0, np.float32)
        self._came: list[tuple[NDArray[np.int64], NDArray[np.int64], NDArray[np.float32]]] = []

    def offer(
        self, tile: NDArray[np.float32], error: NDArray[np.float32], first_row: int, first_col: int, axis: int
    ) -> None:
        """Shows a tile; `error` is of all rows, the rest as for `Shortlist.offer`."""
        largest = tile.max(axis=1 - axis)
        block = slice(first_row, first_row + len(largest))
        np.maximum(self.best[block], largest, out=self.best[block])
        limit = self.best[block] - 2 * error[block]
        near = np.flatnonzero(largest >= limit)
        if len(near) < len(largest) // 8:
            part = tile[near] if axis == 0 else tile[:, near].T
            row, col = np.nonzero(part >= limit[near, None])
            row, values = near[row], part[row, col]
        else:
            found = np.flatnonzero(tile >= (limit[:, None] if axis == 0 else limit))
            place = np.divmod(found, tile.shape[1])
            row, col, values = place[axis], place[1 - axis], tile.reshape(-1)[found]
        crowded = np.bincount(row, minlength=len(largest)) > MOST
        if crowded.any():
            self.best[block][crowded] = np.inf
            few = ~crowded[row]
            row, col, values = row[few], col[few], values[few]
        self._came.append((row + first_row, col + first_col, values))

    def settle(self, error: NDArray[np.float32]) -> None:
        """Forgets what has been overtaken."""
        came = [(self.rows, self.cols, self.values), *self._came]
        rows, cols, values = (np.concatenate(column) for column in zip(*came, strict=True))
        near = values >= (self.best - 2 * error)[rows]
        self.rows, self.cols, self.values = rows[near], cols[near], values[near]
        self._came = []

    def replace(self, rows: NDArray[np.int64], by: "Farthest") -> None:
        """Takes these rows from another, whose row i is rows[i]."""
        stay = ~np.isin(self.rows, rows)
        self.rows = np.concatenate([self.rows[stay], rows[by.rows]])
        self.cols = np.concatenate([self.cols[stay], by.cols])
        self.values = np.concatenate([self.values[stay], by.values])
        self.best[rows] = by.best

    def moved(self, place: NDArray[np.int64], n: int) -> "Farthest":
        """The same among n images, image i now at place[i], -1 = gone. A row whose candidates all left has none."""
        there = (place[self.rows] >= 0) & (place[self.cols] >= 0)
        after = Farthest(n)
        after.rows, after.cols = place[self.rows[there]], place[self.cols[there]]
        after.values = self.values[there]
        after.best[place[place >= 0]] = self.best[place >= 0]
        return after
