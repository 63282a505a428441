"""From neighbour lists to the Jaccard distance: reciprocal sets, weights, mean over neighbours, overlap.

Everything is a sparse N x N matrix with some tens of entries a row.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy import sparse

from pipeline.rerank.distances import Distances
from pipeline.rerank.mu import concatenated_ranges, find
from pipeline.rerank.neighbours import Neighbourhood

Sparse = Any  # scipy.sparse.csr_array


def incidence(lists: NDArray[np.int64]) -> Sparse:
    """(N, N) with a one at (i, j) for each j in row i of the lists; -1 is no image."""
    n = len(lists)
    row, place = np.nonzero(lists >= 0)
    ones = np.ones(len(row), np.int32)
    return sparse.csr_array((ones, (row, lists[row, place])), shape=(n, n))


def reciprocal(lists: NDArray[np.int64]) -> Sparse:
    """R(i) = those j in i's list that have i in theirs."""
    listed = incidence(lists)
    return listed.multiply(listed.T).tocsr()


def expanded(wide: Sparse, half: Sparse) -> Sparse:
    """R(i) and every R(j, half), j in R(i), of which more than two thirds lie in R(i)."""
    overlap = (wide @ half.T).multiply(wide).tocoo()
    sizes = np.diff(half.indptr)
    enough = 3 * overlap.data > 2 * sizes[overlap.col]
    adds = sparse.csr_array(
        (np.ones(int(enough.sum()), np.int32), (overlap.row[enough], overlap.col[enough])), shape=wide.shape
    )
    return (wide + adds @ half).tocsr()


@dataclass(frozen=True, slots=True)
class RowDistance:
    """The distance that weights and results are made of: power applied, divided by the row's largest.

    Attributes:
        d: Distances, opinions mixed in.
        largest: (N,) each row's largest distance.
        power: 2 = squared Euclidean, 1 = as they are.
    """

    d: Distances
    largest: NDArray[np.float32]
    power: float

    def __call__(self, values: NDArray[np.float32], rows: NDArray[Any]) -> NDArray[np.float32]:
        """Row distances of plain distances in these rows (broadcast); 0 in a row that has only zeros."""
        share: NDArray[np.float32] = values / np.where(self.largest > 0, self.largest, np.float32(1))[rows]
        if self.power == 2:
            share *= share
        elif self.power != 1:
            share **= np.float32(self.power)
        return share

    def of_pairs(self, rows: NDArray[Any], cols: NDArray[Any], near: Neighbourhood) -> NDArray[np.float32]:
        """Row distances of pairs; most are known from the lists."""
        rows, cols = rows.astype(np.int64), cols.astype(np.int64)
        keys, values = near.known()
        place, known = find(keys, rows * self.d.n + cols)
        plain = values[place] if len(values) else np.zeros(len(rows), np.float32)
        plain[~known] = self.d.pairs(rows[~known], cols[~known])
        return self(plain, rows)


def weights(sets: Sparse, distance: RowDistance, near: Neighbourhood) -> Sparse:
    """exp(-row distance) on each row's set, summing to 1."""
    sets = sets.tocsr()
    sets.sort_indices()
    rows = np.repeat(np.arange(sets.shape[0]), np.diff(sets.indptr))
    value = np.exp(-distance.of_pairs(rows, sets.indices, near).astype(np.float64))
    total = np.bincount(rows, value, minlength=sets.shape[0])
    data = (value / total[rows]).astype(np.float32)
    return sparse.csr_array((data, sets.indices, sets.indptr), shape=sets.shape)


def mean_over(lists: NDArray[np.int64], vectors: Sparse) -> Sparse:
    """Mean of the rows that each list names."""
    mixing = incidence(lists).astype(np.float32)
    mixing.data /= np.repeat(np.diff(mixing.indptr), np.diff(mixing.indptr)).astype(np.float32)
    mean = (mixing @ vectors).tocsr()
    mean.sort_indices()
    return mean


def jaccard_blocks(
    vectors: Sparse, distance: RowDistance, lambda_: float
) -> Iterator[tuple[int, NDArray[np.float32]]]:
    """First query and its (b, G) results: (1 - lambda) * Jaccard + lambda * row distance.

    Jaccard = 1 - m / (2 - m), m = sum of elementwise minima of the two weight vectors, which sum to 1.
    """
    d = distance.d
    gallery = vectors[d.n_queries :].T.tocsr()
    for start, block in d.query_blocks(rough=True):
        result = distance(block, np.arange(start, start + len(block))[:, None])
        result *= np.float32(lambda_)
        result += np.float32(1 - lambda_)
        for row, own in zip(result, range(start, start + len(block)), strict=True):
            overlap = _overlap(vectors, own, gallery)
            touched = np.flatnonzero(overlap)
            m = overlap[touched]
            row[touched] -= ((1 - lambda_) * m / (2 - m)).astype(np.float32)
        yield start, result


def _overlap(vectors: Sparse, query: int, gallery: Sparse) -> NDArray[np.float64]:
    """Sum of elementwise minima with every gallery row, (G,)."""
    own = slice(vectors.indptr[query], vectors.indptr[query + 1])
    images, values = vectors.indices[own], vectors.data[own]
    lengths = gallery.indptr[images + 1] - gallery.indptr[images]
    place = concatenated_ranges(gallery.indptr[images], lengths)
    smaller = np.minimum(gallery.data[place], np.repeat(values, lengths))
    overlap = np.bincount(gallery.indices[place], smaller, minlength=gallery.shape[1])
    return overlap.astype(np.float64, copy=False)
