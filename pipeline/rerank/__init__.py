"""Re-ranking: distances that look at neighbours, not only at the pair.

All functions return (Q, G) float32, smaller = nearer, and need no more memory than their result and a few blocks
of `memory_mb`. `*_blocks` give the same without holding the result.
"""

from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from pipeline.registry import build
from pipeline.rerank.camera import camera_jaccard_blocks
from pipeline.rerank.distances import Distances
from pipeline.rerank.ecn import Method, ecn_blocks
from pipeline.rerank.k_reciprocal import Blocks, k_reciprocal_blocks
from pipeline.rerank.mu import MuEntries
from pipeline.rerank.sliding import SlidingGallery
from pipeline.settings import choose

__all__ = [
    "Blocks",
    "Distances",
    "MuEntries",
    "SlidingGallery",
    "camera_jaccard",
    "camera_jaccard_blocks",
    "ecn",
    "ecn_blocks",
    "k_reciprocal",
    "k_reciprocal_blocks",
    "mu_distance",
]


def mu_distance(d: Distances, mu: MuEntries) -> NDArray[np.float32]:
    """(1 - alpha) * distance + alpha * 2 * p_no on the candidates, the plain distance elsewhere; (Q, G).

    p_no is in [0, 1] and Euclidean distances of unit vectors are in [0, 2], hence the factor 2.

    Raises:
        InputError: The entries do not fit these images.

    Source: MUSE (arXiv 2606.16161), 4.3, equation 6.
    """
    return _filled(d, d.with_mu(mu).query_blocks())


def k_reciprocal(
    d: Distances,
    k1: int = 20,
    k2: int = 6,
    lambda_: float = 0.3,
    power: float = 2.0,
    mu: MuEntries | None = None,
    device: str = "cpu",
) -> NDArray[np.float32]:
    """(1 - lambda) * Jaccard distance of k-reciprocal sets + lambda * row distance; (Q, G).

    Args:
        d: The images.
        k1: Length of the lists that must name each other.
        k2: Weight vectors averaged, the row's own included; 1 = none.
        lambda_: Weight of the row distance, in [0, 1].
        power: Applied to distances; 2 = squared Euclidean.
        mu: A verifier's opinions, mixed in before anything else.
        device: "cpu", or what torch calls a device ("cuda").

    Raises:
        ConfigError: A parameter is out of range, or the device is not there.
        InputError: `mu` does not fit these images.

    Source: Zhong et al., Re-ranking Person Re-identification with k-reciprocal Encoding, CVPR 2017.
    """
    if device != "cpu":
        return _on(device).k_reciprocal(d, k1, k2, lambda_, power, mu)  # type: ignore[no-any-return]
    return _filled(d, k_reciprocal_blocks(d, k1, k2, lambda_, power, mu))


def ecn(
    d: Distances,
    k: int = 25,
    t: int = 3,
    q: int = 8,
    method: Method = "rankdist",
    mu: MuEntries | None = None,
    device: str = "cpu",
) -> NDArray[np.float32]:
    """Mean distance of each image to the other's expanded neighbours (t nearest, q nearest of each); (Q, G).

    Args:
        d: The images.
        k: Places of a list that count, for "rankdist".
        t: Nearest images taken...
        q: ...and nearest of each of those.
        method: "rankdist": minus the similarity of lists, the plain distance where lists share nothing;
            "origdist": plain distances.
        mu: A verifier's opinions, mixed in before anything else.
        device: "cpu", or what torch calls a device ("cuda").

    Raises:
        ConfigError: A parameter is out of range, or the device is not there.
        InputError: `mu` does not fit these images.

    Source: Sarfraz et al., A Pose-Sensitive Embedding for Person Re-Identification with Expanded Cross Neighborhood
        Re-Ranking, CVPR 2018, section 3.
    """
    if device != "cpu":
        return _on(device).ecn(d, k, t, q, method, mu)  # type: ignore[no-any-return]
    return _filled(d, ecn_blocks(d, k, t, q, method, mu))


def camera_jaccard(
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
    device: str = "cpu",
) -> NDArray[np.float32]:
    """Jaccard distance over sets from one's own camera and from the others; (Q, G).

    Args:
        d: The images.
        query_cameras: (Q,) whole numbers.
        gallery_cameras: (G,) whole numbers.
        k1_intra: Neighbours of the own camera that must be mutual.
        k1_inter: Neighbours of other cameras that must be mutual (k1_inter + 1 are listed).
        k2_intra: Weight vectors of the own camera averaged, the row's own included.
        k2_inter: Weight vectors of other cameras averaged.
        lambda_: Weight of the row distance, in [0, 1].
        power: Applied to distances; 2 = squared Euclidean.
        mu: A verifier's opinions, mixed in before anything else.
        camera_sets: False: the sets of `k_reciprocal` with `k1`.
        camera_expansion: False: the mean of `k_reciprocal` with `k2`.
        k1: Used where `camera_sets` is off.
        k2: Used where `camera_expansion` is off.
        device: "cpu", or what torch calls a device ("cuda").

    Raises:
        ConfigError: A parameter is out of range, or the device is not there.
        InputError: `mu` or the cameras do not fit these images.

    Source: camera-aware Jaccard distance, CVPR 2024, as used in MUSE (arXiv 2606.16161).
    """
    if device != "cpu":
        return _on(device).camera_jaccard(  # type: ignore[no-any-return]
            d, query_cameras, gallery_cameras, k1_intra, k1_inter, k2_intra, k2_inter, lambda_, power, mu,
            camera_sets, camera_expansion, k1, k2,
        )  # fmt: skip
    blocks = camera_jaccard_blocks(
        d, query_cameras, gallery_cameras, k1_intra, k1_inter, k2_intra, k2_inter, lambda_, power, mu,
        camera_sets, camera_expansion, k1, k2,
    )  # fmt: skip
    return _filled(d, blocks)


def _filled(d: Distances, blocks: Blocks) -> NDArray[np.float32]:
    result = np.empty((d.n_queries, d.n_gallery), np.float32)
    for start, block in blocks:
        result[start : start + len(block)] = block
    return result


def _on(device: str) -> Any:
    """The plugin that works on a device other than the processor."""
    choice = choose("torch", device=device)
    return build("rerank", choice, Path(), "rerank")
