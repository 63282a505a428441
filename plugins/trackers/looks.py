"""How people look: a gallery of views of each, and what a distance says about two views being of one person."""

from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

F32 = NDArray[np.float32]

VIEWS = 8  # kept of a person
NEAREST = 2  # of which so many are compared with
PRIOR = 8.0  # so many distances is the embedder's operating point worth
MEMORY = 200.0  # distances after which the older ones count for less
OWN_SHARE, OTHER_SHARE, SPREAD_SHARE = 0.75, 1.4, 0.24  # of the operating point
LEAST_APART = 0.5  # spreads; where people are no further apart looks say little
FOR, AGAINST = 6.0, -2.5  # log odds that one view can give: whoever turns or is half hidden looks like nobody


@dataclass(slots=True)
class Gallery:
    """Views of one person: unit vectors (D,), as different from each other as they came."""

    views: list[F32] = field(default_factory=list)

    def add(self, view: F32) -> None:
        """Takes a view; beyond `VIEWS`, the older one of the two that are most alike goes."""
        self.views.append(view)
        if len(self.views) > VIEWS:
            table = np.stack(self.views)
            alike = table @ table.T
            np.fill_diagonal(alike, -2.0)
            first, second = np.unravel_index(int(alike.argmax()), alike.shape)
            del self.views[min(int(first), int(second))]

    def distance(self, view: F32) -> float:
        """Euclidean, to the nearest views; infinite without any."""
        if not self.views:
            return np.inf
        away = np.sqrt(np.maximum(0.0, 2 - 2 * (np.stack(self.views) @ view)))
        return float(np.sort(away)[:NEAREST].mean())


class Scale:
    """What distances mean here: learnt from people who surely are the same, or surely are not.

    Args:
        operating_point: Distance at which the embedder tells people apart; what is believed before anybody was seen.
    """

    def __init__(self, operating_point: float) -> None:
        self._point = operating_point
        self._own = _Normal(OWN_SHARE * operating_point, SPREAD_SHARE * operating_point)
        self._other = _Normal(OTHER_SHARE * operating_point, SPREAD_SHARE * operating_point)

    def learn(self, own: float, others: list[float]) -> None:
        """Notes a view's distance to its own person, and those to others who were there at the same time."""
        if np.isfinite(own):
            self._own.add(own)
        for distance in others:
            if np.isfinite(distance):
                self._other.add(distance)

    def odds(self, distance: float) -> float:
        """Log odds that a view at that distance is of the same person, in [AGAINST, FOR]; 0 where nothing is known."""
        if not np.isfinite(distance):
            return 0.0
        variance = (self._own.variance + self._other.variance) / 2
        apart = max(self._other.mean - self._own.mean, LEAST_APART * variance**0.5)
        middle = (self._own.mean + self._other.mean) / 2
        return float(np.clip(apart / variance * (middle - distance), AGAINST, FOR))


class _Normal:
    """Mean and variance of what was seen, from a prior that is worth `PRIOR` of it."""

    def __init__(self, mean: float, deviation: float) -> None:
        self.mean, self.variance, self._weight = mean, deviation**2, PRIOR

    def add(self, value: float) -> None:
        self._weight = min(self._weight + 1, MEMORY)
        off, share = value - self.mean, 1 / self._weight
        self.mean += share * off
        self.variance = (1 - share) * (self.variance + share * off**2)
