"""Which lost track of the same stream a new one continues."""

from collections.abc import Sequence

import numpy as np

from pipeline.follow.buffer import Record

HEIGHTS_PER_S = 1.5  # how far a person may have gone while unseen, in their own heights...
SLACK_HEIGHTS = 0.75  # ...plus this
GROWTH = 1.6  # how much taller or smaller they may look afterwards


def find_predecessor(new: Record, lost: Sequence[Record], max_distance: float) -> Record | None:
    """The lost track nearest in appearance, if it is near enough in appearance, place and time.

    Args:
        new: A track with at least one crop.
        lost: Tracks of the same stream, last seen before the new one began.
        max_distance: Largest Euclidean distance between the two, in [0, 2].
    """
    possible = [old for old in lost if old.crops and _could_have_walked(old, new)]
    if not possible:
        return None
    distances = [float(np.linalg.norm(old.embedding - new.embedding)) for old in possible]
    nearest = int(np.argmin(distances))
    return possible[nearest] if distances[nearest] <= max_distance else None


def _could_have_walked(old: Record, new: Record) -> bool:
    gap_s = new.first_pts_s - old.last_pts_s
    if gap_s < 0:
        return False
    (ax0, ay0, ax1, ay1), (bx0, by0, bx1, by1) = old.last_box, new.last_box
    tall, other = max(ay1 - ay0, 1e-6), max(by1 - by0, 1e-6)
    moved = np.hypot((ax0 + ax1 - bx0 - bx1) / 2, ay1 - by1)
    grown = max(tall / other, other / tall)
    return bool(grown <= GROWTH and moved <= (SLACK_HEIGHTS + HEIGHTS_PER_S * gap_s) * max(tall, other))
