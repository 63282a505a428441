"""From genuine and impostor distances to a cut that holds for any number of enrolled people, and to a likelihood.

**The cut.** A search of somebody who is not enrolled raises a false alarm when the nearest of n enrolled pictures lies
within the cut. Of the distance d between search s and a picture it is assumed that

    log d = offset(s) + rest,    F_s(t) = P(rest <= log t - offset(s)),    FPIR_n(t) = mean over s of 1 - (1 - F_s(t))^n

The offset says that some people lie near to many: with one F for all, as if all comparisons were independent, the
cut of a large watchlist comes out stricter than what was asked for. Offsets are means over the enrolled, drawn towards
their common mean as far as their spread is noise (random effects). The rest is one distribution for all: as measured,
and below its lowest 2 sqrt(P) of P pairs a generalised Pareto distribution, the limit that the tail of nearly every
distribution has (Pickands, Balkema, de Haan), so that 10,000 enrolled people can be asked about with pairs of a few
hundred. In a space of finite dimension the chance of a distance falls like a power of it, which in the logarithm is
the shape 0, but only at the very end; the shape that is measured higher up is taken by half.

**Several pictures of one person** are alike: k of them raise as many false alarms as k^many different people, where
`many` in [0, 1] is measured.

**The likelihood** is logistic, log p(d | same) / p(d | different) = a + b d with b < 0 (Platt), both kinds weighing the
same. Isotonic regression, the other monotone choice, has a little less log loss on held-out people, see
docs/experiments.md, but steps on which nearer is no likelier, and says 0 or 1 beyond the last pair of a kind.

Source: Pickands, 1975; Hosking and Wallis, 1987 (probability-weighted moments); Platt, 1999.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy import optimize, special

from pipeline.errors import InputError

SIZES = tuple(float(round(10 ** (i / 2))) for i in range(13))
"""Of watchlists, 1 to a million."""

MIN_SEARCHES = 10
MIN_IMPOSTORS = 100
MIN_GENUINE = 10
MOST_SEARCHES = MOST_ROWS = 1000
"""More are thinned out."""

_TAIL = 2.0  # times the root of the pairs: as many are in the tail
_SHAPE = 0.5  # of the measured shape, which tends to 0
_NEAREST = 1e-6  # whose logarithm is taken
_DRAWS = 40  # of the bootstrap
_HALVINGS = 40  # of [0, 2], where a cut is searched
_NO_SHAPE = 1e-9
_BAND = 1.96  # standard deviations of 95 %


@dataclass(frozen=True, slots=True)
class Searches:
    """Distances of those who were seen to pictures or texts of the enrolled.

    Attributes:
        distances: (S, R), in [0, 2].
        genuine: (S, R) bool: both are one person.
        impostor: (S, R) bool: they are two. What is neither does not count.
        people: (S,) int64, who was seen; searches of one person are not independent.
        identities: (R,) int64, who is enrolled by the row.
    """

    distances: NDArray[np.float64]
    genuine: NDArray[np.bool_]
    impostor: NDArray[np.bool_]
    people: NDArray[np.int64]
    identities: NDArray[np.int64]

    def check(self, kind: str, *, genuine: bool = True) -> None:
        """Refuses what says too little.

        Args:
            kind: What the rows are, in messages.
            genuine: Whether genuine pairs are needed.

        Raises:
            InputError: Too few searches or pairs, a distance out of bounds, or genuine pairs no nearer than the others.
        """
        counted = self.distances[self.genuine | self.impostor]
        if not (np.isfinite(counted).all() and ((counted >= 0) & (counted <= 2)).all()):
            raise InputError(f"a distance to a {kind} is not in [0, 2]", "leave that row out")
        searches = int(self.impostor.any(axis=1).sum())
        found = (
            (searches, MIN_SEARCHES, "people seen who are not the one enrolled"),
            (int(self.impostor.sum()), MIN_IMPOSTORS, "impostor pairs"),
            (int(self.genuine.sum()), MIN_GENUINE if genuine else 0, "genuine pairs"),
        )
        for count, least, what in found:
            if count < least:
                raise InputError(
                    f"{count} {what} for a {kind}: at least {least} are needed",
                    "give more footage, or more people",
                )
        if genuine and self.distances[self.genuine].mean() >= self.distances[self.impostor].mean():
            raise InputError(
                f"genuine pairs of a {kind} are not nearer than impostors", "are the identities right?"
            )

    def of(self, rows: NDArray[np.int64], columns: NDArray[np.int64]) -> "Searches":
        """These searches against these rows of the enrolled."""
        both = np.ix_(rows, columns)
        return Searches(
            self.distances[both],
            self.genuine[both],
            self.impostor[both],
            self.people[rows],
            self.identities[columns],
        )

    def thinned(self, seed: int = 0) -> "Searches":
        """At most `MOST_SEARCHES` by `MOST_ROWS`, whole people first come."""
        rng = np.random.default_rng(seed)
        return self.of(_some(rng, self.people, MOST_SEARCHES), _some(rng, self.identities, MOST_ROWS))

    def drawn(self, draws: int, seed: int = 0) -> Iterator["Searches"]:
        """Bootstrap samples: people who were seen and people enrolled, each with all of theirs, with replacement."""
        rng = np.random.default_rng(seed)
        for _ in range(draws):
            yield self.of(_resampled(rng, self.people), _resampled(rng, self.identities))


def _some(rng: np.random.Generator, labels: NDArray[np.int64], most: int) -> NDArray[np.int64]:
    if len(labels) <= most:
        return np.arange(len(labels))
    group = np.unique(labels, return_inverse=True)[1]
    place = np.argsort(rng.permutation(group.max() + 1)[group], kind="stable")
    return np.sort(place[:most])


def _resampled(rng: np.random.Generator, labels: NDArray[np.int64]) -> NDArray[np.int64]:
    known, group = np.unique(labels, return_inverse=True)
    order = np.argsort(group, kind="stable")
    parts = np.split(order, np.cumsum(np.bincount(group))[:-1])
    return np.concatenate([parts[i] for i in rng.integers(0, len(known), len(known))])


@dataclass(frozen=True, slots=True)
class ImpostorModel:
    """How near somebody who is not enrolled comes to one enrolled picture; all in logarithms of distances.

    Attributes:
        offsets: (S,) of the searches.
        rest: (P,) less their search's offset, ascending.
        in_tail: Pairs in the tail: `rest[in_tail]` is where it begins.
        shape: Of the tail's generalised Pareto distribution; negative = there is a nearest distance.
        scale: Of the same.
    """

    offsets: NDArray[np.float64]
    rest: NDArray[np.float64]
    in_tail: int
    shape: float
    scale: float

    @classmethod
    def fit(cls, searches: Searches) -> "ImpostorModel":
        """From impostor pairs."""
        asked = searches.impostor.any(axis=1)
        counted = searches.impostor[asked]
        d = np.where(counted, np.log(np.maximum(searches.distances[asked], _NEAREST)), 0.0)
        offsets = _offsets(d, counted)
        rest = np.sort((d - offsets[:, None])[counted])
        in_tail = min(round(_TAIL * len(rest) ** 0.5), len(rest) // 2)
        excesses = rest[in_tail] - rest[:in_tail]
        shape = _SHAPE * pareto_shape(excesses)
        return cls(offsets, rest, in_tail, shape, max(float(excesses.mean()) * (1 - shape), 1e-9))

    def nearer(self, distances: NDArray[np.float64]) -> NDArray[np.float64]:
        """F_s(t) for (N,) distances t and all searches, (N, S)."""
        x = np.log(np.maximum(distances, _NEAREST))[:, None] - self.offsets
        start = self.rest[self.in_tail]
        measured = np.searchsorted(self.rest, x, "right") / len(self.rest)
        below = pareto_beyond(np.maximum(start - x, 0), self.scale, self.shape)
        return np.where(x >= start, measured, below * self.in_tail / len(self.rest))

    def fpir(self, distances: NDArray[np.float64], enrolled: NDArray[np.float64]) -> NDArray[np.float64]:
        """(N,) share of searches with anybody within a distance, of (N,) enrolled pictures of different people."""
        nearer = np.minimum(self.nearer(distances), 1 - 1e-12)
        result: NDArray[np.float64] = (-np.expm1(enrolled[:, None] * np.log1p(-nearer))).mean(axis=1)
        return result

    def cuts(self, fpir: float, enrolled: Sequence[float] = SIZES) -> NDArray[np.float64]:
        """Largest distances at which the share is at most `fpir`, for each number enrolled; 0 where there is none."""
        sizes = np.asarray(enrolled, np.float64)
        low, high = np.zeros(len(sizes)), np.full(len(sizes), 2.0)
        for _ in range(_HALVINGS):
            middle = (low + high) / 2
            fits = self.fpir(middle, sizes) <= fpir
            low, high = np.where(fits, middle, low), np.where(fits, high, middle)
        return low


def _offsets(d: NDArray[np.float64], counted: NDArray[np.bool_]) -> NDArray[np.float64]:
    """(S,) means of the rows of (S, R), drawn to their common mean as far as their spread is noise."""
    count = counted.sum(axis=1)
    means = d.sum(axis=1) / count
    noise = float(((d - means[:, None]) ** 2)[counted].sum()) / max(1, int((count - 1).sum())) / count
    between = max(0.0, float(means.var() - noise.mean()))
    trust = between / (between + noise) if between else np.zeros(len(means))
    result: NDArray[np.float64] = means.mean() + trust * (means - means.mean())
    return result


def pareto_shape(excesses: NDArray[np.float64]) -> float:
    """Shape of the generalised Pareto distribution of (N,) values from 0 on, by probability-weighted moments.

    shape = 2 - a0 / (a0 - 2 a1) with a0 = E[x], a1 = E[x (1 - F(x))]; its mean is scale / (1 - shape).

    Source: Hosking and Wallis, 1987; their shape has the other sign.
    """
    x = np.sort(excesses)
    a0, a1 = float(x.mean()), float((x * (1 - (np.arange(len(x)) + 0.65) / len(x))).mean())
    return 2 - a0 / (a0 - 2 * a1) if a0 > 2 * a1 else 0.0


def pareto_beyond(x: NDArray[np.float64], scale: float, shape: float) -> NDArray[np.float64]:
    """P(X > x) of the generalised Pareto distribution."""
    none = abs(shape) < _NO_SHAPE
    result: NDArray[np.float64] = (
        np.exp(-x / scale) if none else np.maximum(1 + shape * x / scale, 0) ** (-1 / shape)
    )
    return result


def cut_bands(searches: Searches, fpir: float) -> NDArray[np.float64]:
    """Cuts at `SIZES` with their 95 % limits, (3, N): the cut, low, high.

    The limits are 1.96 standard deviations of bootstrap draws over the people seen and the people enrolled.
    """
    cut = ImpostorModel.fit(searches).cuts(fpir)
    drawn = [ImpostorModel.fit(sample).cuts(fpir) for sample in searches.drawn(_DRAWS)]
    spread = _BAND * np.std(drawn, axis=0)
    bands: NDArray[np.float64] = np.stack([cut, cut - spread, cut + spread]).clip(0, 2)
    return bands


def many_pictures(searches: Searches) -> float:
    """`many` in [0, 1]: the false alarms by k pictures of one person are those by k^many people.

    From how many searches have a person in the tail of the impostor distances, against how many pictures; 1 where
    everybody has one picture. The nearer, the less alike are two pictures of one person.
    """
    d = np.where(searches.impostor, searches.distances, np.inf)
    group = np.unique(searches.identities, return_inverse=True)[1]
    pictures = np.bincount(group)
    if pictures.max() == 1:
        return 1.0
    counted = searches.distances[searches.impostor]
    near = d <= np.quantile(counted, min(1.0, _TAIL / len(counted) ** 0.5))
    several = np.flatnonzero(pictures > 1)
    rows = np.array([near[:, group == i].sum() for i in several])
    people = np.array([near[:, group == i].any(axis=1).sum() for i in several])
    if not rows.sum():
        return 1.0
    one_each = (rows / pictures[several]).sum()
    return float(np.clip(np.log(people.sum() / one_each) / np.log(pictures[several]).mean(), 0, 1))


def likelihood(genuine: NDArray[np.float64], impostor: NDArray[np.float64]) -> tuple[float, float]:
    """Intercept and slope of the log-likelihood ratio of a distance, as the module says.

    The targets are Platt's, (n + 1) / (n + 2) and 1 / (n + 2), so that pairs which can be told apart give no infinite
    slope.
    """
    x = np.concatenate([genuine, impostor])
    centre, width = float(x.mean()), float(x.std()) or 1.0
    z = (x - centre) / width
    same = np.repeat([True, False], [len(genuine), len(impostor)])
    n = np.where(same, len(genuine), len(impostor))
    target = np.where(same, (n + 1) / (n + 2), 1 / (n + 2))
    weight = 0.5 / n

    def loss(ab: NDArray[np.float64]) -> tuple[float, NDArray[np.float64]]:
        logit = ab[0] + ab[1] * z
        value = float((weight * (np.logaddexp(0, logit) - target * logit)).sum())
        error = weight * (special.expit(logit) - target)
        return value, np.array([error.sum(), (error * z).sum()])

    found = optimize.minimize(loss, np.zeros(2), jac=True, method="BFGS").x
    slope = float(found[1]) / width
    return float(found[0]) - slope * centre, slope
