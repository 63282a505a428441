"""Where a hit begins, for each kind of verdict: the one quantity by which verdicts and hits are compared.

Decided is on the distance before re-ranking: what a re-ranker gives depends on who else stands in the gallery, so that
a cut chosen on one watchlist does not hold on the next.
"""

import math
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Annotated, Literal, Self

import numpy as np
from numpy.typing import NDArray
from pydantic import ConfigDict, Field, model_validator

from pipeline.messages import Candidate, HitDecision, Verdict
from pipeline.settings import Settings

Distance = Annotated[float, Field(ge=0, le=2)]


class CalibratedCut(Settings):
    """The cut of a watchlist of one size, with its 95 % band; `found` is the share of genuine pairs within it."""

    enrolled: float = Field(ge=1)
    max_distance: Distance
    low: Distance
    high: Distance
    found: float | None = Field(default=None, ge=0, le=1)


class Likelihood(Settings):
    """Log of how much likelier a distance is of one person than of two: intercept + slope * distance."""

    intercept: float
    slope: float = Field(lt=0)


class KindCalibration(Settings):
    """What holds for people enrolled in one way.

    `k` pictures of one person count as `k ** many` people: 1 = as so many people, 0 = as one.
    """

    genuine: int = Field(ge=0)
    impostor: int = Field(ge=0)
    many: float = Field(default=1.0, ge=0, le=1)
    cuts: tuple[CalibratedCut, ...] = Field(min_length=1)
    likelihood: Likelihood | None = None

    @model_validator(mode="after")
    def _strict_with_size(self) -> Self:
        sizes = [cut.enrolled for cut in self.cuts]
        distances = [cut.max_distance for cut in self.cuts]
        if sizes != sorted(set(sizes)) or distances != sorted(distances, reverse=True):
            raise ValueError("cuts must be of ascending sizes, and no larger for a larger watchlist")
        return self

    def cut(self, enrolled: float) -> float:
        """The largest distance of a hit, where so many are enrolled; linear between the logs of the sizes."""
        sizes = np.log([cut.enrolled for cut in self.cuts])
        return float(np.interp(math.log(max(enrolled, 1)), sizes, [cut.max_distance for cut in self.cuts]))


class Asked(Settings):
    """What the cuts were chosen for: a share of strangers, and what that was worked out from where it was."""

    fpir: float = Field(gt=0, lt=1)
    false_alarms_per_camera_day: float | None = Field(default=None, gt=0)
    people_per_camera_day: float | None = Field(default=None, gt=0)


class CalibratedEngines(Settings):
    """What a calibration belongs to; detector None = any."""

    detector: str | None = None
    embedder: str
    verifier: str | None = None
    fuses: bool = False
    alpha: float | None = None
    tau: float | None = None


class Calibration(Settings):
    """A file of `musewatch calibrate`.

    `prior` is the share of the people seen who are taken to be enrolled, which probabilities start from.
    """

    model_config = ConfigDict(populate_by_name=True)

    schema_: Literal["musewatch.calibration/1"] = Field(default="musewatch.calibration/1", alias="schema")
    made_from: str
    made_at: str
    asked: Asked
    engines: CalibratedEngines
    prior: float = Field(default=0.5, gt=0, lt=1)
    picture: KindCalibration
    text: KindCalibration | None = None

    def compared(self, identity_ids: Sequence[str], is_text: NDArray[np.bool_]) -> float:
        """How many people a watchlist stands for: its rows, several of one person counted by `many` of their kind."""
        rows = Counter(zip(identity_ids, is_text.tolist(), strict=True))
        many = {False: self.picture.many, True: self.text.many if self.text else None}
        return sum(
            math.pow(count, power) for (_, text), count in rows.items() if (power := many[text]) is not None
        )

    def probability(self, distance: float, compared: float, *, is_text: bool) -> float | None:
        """That both are one person, in [0, 1]; the prior is spread evenly over all whom a tracklet is compared with."""
        kind = self.text if is_text else self.picture
        if kind is None or kind.likelihood is None:
            return None
        prior = self.prior / max(compared, 1)
        odds = kind.likelihood.intercept + kind.likelihood.slope * distance + math.log(prior / (1 - prior))
        return 1 / (1 + math.exp(-min(max(odds, -80), 80)))


@dataclass(frozen=True, slots=True)
class Cuts:
    """Largest distances of a hit, in [0, 2]; each kind of distance has its own.

    The words for a person lie farther from their pictures than these from each other, and what a verifier fuses lies
    elsewhere than a plain distance. So distances of different kinds are compared by their excess over their cut: at
    most 0 is a hit, less is nearer. With a calibration the cuts are of the size of the watchlist, see `at`.

    Attributes:
        pictures: Of the plain distance to an enrolled picture.
        texts: To an enrolled text, plain or fused; None = nobody is compared with texts.
        fused: Of what a verifier fuses for a picture; None = as `pictures`.
        calibration: Gives the cuts of every size of watchlist; None = the same for all.
        compared: How many people the watchlist stands for, with a calibration.
    """

    pictures: float
    texts: float | None = None
    fused: float | None = None
    calibration: Calibration | None = None
    compared: float = 1.0

    def at(self, identity_ids: Sequence[str], is_text: NDArray[np.bool_]) -> "Cuts":
        """The cuts for a watchlist of these rows.

        Both kinds share what was asked for: each has the cut of everybody who is enrolled, in whatever way.
        """
        known = self.calibration
        if known is None:
            return self
        compared = known.compared(identity_ids, is_text)
        picture = known.picture.cut(compared)
        return replace(
            self,
            pictures=self.pictures if known.engines.fuses else picture,
            texts=known.text.cut(compared) if known.text else None,
            fused=picture if known.engines.fuses else None,
            compared=compared,
        )

    def of(self, candidate: Candidate, *, judged: bool = False) -> float:
        """The cut of a candidate's distance, or of what was fused when it was judged."""
        if candidate.is_text and self.texts is not None:
            return self.texts
        return self.fused if judged and self.fused is not None else self.pictures

    def excess(self, verdict: Verdict) -> float:
        """What a verdict is compared by: its `fused` less its cut."""
        return verdict.fused - self.of(verdict.candidate, judged=verdict.judged)

    def least_excess(self, candidate: Candidate, alpha: float) -> float:
        """The least excess of a candidate, whatever a verifier of that weight says, or if it says nothing."""
        plain = candidate.distance - self.of(candidate)
        return min(plain, (1 - alpha) * candidate.distance - self.of(candidate, judged=True))

    def probability(self, verdict: Verdict) -> float | None:
        """That the tracklet is who the verdict says; None where nothing says so of this kind of distance."""
        if self.calibration is None or (self.calibration.engines.fuses and not verdict.judged):
            return None
        return self.calibration.probability(verdict.fused, self.compared, is_text=verdict.candidate.is_text)


def excess_of(decision: HitDecision) -> float:
    """What a hit is compared by: the verdict's excess that it was decided by."""
    decided_by = decision.distance if decision.fused is None else decision.fused
    return decided_by - decision.max_distance
