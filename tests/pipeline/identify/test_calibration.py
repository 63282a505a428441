"""One quantity for all kinds of verdict."""

import pytest

from pipeline.identify.calibration import Cuts
from pipeline.identify.decide import accept
from pipeline.messages import Candidate, Verdict

CUTS = Cuts(pictures=0.5, texts=1.2, fused=0.3)


def verdict(name: str, distance: float, fused: float | None = None, *, is_text: bool = False) -> Verdict:
    candidate = Candidate(name, 1, distance, 1, is_text)
    return Verdict(candidate, distance) if fused is None else Verdict(candidate, fused, 0.1)


def test_every_kind_has_its_cut() -> None:
    picture, text = Candidate("a", 1, 0.4, 1), Candidate("a", 1, 0.4, 1, is_text=True)
    assert [CUTS.of(each, judged=judged) for each in (picture, text) for judged in (False, True)] == [
        0.5,
        0.3,
        1.2,
        1.2,
    ]
    assert Cuts(0.5).of(picture, judged=True) == 0.5


@pytest.mark.parametrize(
    ("verdicts", "found", "cut"),
    [
        # Texts and pictures by what is left to their cuts.
        ([verdict("p", 0.45), verdict("t", 1.0, is_text=True)], "t", 1.2),
        ([verdict("p", 0.25), verdict("t", 1.0, is_text=True)], "p", 0.5),
        # What a verifier judged has its own cut: its word, whatever the plain distance says.
        ([verdict("far", 0.9, 0.25), verdict("near", 0.1, 0.4)], "far", 0.3),
        ([verdict("near", 0.1, 0.4)], None, None),
        # Where it could not judge, the plain distance has its cut, and both are compared by the excess.
        ([verdict("judged", 0.3, 0.29), verdict("plain", 0.4)], "plain", 0.5),
        # In any order.
        ([verdict("b", 0.4), verdict("a", 0.2)], "a", 0.5),
    ],
)
def test_the_least_excess_decides(verdicts: list[Verdict], found: str | None, cut: float | None) -> None:
    accepted = accept(verdicts, CUTS, margin=0.0, enrolled=2)
    assert (accepted and accepted.verdict.candidate.identity_id) == found
    assert (accepted and accepted.max_distance) == cut


def test_the_margin_is_a_lead_in_excess() -> None:
    close = [verdict("p", 0.25), verdict("t", 0.99, is_text=True)]
    assert accept(close, CUTS, margin=0.05, enrolled=2) is None
    accepted = accept(close, CUTS, margin=0.03, enrolled=2)
    assert accepted is not None
    assert accepted.lead == pytest.approx(0.04)
