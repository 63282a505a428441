"""k-reciprocal re-ranking: two images are near when they share their mutual neighbours."""

from collections.abc import Iterator

import numpy as np
from numpy.typing import NDArray

from pipeline.rerank import checks
from pipeline.rerank.distances import Distances
from pipeline.rerank.jaccard import (
    RowDistance,
    Sparse,
    expanded,
    jaccard_blocks,
    mean_over,
    reciprocal,
    weights,
)
from pipeline.rerank.mu import MuEntries
from pipeline.rerank.neighbours import neighbourhood
from pipeline.rerank.tiles import Want

Blocks = Iterator[tuple[int, NDArray[np.float32]]]


def k_reciprocal_blocks(
    d: Distances,
    k1: int = 20,
    k2: int = 6,
    lambda_: float = 0.3,
    power: float = 2.0,
    mu: MuEntries | None = None,
) -> Blocks:
    """First query and its (b, G) k-reciprocal distances, block by block; see `k_reciprocal`."""
    checks.at_least(1, k1=k1, k2=k2)
    checks.within(0, 1, lambda_=lambda_)
    checks.within(1e-3, 1e3, power=power)
    d = d.with_mu(mu)
    near = neighbourhood(d, [Want(max(k1, k2 - 1))], largest=True)
    lists = near.lists[0]
    sets = reciprocal_sets(lists.with_self(k1 + 1), k1)
    distance = RowDistance(d, near.largest, power)
    vectors = weights(sets, distance, near)
    if k2 > 1:
        vectors = mean_over(lists.with_self(k2), vectors)
    return jaccard_blocks(vectors, distance, lambda_)


def reciprocal_sets(lists: NDArray[np.int64], k1: int) -> Sparse:
    """R(i, k1), grown by the half lists that mostly lie in it."""
    return expanded(reciprocal(lists), reciprocal(lists[:, : round(k1 / 2) + 1]))
