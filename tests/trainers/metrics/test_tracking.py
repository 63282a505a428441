"""HOTA and IDF1 against their definitions."""

from dataclasses import astuple

import numpy as np
import pytest
from trackers.eval import compute_clear_metrics, compute_hota_metrics, compute_identity_metrics

from pipeline.errors import InputError
from tests.oracles import measures as oracle
from trainers.metrics.tracking import pooled, tracking_counts, tracking_scores, without_ignored


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


def to_the_right(boxes, px):
    return boxes + np.array([px, 0, px, 0], np.float32)


@pytest.mark.parametrize("seed", range(4))
def test_against_the_definitions(seed):
    truth, found = walk(seed)
    scores = tracking_scores(sights(truth), sights(found))
    np.testing.assert_allclose(
        [scores.hota, scores.det_a, scores.ass_a], oracle.hota(truth, found), atol=1e-5
    )
    assert scores.idf1 == pytest.approx(oracle.idf1(truth, found))
    assert scores.idf1 < 0.9


@pytest.mark.parametrize("seed", range(4))
def test_against_another_implementation(seed):
    """The library counts a frame without tracks as TrackEval does."""
    truth, found = walk(seed)
    found[3] = {}
    scores = tracking_scores(sights(truth), sights(found))
    people, tracks = ([np.array(sorted(frame), np.int64) for frame in frames] for frames in (truth, found))
    numbers = np.unique(np.concatenate(tracks))
    tracks = [np.searchsorted(numbers, here) for here in tracks]
    overlaps = [
        np.array([[oracle.box_iou(p[i], t[j]) for j in sorted(t)] for i in sorted(p)]).reshape(len(p), len(t))
        for p, t in zip(truth, found, strict=True)
    ]
    hota = compute_hota_metrics(people, tracks, overlaps)
    clear = compute_clear_metrics(people, tracks, overlaps)
    identity = compute_identity_metrics(people, tracks, overlaps)
    expected = [hota["HOTA"], hota["DetA"], hota["AssA"], identity["IDF1"], clear["MOTA"], clear["IDSW"]]
    mine = [scores.hota, scores.det_a, scores.ass_a, scores.idf1, scores.mota, scores.switches]
    assert mine == pytest.approx(expected, abs=1e-9)


def test_clips_together_count_as_one():
    pairs = [walk(seed) for seed in (0, 1)]
    counts = [tracking_counts(sights(truth), sights(found)) for truth, found in pairs]
    together = pooled(counts).scores()
    truth = [*pairs[0][0], *({i + 50: box for i, box in frame.items()} for frame in pairs[1][0])]
    found = [*pairs[0][1], *({i + 5000: box for i, box in frame.items()} for frame in pairs[1][1])]
    assert astuple(together) == pytest.approx(astuple(tracking_scores(sights(truth), sights(found))))


def test_boxes_on_somebody_to_be_ignored_are_taken_away():
    """Two boxes near a labelled and an ignored person go to one each; a third is nobody's, and stays."""
    box = np.array([[0, 0, 10, 20]], np.float32)
    truth, ignored = (
        {0: (np.array([1]), box)},
        {0: (np.array([2]), to_the_right(box, 4)), 1: (np.array([2]), box)},
    )
    boxes = np.concatenate([to_the_right(box, 1), to_the_right(box, 3), box + 50])
    found = {0: (np.array([7, 8, 9]), boxes), 1: (np.array([7]), to_the_right(box, 6))}
    left = without_ignored(truth, ignored, found)
    assert left[0][0].tolist() == [7, 9]
    assert left[1][0].tolist() == [7]  # overlaps by less than a half
    assert found[0][0].tolist() == [7, 8, 9]


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
