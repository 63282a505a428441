"""When the looks of a track say that it follows somebody else now.

All limits are shares of the embedder's cut, the largest distance of a hit. Of the same person 97 of 100 comparable
crops lie within 1.25 cuts of the nearest one kept, of other people fewer than 3 (docs/experiments.md); two in a row
that are far, and alike, settle it where a track may have gone over to somebody else: it overlapped another, or was out
of sight. Elsewhere a person has turned, unless they look like nobody before.
"""

from collections.abc import Sequence

import numpy as np

from pipeline.messages import Crop

FAR_SHARE = 1.25  # of the cut; farther from all kept crops, and it may be somebody else
ALIKE_SHARE = 1.0  # of the cut; two crops that are no farther apart show the same person
COMPARABLE = 0.5  # of the best crop's quality; a poorer one is far from many that show the same person
EXTREME_SHARE = 1.8  # of the cut; so far from all kept crops in the mean, nobody looks who only turned
OVERLAP = 0.5  # of the smaller of two boxes, above which a track may go over from one person to the other
GAP_S = 0.5  # unseen for longer, a track may be taken up by somebody else
MOST_DOUBTS = 3  # crops that are far and not alike, before they are taken as mishaps


def is_far(crop: Crop, kept: Sequence[Crop], cut: float) -> bool:
    """Whether a crop is far from all that are kept of its track.

    Args:
        crop: A fresh one.
        kept: At least one.
        cut: The embedder's, Euclidean.
    """
    return min(_distance(crop, other) for other in kept) > FAR_SHARE * cut


def alike(crop: Crop, doubts: Sequence[Crop], cut: float) -> list[Crop]:
    """Those of some crops that show the same person as a fresh one."""
    return [other for other in doubts if _distance(crop, other) <= ALIKE_SHARE * cut]


def is_extreme(doubts: Sequence[Crop], kept: Sequence[Crop], cut: float) -> bool:
    """Whether crops are too far from those kept to be of somebody who only turned."""
    away = [_distance(crop, other) for crop in doubts for other in kept]
    return sum(away) / len(away) > EXTREME_SHARE * cut


def _distance(one: Crop, other: Crop) -> float:
    return float(np.linalg.norm(one.embedding - other.embedding))
