"""Which pairs are asked about, in what order, and what is left out when time runs short."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest

from pipeline.identify.calibration import Cuts
from pipeline.identify.decide import accept
from pipeline.messages import Candidate, Tracklet, Verdict
from pipeline.protocols import Enrolled
from plugins.pairwise import LEAD, Pair, PairJudge, PairwiseSettings, Question
from tests.support.pictures import person
from tests.support.tracklets import tracklet

VECTOR = np.array([1, 0], np.float32)
ALPHA = 0.2


class Asked:
    """Answers pairs by the blue of the enrolled picture, and counts them; each call takes a second."""

    def __init__(self, broken: bool = False) -> None:
        self.calls: list[int] = []
        self.now_s = 0.0
        self._broken = broken

    def __call__(self, pairs: Sequence[Pair]) -> list[float | None]:
        self.calls.append(len(pairs))
        self.now_s += 1.0
        return [None if self._broken else self.p(first.image, second.image) for first, second in pairs]

    @staticmethod
    def p(first: Any, second: Any) -> float:
        return float(first[..., 0].mean()) / 300 + float(second[..., 0].mean()) / 3000

    def judge(self, at_once: int = 8, **keys: Any) -> PairJudge:
        settings = PairwiseSettings(engine=Path("/verifier.yaml"), **keys)
        return PairJudge(settings, keys.get("alpha", ALPHA), self, at_once, lambda: self.now_s)


def shown(name: int, distance: float, rank: int) -> tuple[Candidate, Enrolled]:
    _, png = cv2.imencode(".png", np.full((20, 10, 3), name, np.uint8))
    return Candidate(f"p{name}", name, distance, rank), Enrolled(f"p{name}", name, png.tobytes(), VECTOR)


def question(*pairs: tuple[Candidate, Enrolled], who: Tracklet | None = None) -> Question:
    return who or tracklet(), pairs


def by_name(verdicts: Sequence[Verdict]) -> dict[str, Verdict]:
    return {verdict.candidate.identity_id: verdict for verdict in verdicts}


def test_fused_is_the_published_mixture_at_the_distances_scale() -> None:
    asked = Asked()
    (verdicts,) = asked.judge()([question(shown(200, 0.4, 1), shown(10, 0.5, 2))])
    for name, distance in ((200, 0.4), (10, 0.5)):
        verdict = by_name(verdicts)[f"p{name}"]
        p = asked.p(np.full((1, 1, 3), name), person())
        assert verdict.p_no == pytest.approx(p)
        assert verdict.fused == pytest.approx((1 - ALPHA) * distance + ALPHA * 2 * p)
    assert [verdict.candidate.identity_id for verdict in verdicts] == ["p10", "p200"]
    assert [verdict.rank for verdict in verdicts] == [1, 2]


def test_who_can_never_come_first_is_not_asked_about() -> None:
    asked = Asked()
    reach = 0.3 + (2 * ALPHA + LEAD) / (1 - ALPHA)
    (verdicts,) = asked.judge()(
        [question(shown(250, 0.3, 1), shown(0, reach - 1e-6, 2), shown(1, reach + 1e-6, 3))]
    )
    far = by_name(verdicts)["p1"]
    assert (far.p_no, far.degraded) == (None, ())
    assert far.fused == pytest.approx((1 - ALPHA) * far.candidate.distance), "the least that it could be"
    assert asked.calls == [2]
    assert far.fused - by_name(verdicts)["p250"].fused >= LEAD


@pytest.mark.parametrize("margin", [0.0, LEAD])
def test_no_to_the_nearest_lets_nobody_in_who_was_too_far_to_ask_about(margin: float) -> None:
    cuts = Cuts(pictures=1.1, fused=0.5)
    shortlist = [shown(255, 0.3, 1), shown(254, 0.99, 2)]
    (verdicts,) = Asked().judge()([question(*shortlist)])
    assert by_name(verdicts)["p254"].p_no is None
    assert accept(verdicts, cuts, margin, 2) is None
    (failed,) = Asked(broken=True).judge()([question(*shortlist)])
    found = accept(failed, cuts, margin, 2)
    assert found is not None
    assert (found.verdict.candidate.identity_id, found.verdict.degraded) == ("p255", ("verifier",))


def test_candidates_beyond_top_c_keep_their_distance() -> None:
    (verdicts,) = Asked().judge(top_c=1)([question(shown(10, 0.3, 1), shown(20, 0.31, 2))])
    assert [by_name(verdicts)[name].p_no is None for name in ("p10", "p20")] == [False, True]


def test_a_pair_that_was_asked_about_is_not_asked_about_again() -> None:
    asked = Asked()
    judge = asked.judge()
    first = judge([question(shown(10, 0.3, 1))])
    assert judge([question(shown(10, 0.3, 1))]) == first
    assert asked.calls == [1]


def test_several_crops_are_averaged() -> None:
    asked, who = Asked(), tracklet()
    (verdicts,) = asked.judge(crops=2)([question(shown(10, 0.3, 1), who=who)])
    expected = np.mean([asked.p(np.full((1, 1, 3), 10), crop.image) for crop in who.crops])
    assert verdicts[0].p_no == pytest.approx(expected)


def test_both_orders_count_the_same() -> None:
    asked = Asked()
    (verdicts,) = asked.judge(both_orders=True)([question(shown(10, 0.3, 1))])
    picture = np.full((1, 1, 3), 10)
    there, back = asked.p(picture, person()), asked.p(person(), picture)
    assert (verdicts[0].p_no, verdicts[0].p_no_swapped) == (pytest.approx(there), pytest.approx(back))
    assert verdicts[0].fused == pytest.approx((1 - ALPHA) * 0.3 + ALPHA * (there + back))
    assert verdicts[0].degraded == ()


@pytest.mark.parametrize(
    ("budget", "degraded"),
    [
        ({"budget_ms": 4000}, [(), (), (), ()]),
        ({"budget_ms": 3000}, [(), (), ("second_order",), ("second_order",)]),
        ({"budget_ms": 2000}, [("second_order",)] * 4),
        ({"budget_ms": 1000}, [("second_order",)] * 2 + [("verifier",)] * 2),
        ({"budget_pairs": 8}, [(), (), (), ()]),
        ({"budget_pairs": 5}, [(), ("second_order",), ("second_order",), ("second_order",)]),
        ({"budget_pairs": 3}, [("second_order",)] * 3 + [("verifier",)]),
        ({"budget_pairs": 8, "budget_ms": 1000}, [("second_order",)] * 2 + [("verifier",)] * 2),
    ],
)
def test_without_budget_the_second_order_goes_first_and_the_farthest_before_the_nearest(
    budget: dict[str, float], degraded: list[tuple[str, ...]]
) -> None:
    asked = Asked()
    questions = [
        question(shown(10, 0.3, 1), shown(30, 0.5, 2)),
        question(shown(20, 0.3, 1), shown(40, 0.5, 2), who=tracklet(2)),
    ]
    judged = asked.judge(at_once=2, both_orders=True, **budget)(questions)
    verdicts = by_name([verdict for each in judged for verdict in each])
    assert [verdicts[name].degraded for name in ("p10", "p20", "p30", "p40")] == degraded
    for verdict in verdicts.values():
        assert (verdict.p_no is None) == (verdict.degraded == ("verifier",))


@pytest.mark.parametrize("picture", [b"", b"no picture"])
def test_an_enrolled_picture_that_cannot_be_opened_leaves_the_distance(picture: bytes) -> None:
    candidate = Candidate("p1", 1, 0.3, 1)
    (verdicts,) = Asked().judge()([question((candidate, Enrolled("p1", 1, picture, VECTOR)))])
    assert (verdicts[0].fused, verdicts[0].p_no, verdicts[0].degraded) == (0.3, None, ("verifier",))


def test_an_answer_that_is_none_leaves_the_distance_and_is_asked_for_again() -> None:
    broken = Asked(broken=True)
    judge = broken.judge()
    for _ in range(2):
        (verdicts,) = judge([question(shown(10, 0.3, 1))])
        assert (verdicts[0].fused, verdicts[0].degraded) == (0.3, ("verifier",))
    assert broken.calls == [1, 1]
