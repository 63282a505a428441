from dataclasses import replace

import cv2
import numpy as np
import pytest

from pipeline.follow.geometry import iou
from plugins.detector_hog import HogDetector, one_box_a_person, score_of_margin
from tests.servers import hall

FRAMES = {"hall-1": [160, 200, 240, 300, 340], "hall-2": [150, 220, 300]}


@pytest.fixture(scope="module")
def labelled():
    """Frames, and the unhidden people above 100 px in them."""
    pairs = []
    for clip, indices in FRAMES.items():
        for frame in hall.frames(clip, indices):
            seen = [
                who.box
                for who in hall.people(clip, frame.index)
                if who.visibility > 0.9 and who.height_px > 100
            ]
            pairs.append((frame, np.array(seen, np.float32).reshape(-1, 4)))
    return pairs


def test_most_unhidden_people_are_found_where_they_are(labelled) -> None:
    """Half of the box in common: the window's border is taken off."""
    results = HogDetector(HogDetector.Config(min_score=0.5)).detect([frame for frame, _ in labelled])
    overlaps = [
        iou(people, found.xyxy).max(axis=1, initial=0)
        for (_, people), found in zip(labelled, results, strict=True)
    ]
    best = np.concatenate(overlaps)
    assert len(best) >= 10
    assert (best > 0.5).mean() >= 0.7
    assert np.median(best[best > 0.5]) > 0.65


def test_scores_sort_people_from_the_rest(labelled) -> None:
    right, wrong = [], []
    for frame, people in labelled:
        (found,) = HogDetector(HogDetector.Config(min_score=0.0)).detect([frame])
        overlap = iou(found.xyxy, people).max(axis=1, initial=0)
        right.extend(found.score[overlap > 0.5])
        wrong.extend(found.score[overlap < 0.1])
    assert np.median(right) > 0.6 > np.median(wrong)


def test_min_score_only_leaves_out(labelled) -> None:
    frame = labelled[0][0]
    (many,) = HogDetector(HogDetector.Config(min_score=0.0)).detect([frame])
    (few,) = HogDetector(HogDetector.Config(min_score=0.6)).detect([frame])
    assert 0 < len(few) < len(many)
    assert few.score.min() >= 0.6
    assert (np.diff(few.score) <= 0).all()


def test_smaller_people_are_found_when_asked_for(labelled) -> None:
    frame, people = max(labelled, key=lambda pair: len(pair[1]))
    half = replace(frame, image=cv2.resize(frame.image, None, fx=0.5, fy=0.5, interpolation=cv2.INTER_AREA))
    (found,) = HogDetector(HogDetector.Config(min_height_px=40)).detect([half])
    (missed,) = HogDetector(HogDetector.Config(min_height_px=200)).detect([half])
    assert iou(people / 2, found.xyxy).max() > 0.5
    assert len(missed) == 0


def test_threads_change_nothing(labelled) -> None:
    frame = labelled[1][0]
    (one,) = HogDetector(HogDetector.Config(threads=1)).detect([frame])
    (two,) = HogDetector(HogDetector.Config(threads=2)).detect([frame])
    cv2.setNumThreads(1)
    np.testing.assert_allclose(one.xyxy, two.xyxy, atol=0.01)
    np.testing.assert_allclose(one.score, two.score, atol=1e-5)


def test_the_digest_depends_on_what_changes_the_boxes() -> None:
    digest = HogDetector(HogDetector.Config()).engine_digest
    assert HogDetector(HogDetector.Config(min_score=0.7)).engine_digest == digest
    assert HogDetector(HogDetector.Config(min_height_px=96)).engine_digest != digest


def test_boxes_of_one_person_become_one_at_their_weighted_mean() -> None:
    boxes = np.array([[0, 0, 10, 20], [2, 0, 12, 20], [2, 5, 6, 12], [40, 0, 50, 20]], np.float32)
    score = np.array([0.6, 0.2, 0.5, 0.9], np.float32)
    merged, kept = one_box_a_person(boxes, score)
    assert kept.tolist() == pytest.approx([0.9, 0.6])
    np.testing.assert_allclose(merged, [[40, 0, 50, 20], [0.5, 0, 10.5, 20]], atol=1e-5)


def test_nothing_merges_into_nothing() -> None:
    boxes, score = one_box_a_person(np.zeros((0, 4), np.float32), np.zeros(0, np.float32))
    assert (boxes.shape, score.shape) == ((0, 4), (0,))


def test_the_score_is_half_at_the_centre_and_grows() -> None:
    scores = score_of_margin(np.array([-5, 0, 0.3, 1, 5], np.float32))
    assert scores[2] == pytest.approx(0.5)
    assert (np.diff(scores) > 0).all()
    assert scores[0] < 0.01
    assert scores[-1] > 0.99
