"""What verifiers that look at two pictures share: which pairs they ask about, in what order, and what comes of it."""

import hashlib
import math
import time
from collections import OrderedDict
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import NDArray
from pydantic import Field

from engines.manifest import Manifest
from engines.shelf import EnginePath
from pipeline.messages import Candidate, Tracklet, Verdict
from pipeline.protocols import Enrolled
from pipeline.settings import Settings

ALPHA, TAU = 0.2, 5.0
LEAD = 0.1  # `decision.margin` up to this counts as if everybody had been asked about
REMEMBERED = 100_000  # answers to pairs of pictures
SECOND_ORDER, VERIFIER = "second_order", "verifier"

Question = tuple[Tracklet, Sequence[tuple[Candidate, Enrolled]]]


class PairwiseSettings(Settings):
    """Which pairs are asked about, and what the answers weigh."""

    engine: EnginePath = Field(description="Manifest of a verifier with a prompt and answers.")
    alpha: float | None = Field(
        default=None, ge=0, le=1, description="Weight; null = the manifest's, or 0.2."
    )
    top_c: int = Field(
        default=40, ge=1, le=1000, description="Candidates of a tracklet that are asked about."
    )
    crops: int = Field(default=1, ge=1, le=16, description="Best crops of a tracklet that are looked at.")
    both_orders: bool = Field(default=False, description="Each pair the other way round too.")
    budget_ms: float | None = Field(
        default=None, gt=0, le=3.6e6, description="Longest time for one batch of tracklets; null = no limit."
    )
    budget_pairs: int | None = Field(
        default=None, ge=1, le=10**6, description="Most pairs asked for one batch; null = no limit."
    )


@dataclass(frozen=True, slots=True, eq=False)
class Look:
    """A picture (H, W, 3) BGR and its digest."""

    image: NDArray[np.uint8]
    key: bytes

    @classmethod
    def at(cls, image: NDArray[np.uint8]) -> "Look":
        """A picture and its digest."""
        digest = hashlib.blake2b(repr(image.shape).encode(), digest_size=16)
        digest.update(np.ascontiguousarray(image).data)
        return cls(image, digest.digest())


Pair = tuple[Look, Look]
Ask = Callable[[Sequence[Pair]], Sequence[float | None]]
"""p_no of pairs of pictures, the first shown first; None where there is no answer that can be used."""


@dataclass(slots=True)
class _Budget:
    """What is left for one batch of tracklets."""

    deadline_s: float
    pairs: float
    clock: Callable[[], float]

    @classmethod
    def of(cls, settings: PairwiseSettings, clock: Callable[[], float]) -> "_Budget":
        limit_ms, pairs = settings.budget_ms, settings.budget_pairs
        deadline_s = math.inf if limit_ms is None else clock() + limit_ms / 1000
        return cls(deadline_s, math.inf if pairs is None else pairs, clock)

    def take(self, wanted: int) -> int:
        """How many of these pairs may be asked now; 0 = it is spent."""
        given = 0 if self.clock() >= self.deadline_s else int(min(wanted, self.pairs))
        self.pairs -= given
        return given


@dataclass(slots=True)
class _Case:
    """A candidate that is asked about: the enrolled picture, the crops, and the answers in both orders."""

    candidate: Candidate
    pairs: list[Pair]
    said: list[float | None]
    swapped: list[float | None]


