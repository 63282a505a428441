"""HOTA and IDF1 against their definitions."""

import numpy as np
import pytest

from pipeline.errors import InputError
from tests.oracles import measures as oracle
from trainers.metrics.tracking import tracking_scores


def walk(seed, frames=25, people=4):
    """People and tracks that lose them, swap names and see ghosts, as {id: box} for each frame."""
    rng = np.random.default_rng(seed)
    truth, found = [], []
    for frame in range(frames):
        here = {
            i: (60 * i + frame, 10.0, 60 * i + frame + 30, 90.0) for i in range(people) if rng.random() < 0.9
        }
        shift = {i: rng.normal(0, 4, 4) for i in here}
        name = {i: 100 + (i if frame < 12 or i > 1 else 1 - i) for i in here}
        seen = {name[i]: tuple(np.add(box, shift[i])) for i, box in here.items() if rng.random() < 0.85}
        if rng.random() < 0.2:
            seen[900 + frame] = (500.0, 10.0, 530.0, 90.0)
        truth.append(here)
        found.append(seen)
    return truth, found


def sights(frames):
    return {
        number: (np.array(list(frame), np.int64), np.array(list(frame.values()), np.float32).reshape(-1, 4))
        for number, frame in enumerate(frames)
    }


@pytest.mark.parametrize("seed", range(4))
def test_against_the_definitions(seed):
    truth, found = walk(seed)
    scores = tracking_scores(sights(truth), sights(found))
    np.testing.assert_allclose(
        [scores.hota, scores.det_a, scores.ass_a], oracle.hota(truth, found), atol=1e-5
    )
    assert scores.idf1 == pytest.approx(oracle.idf1(truth, found))
    assert scores.idf1 < 0.9


def test_perfect_tracks_and_frames_without_labels():
    truth, _ = walk(0)
    renamed = [{i + 50: box for i, box in frame.items()} for frame in truth]
    extra = {1000: (np.array([9]), np.zeros((1, 4), np.float32))}
    scores = tracking_scores(sights(truth), sights(renamed) | extra)
    assert (scores.hota, scores.det_a, scores.ass_a, scores.idf1) == pytest.approx((1.0, 1.0, 1.0, 1.0))


def test_refusals():
    with pytest.raises(InputError, match="no labelled person"):
        tracking_scores({}, {})
    twice = {0: (np.array([1, 1]), np.zeros((2, 4), np.float32))}
    with pytest.raises(InputError, match="twice in one frame"):
        tracking_scores(twice, twice)
