"""With a calibration the cuts follow the size of the watchlist, and every decision has a probability."""

import math
from typing import Any

import numpy as np
import pytest
from pydantic import ValidationError

from pipeline.identify.calibration import Calibration, Cuts
from pipeline.identify.decide import accept
from pipeline.messages import Candidate, Verdict


def cut(enrolled: float, max_distance: float) -> dict[str, float]:
    return {"enrolled": enrolled, "max_distance": max_distance, "low": 0.1, "high": 1.5}


def kind(*cuts: dict[str, float], many: float = 0.5, **more: Any) -> dict[str, Any]:
    return {"genuine": 10, "impostor": 100, "many": many, "cuts": cuts, **more}


PICTURE = kind(cut(1, 0.9), cut(100, 0.5), likelihood={"intercept": 10.0, "slope": -20.0})
DOCUMENT = {
    "schema": "musewatch.calibration/1",
    "made_from": "pairs.npz",
    "made_at": "2026-11-30T22:00:00+00:00",
    "asked": {"fpir": 0.01},
    "engines": {"embedder": "sha256:fake"},
    "picture": PICTURE,
}


def calibration(**changes: Any) -> Calibration:
    return Calibration.model_validate(DOCUMENT | changes)


def verdict(name: str, distance: float, fused: float | None = None, *, is_text: bool = False) -> Verdict:
    candidate = Candidate(name, 1, distance, 1, is_text)
    return Verdict(candidate, distance) if fused is None else Verdict(candidate, fused, 0.1)


def of(*identities: str, texts: int = 0) -> tuple[tuple[str, ...], Any]:
    """Rows of a watchlist, the last of them texts."""
    is_text = np.zeros(len(identities), np.bool_)
    is_text[len(identities) - texts :] = True
    return identities, is_text


@pytest.mark.parametrize(
    ("identities", "expected"),
    [
        (["a"], 0.9),
        (list("abcdefghij"), 0.7),  # ten, half of the way to a hundred in logarithms
        (["a"] * 100, 0.7),  # a hundred pictures of one count as the root of a hundred
        ([f"p{i}" for i in range(100)], 0.5),
        ([f"p{i}" for i in range(1000)], 0.5),  # beyond the table: its last
        ([], 0.9),
    ],
)
def test_the_cut_follows_the_watchlist(identities: list[str], expected: float) -> None:
    assert Cuts(0.3, calibration=calibration()).at(*of(*identities)).pictures == pytest.approx(expected)


def test_without_a_calibration_the_cut_is_one_for_all() -> None:
    cuts = Cuts(0.3, 1.2)
    assert cuts.at(*of(*(f"p{i}" for i in range(1000)))) is cuts
    assert cuts.probability(verdict("a", 0.1)) is None


def test_both_kinds_have_the_cut_of_all_who_are_enrolled() -> None:
    both = calibration(text=kind(cut(1, 1.3), cut(100, 1.1), many=0.0))
    cuts = Cuts(0.3, calibration=both).at(*of(*"abcde", *"fghij", texts=5))
    assert (cuts.pictures, cuts.texts) == (pytest.approx(0.7), pytest.approx(1.2))
    assert cuts.probability(verdict("f", 1.0, is_text=True)) is None, "no likelihood of texts"


def test_texts_do_not_count_where_nobody_is_compared_with_them() -> None:
    cuts = Cuts(0.3, calibration=calibration()).at(*of("a", *"fghij", texts=5))
    assert (cuts.pictures, cuts.texts) == (0.9, None)


def test_what_is_fused_has_its_own_cut_and_what_is_not_keeps_the_engines() -> None:
    fusing = calibration(engines={"embedder": "sha256:fake", "fuses": True})
    cuts = Cuts(0.3, calibration=fusing).at(*of("a"))
    assert (cuts.pictures, cuts.fused) == (0.3, 0.9)
    assert cuts.probability(verdict("a", 0.2)) is None, "the verifier did not judge"
    assert cuts.probability(verdict("a", 0.2, 0.25)) is not None


def test_the_probability_is_bayes_rule_with_the_prior_spread_over_all() -> None:
    cuts = Cuts(0.3, calibration=calibration()).at(*of(*"abcdefghij"))
    ratio, prior = math.exp(10 - 20 * 0.45), 0.5 / 10
    expected = ratio * prior / (ratio * prior + 1 - prior)
    assert cuts.probability(verdict("a", 0.45)) == pytest.approx(expected)
    accepted = accept([verdict("a", 0.45)], cuts, margin=0.0, enrolled=10)
    assert accepted is not None
    assert (accepted.max_distance, accepted.probability) == (pytest.approx(0.7), pytest.approx(expected))


@pytest.mark.parametrize(
    ("changes", "problem"),
    [
        ({"schema": "musewatch.calibration/2"}, "schema"),
        ({"picture": kind(cut(1, 0.5), cut(100, 0.9))}, "no larger for a larger watchlist"),
        ({"picture": kind(cut(100, 0.5), cut(1, 0.4))}, "ascending sizes"),
        ({"picture": kind(cut(1, math.nan))}, "max_distance"),
        ({"picture": kind(cut(1, 0.5), likelihood={"intercept": 0, "slope": 1})}, "slope"),
        ({"picture": kind()}, "cuts"),
        ({"prior": 1.0}, "prior"),
        ({"extra": 1}, "extra"),
    ],
)
def test_a_file_that_says_nonsense_is_refused(changes: dict[str, Any], problem: str) -> None:
    with pytest.raises(ValidationError, match=problem):
        calibration(**changes)