class PairJudge:
    """Judges shortlists by asking about pairs of pictures.

    *Rule.* The enrolled picture nearest to the tracklet, shown first, is compared with each of its best crops; p_no is
    the mean of the answers. `fused` = (1 - alpha) * distance + alpha * 2 * p_no, in [0, 2] as distances are; with both
    orders p_no stands there for the mean of the two. Texts, candidates beyond `top_c` and whoever no answer came about
    keep the plain distance.

    *Not asked about:* tracklets of which no hit can come, whatever is answered (the stage leaves these out); texts;
    candidates beyond `top_c`; those who, whatever is answered, stay behind the nearest one, by more than any usual
    margin: their `fused` is the least that it could be, so that no cut of plain distances lets them in where the
    verifier says no to the nearest; pairs of pictures that were asked about before.

    *In time:* the nearest candidates of all tracklets first, all of them in one order before any in the other. When the
    budget is spent, the second order is left out first, then the verifier for whoever is left; `degraded` of a verdict
    says which.

    Source: MUSE, eq. 6; p_no is doubled to the range of the distances.

    Args:
        settings: Which pairs are asked about.
        alpha: Weight of the answers.
        ask: Answers.
        at_once: Pairs in one call of it.
        clock: Monotonic seconds.
    """

    def __init__(
        self,
        settings: PairwiseSettings,
        alpha: float,
        ask: Ask,
        at_once: int,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._settings, self._alpha, self._ask = settings, alpha, ask
        self._at_once, self._clock = at_once, clock
        self._known: OrderedDict[tuple[bytes, bytes], float] = OrderedDict()

    def __call__(self, questions: Sequence[Question]) -> list[list[Verdict]]:
        """For each tracklet its verdicts, nearest first."""
        budget = _Budget.of(self._settings, self._clock)
        enrolled: dict[int, Look | None] = {}
        cases = [dict(self._cases(*question, enrolled)) for question in questions]
        in_order = [case for each in cases for case in each.values()]
        in_order.sort(key=lambda case: case.candidate.rank)
        self._answer([(case.said, case.pairs) for case in in_order], budget)
        if self._settings.both_orders:
            turned = [(case.swapped, [(second, first) for first, second in case.pairs]) for case in in_order]
            self._answer(turned, budget)
        return [
            _ranked(self._verdicts(pairs, asked)) for (_, pairs), asked in zip(questions, cases, strict=True)
        ]

    def forget(self) -> None:
        """Keeps no answer to any pair."""
        self._known.clear()

    def _cases(
        self,
        tracklet: Tracklet,
        pairs: Sequence[tuple[Candidate, Enrolled]],
        enrolled: dict[int, Look | None],
    ) -> Iterator[tuple[int, _Case]]:
        """Whoever is worth asking about, by place in the shortlist; without pairs where no picture can be opened."""
        crops = [Look.at(crop.image) for crop in tracklet.crops[: self._settings.crops] if crop.image.size]
        shortlist = pairs[: self._settings.top_c]
        nearest = min((each.distance for each, shown in shortlist if shown.picture is not None), default=0.0)
        reach = nearest + ((2 * self._alpha + LEAD) / (1 - self._alpha) if self._alpha < 1 else np.inf)
        for i, (candidate, shown) in enumerate(shortlist):
            if shown.picture is None or candidate.distance > reach:
                continue
            if shown.enrolment_id not in enrolled:
                enrolled[shown.enrolment_id] = _opened(shown.picture)
            first = enrolled[shown.enrolment_id]
            asked = [(first, crop) for crop in crops] if first is not None else []
            yield i, _Case(candidate, asked, [None] * len(asked), [None] * len(asked))

    def _answer(self, wanted: Sequence[tuple[list[float | None], list[Pair]]], budget: _Budget) -> None:
        """Fills in answers, the known ones first, until the budget is spent."""
        places: list[tuple[list[float | None], int, Pair]] = []
        for answers, pairs in wanted:
            for i, pair in enumerate(pairs):
                answers[i] = self._known.get(_key(pair))
                if answers[i] is None:
                    places.append((answers, i, pair))
        start = 0
        while given := budget.take(min(self._at_once, len(places) - start)):
            some = places[start : start + given]
            start += given
            for (answers, i, pair), p in zip(some, self._ask([pair for *_, pair in some]), strict=True):
                answers[i] = p
                if p is not None:
                    self._remember(_key(pair), p)

    def _remember(self, key: tuple[bytes, bytes], p: float) -> None:
        self._known[key] = p
        if len(self._known) > REMEMBERED:
            self._known.popitem(last=False)

    def _verdicts(
        self, pairs: Sequence[tuple[Candidate, Enrolled]], cases: Mapping[int, _Case]
    ) -> list[Verdict]:
        verdicts = {i: self._verdict(case) for i, case in cases.items()}
        answered = all(verdict.p_no is not None for verdict in verdicts.values())
        for i, (candidate, shown) in enumerate(pairs):
            if i not in cases:
                too_far = answered and i < self._settings.top_c and shown.picture is not None
                fused = (1 - self._alpha) * candidate.distance if too_far else candidate.distance
                verdicts[i] = Verdict(candidate, fused)
        return list(verdicts.values())

    def _verdict(self, case: _Case) -> Verdict:
        candidate = case.candidate
        p_no, swapped = _mean(case.said), _mean(case.swapped)
        if p_no is None:
            return Verdict(candidate, candidate.distance, degraded=(VERIFIER,))
        missing = self._settings.both_orders and swapped is None
        p = p_no if swapped is None else (p_no + swapped) / 2
        fused = (1 - self._alpha) * candidate.distance + self._alpha * 2 * p
        return Verdict(candidate, fused, p_no, swapped, degraded=(SECOND_ORDER,) if missing else ())


def weight(settings: PairwiseSettings, manifest: Manifest) -> float:
    """The config's alpha, or the manifest's, or the usual one."""
    if settings.alpha is not None:
        return settings.alpha
    return ALPHA if manifest.alpha is None else manifest.alpha


def _key(pair: Pair) -> tuple[bytes, bytes]:
    return pair[0].key, pair[1].key


def _opened(data: bytes) -> Look | None:
    image = cv2.imdecode(np.frombuffer(data, np.uint8), cv2.IMREAD_COLOR) if data else None
    return None if image is None else Look.at(np.asarray(image, np.uint8))


def _mean(answers: Sequence[float | None]) -> float | None:
    """The mean of what was answered."""
    said = [answer for answer in answers if answer is not None]
    return sum(said) / len(said) if said else None


def _ranked(verdicts: list[Verdict]) -> list[Verdict]:
    order = sorted(verdicts, key=lambda verdict: (verdict.fused, verdict.candidate.rank))
    return [
        Verdict(v.candidate, v.fused, v.p_no, v.p_no_swapped, rank, v.degraded)
        for rank, v in enumerate(order, start=1)
    ]
