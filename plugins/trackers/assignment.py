"""Who goes with whom at the least cost, for the few people of a frame: numpy alone, as scipy takes a second to load."""

import numpy as np
from numpy.typing import NDArray

F64 = NDArray[np.float64]


def assigned(cost: F64) -> NDArray[np.int64]:
    """The column of each row, all different, that cost the least together.

    Args:
        cost: (N, M), N <= M.

    Returns:
        (N,) columns.

    Raises:
        ValueError: A cost is not finite, or there are more rows than columns.

    Source: Crouse, On implementing 2D rectangular assignment algorithms (2016); shortest augmenting paths.
    """
    if not np.isfinite(cost).all() or len(cost) > cost.shape[1]:
        raise ValueError(f"costs must be finite, rows at most columns: {cost.shape}")
    cheapest = cost.argmin(axis=1) if cost.size else np.zeros(0, np.int64)
    if len(set(cheapest.tolist())) == len(cheapest):
        return cheapest
    search = _Search(cost)
    for row in range(len(cost)):
        search.add(row)
    return search.columns


class _Search:
    """Rows added one by one, each by the shortest path that frees a column for it."""

    def __init__(self, cost: F64) -> None:
        self._cost = cost
        self._of_row, self._of_column = np.zeros(len(cost)), np.zeros(cost.shape[1])  # prices
        self.columns = np.full(len(cost), -1)
        self._rows = np.full(cost.shape[1], -1)

    def add(self, new: int) -> None:
        """Gives a row a column; others may have to take another."""
        shortest, came_from = np.full(len(self._rows), np.inf), np.full(len(self._rows), -1)
        done = np.zeros(len(self._rows), bool)
        row, length = new, 0.0
        while True:
            reached = length + self._cost[row] - self._of_row[row] - self._of_column
            better = ~done & (reached < shortest)
            shortest[better], came_from[better] = reached[better], row
            column = int(np.where(done, np.inf, shortest).argmin())
            length = float(shortest[column])
            if self._rows[column] < 0:
                break
            done[column] = True
            row = int(self._rows[column])
        slack = length - shortest[done]
        self._of_row[new] += length
        self._of_row[self._rows[done]] += slack
        self._of_column[done] -= slack
        self._take(new, column, came_from)

    def _take(self, new: int, column: int, came_from: NDArray[np.int64]) -> None:
        while True:
            row = int(came_from[column])
            self._rows[column] = row
            self.columns[row], column = column, int(self.columns[row])
            if row == new:
                return
