"""The cut, the margin and the cool-down."""

from datetime import UTC, datetime, timedelta

import pytest

from pipeline.identify.calibration import Cuts
from pipeline.identify.decide import Accepted, CoolDown, accept
from pipeline.messages import Candidate, Verdict

NOON = datetime(2026, 11, 21, 12, tzinfo=UTC)


def verdicts(*fused: float) -> list[Verdict]:
    return [
        Verdict(Candidate(f"p{i}", i, distance, i + 1), fused=distance, rank=i + 1)
        for i, distance in enumerate(fused)
    ]


@pytest.mark.parametrize(
    ("fused", "enrolled", "expected"),
    [
        # Nobody on the shortlist.
        ((), 3, None),
        # Exactly at the cut is a hit.
        ((0.8,), 1, "p0"),
        ((0.8000001,), 1, None),
        # One identity enrolled: the margin has nothing to compare with.
        ((0.5,), 1, "p0"),
        # Two identities: a lead of exactly the margin passes, less does not.
        ((0.5, 0.75), 2, "p0"),
        ((0.5, 0.74), 2, None),
        # Two enrolled, but only one came back from the verifier.
        ((0.5,), 2, "p0"),
    ],
)
def test_accept(fused: tuple[float, ...], enrolled: int, expected: str | None) -> None:
    accepted = accept(verdicts(*fused), Cuts(0.8), margin=0.25, enrolled=enrolled)
    assert (accepted and accepted.verdict.candidate.identity_id) == expected


def test_first_sights_must_be_nearer_than_the_cut_by_a_share() -> None:
    cuts = Cuts(1.0)
    assert accept(verdicts(0.75), cuts, 0.0, enrolled=1, share=0.75) is not None
    assert accept(verdicts(0.8), cuts, 0.0, enrolled=1, share=0.75) is None
    sure = accept(verdicts(0.5), cuts, 0.0, enrolled=1, share=0.75)
    assert sure is not None
    assert sure.max_distance == 1.0, "what is told is the cut itself"


def test_the_lead_is_told_and_is_none_for_a_lone_identity() -> None:
    pair = accept(verdicts(0.25, 0.75), Cuts(1.0), 0.0, enrolled=2)
    lone = accept(verdicts(0.25), Cuts(1.0), 0.0, enrolled=1)
    assert isinstance(pair, Accepted)
    assert pair.lead == 0.5
    assert lone is not None
    assert lone.lead is None


def test_a_cool_down_holds_for_one_identity_on_one_stream() -> None:
    cool = CoolDown(30.0)
    cool.start("anna", "door", NOON)
    assert not cool.allows("anna", "door", NOON), "a clock that stands still"
    assert not cool.allows("anna", "door", NOON + timedelta(seconds=29.9))
    assert cool.allows("anna", "door", NOON + timedelta(seconds=30))
    assert cool.allows("luca", "door", NOON)
    assert cool.allows("anna", "yard", NOON)


def test_a_hit_leaves_the_cool_downs_of_others_and_of_other_streams_alone() -> None:
    cool = CoolDown(30.0)
    cool.start("anna", "door", NOON)
    cool.start("luca", "door", NOON + timedelta(seconds=1))
    cool.start("luca", "yard", NOON + timedelta(hours=1))  # a stream with a clock of its own
    assert not cool.allows("anna", "door", NOON + timedelta(seconds=2))


def test_a_clock_set_back_does_not_silence_a_stream() -> None:
    cool = CoolDown(30.0)
    cool.start("anna", "door", NOON)
    assert cool.allows("anna", "door", NOON - timedelta(hours=1))


def test_what_has_run_out_is_forgotten() -> None:
    cool = CoolDown(30.0)
    for minute in range(100):
        cool.start(f"p{minute}", "door", NOON + timedelta(minutes=minute))
    assert len(cool._since) == 1
