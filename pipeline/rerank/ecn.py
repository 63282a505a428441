"""Expanded cross neighbourhood: two images are as far apart as each is from the other's neighbours, on average."""

from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray
from scipy import sparse

from pipeline.errors import ConfigError
from pipeline.rerank import checks
from pipeline.rerank.distances import Distances
from pipeline.rerank.k_reciprocal import Blocks
from pipeline.rerank.mu import MuEntries
from pipeline.rerank.neighbours import neighbourhood
from pipeline.rerank.tiles import Want

Method = Literal["rankdist", "origdist"]


def ecn_blocks(
    d: Distances,
    k: int = 25,
    t: int = 3,
    q: int = 8,
    method: Method = "rankdist",
    mu: MuEntries | None = None,
) -> Blocks:
    """First query and its (b, G) ECN distances, block by block; see `ecn`."""
    checks.at_least(1, k=k, t=t, q=q)
    if method not in ("rankdist", "origdist"):
        raise ConfigError(f"method = {method!r} is not known: use rankdist or origdist")
    d = d.with_mu(mu)
    depth = max(t, q) if method == "origdist" else max(t, q, k - 1)
    lists = neighbourhood(d, [Want(depth)]).lists[0]
    neighbours = expanded_neighbours(lists.cols, t, q)
    if method == "origdist":
        return _origdist(d, neighbours)
    return _rankdist(d, neighbours, lists.with_self(k), k)


def expanded_neighbours(cols: NDArray[np.int64], t: int, q: int) -> Any:
    """(N, N) sparse: how often each image is among the t nearest of a row or the q nearest of those."""
    n = len(cols)
    first = cols[:, :t]
    second = cols[first, :q].reshape(n, -1)
    every = np.concatenate([first, second], axis=1)
    rows = np.repeat(np.arange(n), every.shape[1])
    return sparse.csr_array((np.ones(every.size, np.float32), (rows, every.ravel())), shape=(n, n))


def _members(neighbours: Any) -> float:
    return float(neighbours[[0]].sum())


def _rankdist(d: Distances, neighbours: Any, lists: NDArray[np.int64], k: int) -> Blocks:
    """Minus the mean similarity of shared list places; all sums are whole numbers, so they are exact."""
    n, width = lists.shape
    places = np.broadcast_to(np.arange(k, k - width, -1, dtype=np.float64), lists.shape)
    rows = np.repeat(np.arange(n), width)
    lists_of = sparse.csr_array((places.ravel(), (rows, lists.ravel())), shape=(n, n))
    around = (neighbours.astype(np.float64) @ lists_of).tocsr()
    gallery_lists = lists_of[d.n_queries :].T.tocsr()
    gallery_around = around[d.n_queries :].T.tocsr()
    divisor = 2 * _members(neighbours)
    for start, block in d.query_blocks(rough=True):
        part = slice(start, start + len(block))
        similarity = (around[part] @ gallery_lists + lists_of[part] @ gallery_around).tocoo()
        block[similarity.row, similarity.col] = -similarity.data / divisor
        yield start, block


def _origdist(d: Distances, neighbours: Any) -> Blocks:
    """Mean distance of each to the other's expanded neighbours; holds the sums of as many queries as fit."""
    held = max(1, int(d.memory_mb * 2**20 / (d.n_gallery * 4)))
    for start in range(0, d.n_queries, held):
        stop = min(start + held, d.n_queries)
        sums = _to_neighbours_of(neighbours[start:stop], d)
        yield from _from_neighbours_of(neighbours[d.n_queries :], d, start, sums)


def _to_neighbours_of(around: Any, d: Distances) -> NDArray[np.float32]:
    """(b, G) sums of the distances from a few queries' neighbours to the gallery."""
    near = np.unique(around.indices)
    around, step = around[:, near], d.rows_at_once(len(near))
    sums = np.empty((around.shape[0], d.n_gallery), np.float32)
    for first in range(d.n_queries, d.n, step):
        last = min(first + step, d.n)
        sums[:, first - d.n_queries : last - d.n_queries] = around @ d.block(near, first, last, rough=True)
    return sums


def _from_neighbours_of(of_gallery: Any, d: Distances, start: int, sums: NDArray[np.float32]) -> Blocks:
    """Adds the distances from the queries at `start` to the gallery's neighbours; means, block by block."""
    everyone, step, members = np.arange(d.n), d.rows_at_once(d.n), _members(of_gallery)
    for first in range(0, len(sums), step):
        block = sums[first : first + step]
        columns = d.block(everyone, start + first, start + first + len(block), rough=True)
        block += (of_gallery @ columns).T
        yield start + first, block / np.float32(2 * members)
