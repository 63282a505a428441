"""Hard pairs: for every image its own person at its most different, and other people at their most alike."""

from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import NDArray
from pydantic import Field

from pipeline.errors import InputError
from pipeline.settings import Settings

NOBODY = -1  # fills up rows
_BLOCK_MB = 64


class MiningSettings(Settings):
    """Which pairs are learned."""

    choice: Literal["nearest", "shortlisted", "random"] = Field(
        default="nearest",
        description="Negatives: the nearest; as often as they stand on shortlists; any, and any positives.",
    )
    positives: int = Field(default=5, ge=1, le=1000, description="C_pos of an image.")
    negatives: int = Field(default=5, ge=1, le=1000, description="C_neg of an image.")
    cross_camera: bool = Field(default=False, description="Positives by another camera only.")
    top_c: int = Field(default=40, ge=1, le=1000, description="Length of shortlists, for shortlisted.")


@dataclass(frozen=True, slots=True)
class Labels:
    """Of N images: whose they are, which camera took them, which domain they belong to."""

    identities: NDArray[np.int64]
    cameras: NDArray[np.int64]
    domains: NDArray[np.int64]


@dataclass(frozen=True, slots=True)
class HardPairs:
    """Rows of images, filled up with -1.

    Attributes:
        positives: (N, C_pos) of the same person as image i.
        negatives: (N, C_neg) of other people in its domain.
    """

    positives: NDArray[np.int64]
    negatives: NDArray[np.int64]

    @property
    def anchors(self) -> NDArray[np.int64]:
        """Images that have both."""
        return np.flatnonzero((self.positives[:, 0] != NOBODY) & (self.negatives[:, 0] != NOBODY))


def mine(features: NDArray[np.float32], labels: Labels, settings: MiningSettings, seed: int = 0) -> HardPairs:
    """For each image the farthest of its own person and the nearest of others, by the encoder's distance.

    Distances are made block by block, never (N, N) at once. Domains are mined apart. Equal distances: by row.

    Args:
        features: (N, D).
        labels: Of the same images.
        settings: How many, and how they are chosen.
        seed: Of what is drawn.

    Raises:
        InputError: No image has both a positive and a negative.

    Source: MUSE, 4.2.3 (query-candidate hard mining).
    """
    count = len(features)
    pairs = HardPairs(
        np.full((count, settings.positives), NOBODY), np.full((count, settings.negatives), NOBODY)
    )
    rng = np.random.default_rng(seed)
    for person in np.unique(labels.identities):
        rows = np.flatnonzero(labels.identities == person)
        _positives(features, rows, labels.cameras[rows], settings, rng, pairs.positives)
    for domain in np.unique(labels.domains):
        rows = np.flatnonzero(labels.domains == domain)
        pairs.negatives[rows] = _negatives(features[rows], labels.identities[rows], rows, settings, rng)
    if not len(pairs.anchors):
        where = " by another camera" if settings.cross_camera else ""
        raise InputError(
            f"no image has another one of its person{where} and one of somebody else in its domain",
            "take sets with several pictures of several people",
        )
    return pairs


def _positives(
    features: NDArray[np.float32],
    rows: NDArray[np.int64],
    cameras: NDArray[np.int64],
    settings: MiningSettings,
    rng: np.random.Generator,
    found: NDArray[np.int64],
) -> None:
    """Fills in those of one person."""
    distances = _squared(features[rows], features[rows])
    allowed = ~np.eye(len(rows), dtype=np.bool_)
    if settings.cross_camera:
        allowed &= cameras[:, None] != cameras
    for i, row in enumerate(rows):
        own = np.flatnonzero(allowed[i])
        if settings.choice == "random":
            own = rng.permutation(own)
        else:
            own = own[np.argsort(-distances[i, own], kind="stable")]
        chosen = rows[own[: settings.positives]]
        found[row, : len(chosen)] = chosen


def _negatives(
    features: NDArray[np.float32],
    identities: NDArray[np.int64],
    rows: NDArray[np.int64],
    settings: MiningSettings,
    rng: np.random.Generator,
) -> NDArray[np.int64]:
    """(n, C_neg) of one domain, as rows of all images."""
    if settings.choice == "nearest":
        found = _nearest(features, identities, settings.negatives, others=True)
    elif settings.choice == "random":
        found = _any(identities, settings.negatives, rng)
    else:
        found = _shortlisted(features, identities, settings, rng)
    return np.where(found == NOBODY, NOBODY, rows[found])


def _nearest(
    features: NDArray[np.float32], identities: NDArray[np.int64], depth: int, *, others: bool
) -> NDArray[np.int64]:
    """(n, depth) nearest images, nearest first: of other people only, or of anybody but the image itself."""
    count = len(features)
    found = np.full((count, depth), NOBODY)
    step = max(1, _BLOCK_MB * 2**20 // (4 * count))
    for start in range(0, count, step):
        block = np.arange(start, min(start + step, count))
        distances = _squared(features[block], features)
        if others:
            distances[identities[block][:, None] == identities] = np.inf
        else:
            distances[np.arange(len(block)), block] = np.inf
        width = min(depth, count)
        near = np.sort(np.argpartition(distances, width - 1, axis=1)[:, :width], axis=1)
        order = np.argsort(np.take_along_axis(distances, near, 1), axis=1, kind="stable")
        near = np.take_along_axis(near, order, 1)
        out = np.isinf(np.take_along_axis(distances, near, 1))
        found[block, :width] = np.where(out, NOBODY, near)
    return found


def _any(identities: NDArray[np.int64], depth: int, rng: np.random.Generator) -> NDArray[np.int64]:
    found = np.full((len(identities), depth), NOBODY)
    for i, person in enumerate(identities):
        others = np.flatnonzero(identities != person)
        drawn = rng.choice(others, min(depth, len(others)), replace=False)
        found[i, : len(drawn)] = drawn
    return found


def _shortlisted(
    features: NDArray[np.float32],
    identities: NDArray[np.int64],
    settings: MiningSettings,
    rng: np.random.Generator,
) -> NDArray[np.int64]:
    """Images of others, each as likely as it stands often among the `top_c` nearest of a person's images."""
    lists = _nearest(features, identities, settings.top_c, others=False)
    found = np.full((len(identities), settings.negatives), NOBODY)
    for person in np.unique(identities):
        own = np.flatnonzero(identities == person)
        listed, often = np.unique(lists[own], return_counts=True)
        strangers = (listed != NOBODY) & (identities[listed] != person)
        listed, often = listed[strangers], often[strangers]
        depth = min(settings.negatives, len(listed))
        for row in own:
            found[row, :depth] = rng.choice(listed, depth, replace=False, p=often / often.sum())
    return found


def _squared(rows: NDArray[np.float32], others: NDArray[np.float32]) -> NDArray[np.float32]:
    """(n, m) squared Euclidean distances."""
    lengths = (rows * rows).sum(1)[:, None] + (others * others).sum(1)
    table: NDArray[np.float32] = lengths - 2 * rows @ others.T
    return table
