"""Camera-aware Jaccard: neighbours of one's own camera and of the others are looked up apart.

Images of one camera share its light and background, so they crowd the lists of each other; two lists give the
other cameras their own places.

Source: camera-aware Jaccard distance (CVPR 2024), as the contract of this project states it.
"""

import numpy as np
from numpy.typing import NDArray

from pipeline.rerank import checks
from pipeline.rerank.distances import Distances
from pipeline.rerank.jaccard import RowDistance, jaccard_blocks, mean_over, reciprocal, weights
from pipeline.rerank.k_reciprocal import Blocks, reciprocal_sets
from pipeline.rerank.mu import MuEntries
from pipeline.rerank.neighbours import neighbourhood
from pipeline.rerank.tiles import Kind, Want


def camera_jaccard_blocks(
    d: Distances,
    query_cameras: NDArray[np.int64],
    gallery_cameras: NDArray[np.int64],
    k1_intra: int = 5,
    k1_inter: int = 20,
    k2_intra: int = 3,
    k2_inter: int = 3,
    lambda_: float = 0.3,
    power: float = 2.0,
    mu: MuEntries | None = None,
    camera_sets: bool = True,
    camera_expansion: bool = True,
    k1: int = 20,
    k2: int = 6,
) -> Blocks:
    """First query and its (b, G) camera-aware distances, block by block; see `camera_jaccard`."""
    checks.at_least(1, k1_intra=k1_intra, k2_intra=k2_intra, k1=k1, k2=k2)
    checks.at_least(0, k1_inter=k1_inter, k2_inter=k2_inter)
    checks.within(0, 1, lambda_=lambda_)
    checks.within(1e-3, 1e3, power=power)
    cameras = np.concatenate(
        [
            checks.labels("query cameras", query_cameras, d.n_queries),
            checks.labels("gallery cameras", gallery_cameras, d.n_gallery),
        ]
    )
    d = d.with_mu(mu)
    wants = [
        Want(max(k1_intra, k2_intra - 1), Kind.SAME),
        Want(max(k1_inter + 1, k2_inter), Kind.OTHER),
    ]
    if not (camera_sets and camera_expansion):
        wants.append(Want(max(k1, k2 - 1)))
    near = neighbourhood(d, wants, cameras, largest=True)
    intra, inter, plain = near.lists[0], near.lists[1], near.lists[-1]
    if camera_sets:
        sets = reciprocal(intra.with_self(k1_intra + 1)) + reciprocal(inter.cols[:, : k1_inter + 1])
    else:
        sets = reciprocal_sets(plain.with_self(k1 + 1), k1)
    distance = RowDistance(d, near.largest, power)
    vectors = weights(sets, distance, near)
    if camera_expansion:
        both = np.concatenate([intra.with_self(k2_intra), inter.cols[:, :k2_inter]], axis=1)
        vectors = mean_over(both, vectors)
    elif k2 > 1:
        vectors = mean_over(plain.with_self(k2), vectors)
    return jaccard_blocks(vectors, distance, lambda_)
