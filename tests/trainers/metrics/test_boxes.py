"""Average precision and recall at a precision, on cases whose answer is counted by hand."""

import numpy as np
import pytest

from trainers.metrics.boxes import BoxScores, Found, Truth, box_scores

A, B, C = [0, 0, 10, 20], [30, 0, 40, 20], [60, 0, 70, 20]
NOWHERE = [200, 200, 210, 220]


def _truth(boxes: list[list[float]], counts: list[bool] | None = None) -> Truth:
    return Truth(
        np.array(boxes, np.float32).reshape(-1, 4),
        np.array([True] * len(boxes) if counts is None else counts, bool),
    )


def _found(*boxes: tuple[list[float], float]) -> Found:
    return Found(
        np.array([box for box, _ in boxes], np.float32).reshape(-1, 4),
        np.array([score for _, score in boxes], np.float32),
    )


def _scores(truth: Truth, found: Found, min_precision: float = 0.9) -> BoxScores:
    return box_scores([truth], [found], min_precision=min_precision)


def test_all_found_and_nothing_else_is_perfect() -> None:
    scores = _scores(_truth([A, B]), _found((A, 0.9), (B, 0.4)))
    assert (scores.people, scores.ap, scores.recall, scores.false_alarms) == (2, 1.0, 1.0, 0.0)
    assert scores.cut == pytest.approx(0.4)


def test_a_false_alarm_ends_the_recall_at_a_precision() -> None:
    scores = _scores(_truth([A, B, C]), _found((A, 0.9), (NOWHERE, 0.8), (B, 0.7), (C, 0.6)))
    assert (scores.recall, scores.cut) == (pytest.approx(1 / 3), pytest.approx(0.9))
    assert scores.ap == pytest.approx(1 / 3 + 2 / 3 * 3 / 4)
    looser = _scores(_truth([A, B, C]), _found((A, 0.9), (NOWHERE, 0.8), (B, 0.7), (C, 0.6)), 0.75)
    assert (looser.recall, looser.false_alarms) == (1.0, 1.0)


def test_one_person_is_found_once() -> None:
    assert _scores(_truth([A]), _found((A, 0.9), (A, 0.8)), 0.5).recall == 1.0
    assert _scores(_truth([A, B]), _found((A, 0.9), (A, 0.8), (B, 0.7))).recall == 0.5


def test_a_box_that_is_off_finds_nobody() -> None:
    half = [0, 0, 10, 9]  # IoU 0.45
    assert _scores(_truth([A]), _found((half, 0.9))).recall == 0.0
    assert _scores(_truth([A]), _found((half, 0.9))).cut == float("inf")


def test_people_who_do_not_count_may_be_found_or_not() -> None:
    truth = _truth([A, B], [True, False])
    assert _scores(truth, _found((A, 0.5))).ap == 1.0
    assert _scores(truth, _found((B, 0.9), ([31, 2, 34, 8], 0.8), (A, 0.5))).ap == 1.0
    assert _scores(truth, _found((NOWHERE, 0.9), (A, 0.5))).ap == pytest.approx(0.5)


def test_somebody_who_counts_comes_before_somebody_who_does_not() -> None:
    truth = _truth([A, [1, 0, 11, 20]], [True, False])
    assert _scores(truth, _found(([1, 0, 11, 20], 0.9))).recall == 1.0


def test_equal_scores_stand_or_fall_together() -> None:
    one_way = _scores(_truth([A]), _found((A, 0.5), (NOWHERE, 0.5)))
    other_way = _scores(_truth([A]), _found((NOWHERE, 0.5), (A, 0.5)))
    assert one_way == other_way
    assert one_way.recall == 0.0


def test_pictures_without_people_and_without_boxes_are_fine() -> None:
    scores = box_scores([_truth([A]), _truth([])], [_found((A, 0.9)), _found()])
    assert (scores.recall, scores.false_alarms) == (1.0, 0.0)
    with pytest.raises(ValueError, match="nobody"):
        box_scores([_truth([])], [_found()])
