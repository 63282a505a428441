"""Where people will be, in seconds and body sizes, not in frames and pixels: one model for all rates.

A person's velocity wanders around zero and is forgotten within about a second (an Ornstein-Uhlenbeck process), so that
whoever is lost is looked for further and further around, but not ever further ahead. Its exact discretisation for any
time step makes 30 small steps and one large one the same.
"""

from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

F64 = NDArray[np.float64]

SPEED = np.array([0.55, 0.25, 0.12, 0.15])  # sizes a second: how fast centre x, y, width and height change
LASTS_S = np.array([1.5, 1.5, 0.6, 0.6])  # how long they go on changing so
NOISE = np.array([0.05, 0.05, 0.07, 0.07])  # sizes: how far a detector's box is off
FAR = 25.0  # squared deviations of x or of both edges in y that are no chance any more
TAILS = 4.0  # degrees of freedom: a box cut short by somebody in front is wrong by far more than noise


@dataclass(slots=True)
class Motion:
    """What is known of a box: centre x, y, width, height in pixels, and how they change.

    Attributes:
        pts_s: The time of it.
        mean: (4,) px.
        rate: (4,) px/s.
        spread: (3, 4) px^2, px^2/s, px^2/s^2: variances of the mean, covariances with the rate, variances of it.
    """

    pts_s: float
    mean: F64
    rate: F64 = field(default_factory=lambda: np.zeros(4))
    spread: F64 = field(default_factory=lambda: np.zeros((3, 4)))

    @classmethod
    def begin(cls, box: NDArray[np.float32], pts_s: float) -> "Motion":
        """From a first box (4,) xyxy."""
        mean = _centred(box)
        size = _size(mean)
        spread = np.stack([(NOISE * size) ** 2, np.zeros(4), (SPEED * size) ** 2])
        return cls(pts_s, mean, spread=spread)

    def at(self, pts_s: float) -> "Motion":
        """What is known at a later time; at an earlier one, what is known now."""
        step_s = max(0.0, pts_s - self.pts_s)
        left = np.exp(-step_s / LASTS_S)
        reach = LASTS_S * (1 - left)
        power = (SPEED * _size(self.mean)) ** 2
        place, both, rate = self.spread
        return Motion(
            max(pts_s, self.pts_s),
            self.mean + reach * self.rate,
            left * self.rate,
            np.stack(
                [
                    place
                    + 2 * reach * both
                    + reach**2 * rate
                    + power * LASTS_S**2 * (2 * step_s / LASTS_S - 3 + 4 * left - left**2),
                    left * both + left * reach * rate + power * LASTS_S * (1 - left) ** 2,
                    left**2 * rate + power * (1 - left**2),
                ]
            ),
        )

    def seen(self, box: NDArray[np.float32], doubt: float = 1.0) -> "Motion":
        """What is known after a box (4,) xyxy at this very time; with more `doubt` the box counts for less."""
        place, both, rate = self.spread
        all_ = place + (doubt * NOISE * _size(self.mean)) ** 2
        off = _centred(box) - self.mean
        return Motion(
            self.pts_s,
            self.mean + place / all_ * off,
            self.rate + both / all_ * off,
            np.stack([place - place**2 / all_, both - both * place / all_, rate - both**2 / all_]),
        )

    def turned(self, by: F64) -> "Motion":
        """The same after the camera turned; `by` (2, 3) as of `CameraMotion.step`."""
        scale = float(np.hypot(by[0, 0], by[1, 0]))
        place = by[:, :2] @ self.mean[:2] + by[:, 2]
        rate = by[:, :2] @ self.rate[:2]
        return Motion(
            self.pts_s,
            np.concatenate([place, scale * self.mean[2:]]),
            np.concatenate([rate, scale * self.rate[2:]]),
            scale**2 * self.spread,
        )

    @property
    def box(self) -> F64:
        """(4,) xyxy."""
        x, y, wide, high = self.mean
        return np.array([x - wide / 2, y - high / 2, x + wide / 2, y + high / 2])


def likelihood(motions: list[Motion], boxes: NDArray[np.float32]) -> F64:
    """Log likelihoods (T, N) of boxes (N, 4) xyxy under motions at their time; -inf = too far. Lengths are in sizes.

    In height a box may fit by its head or by its feet: whoever stands in front hides one of them.
    """
    if not motions or not len(boxes):
        return np.zeros((len(motions), len(boxes)))
    mean = np.array([motion.mean for motion in motions])[:, None]
    size = np.maximum(mean[..., 3], 2 * mean[..., 2])[..., None]
    spread = np.array([motion.spread[0] for motion in motions])[:, None] / size**2 + NOISE**2
    found = np.array([_centred(box) for box in boxes])[None]
    off = (found - mean) / size
    edges = np.stack([off[..., 1] - off[..., 3] / 2, off[..., 1] + off[..., 3] / 2])
    upright = (edges**2).min(0) / (spread[..., 1] + spread[..., 3] / 4)
    across = off[..., 0] ** 2 / spread[..., 0]
    sizes = TAILS * np.log1p(off[..., 2:] ** 2 / spread[..., 2:] / TAILS)
    log = -0.5 * (across + upright + sizes.sum(-1) + np.log(2 * np.pi * spread).sum(-1))
    return np.where((across > FAR) | (upright > FAR), -np.inf, log)


def _centred(box: NDArray[np.float32]) -> F64:
    x0, y0, x1, y1 = (float(edge) for edge in box)
    return np.array([(x0 + x1) / 2, (y0 + y1) / 2, max(x1 - x0, 1e-3), max(y1 - y0, 1e-3)])


def _size(mean: F64) -> float:
    """A length of the person that a box cut short tells, too."""
    return float(max(mean[3], 2 * mean[2], 1.0))
