"""Masks and scene galleries against counting pixels and sorting."""

import numpy as np
import pytest

from pipeline.errors import InputError
from tests.oracles import measures as oracle
from trainers.metrics.scenes import mask_scores, scene_galleries, scene_scores


def test_masks_by_hand():
    def mask(*cells):
        m = np.zeros((3, 4), bool)
        for cell in cells:
            m[cell] = True
        return m

    pairs = [
        (mask((0, 0), (0, 1)), mask((0, 1), (0, 2))),  # 1 / 3
        (mask((1, 1)), mask((1, 1))),  # 1
        (mask(), mask((2, 2))),  # 0
        (mask(), mask()),  # rightly empty: 1
    ]
    scores = mask_scores(pairs)
    np.testing.assert_allclose(scores.iou, [1 / 3, 1, 0, 1])
    assert scores.giou == pytest.approx(7 / 12)
    assert scores.ciou == pytest.approx((1 + 1) / (3 + 1 + 1))


@pytest.mark.parametrize("seed", range(5))
def test_masks_at_random(seed):
    rng = np.random.default_rng(seed)
    pairs = [(rng.random((5, 7)) < 0.4, rng.random((5, 7)) < 0.4) for _ in range(6)]
    cells = [({*zip(*np.nonzero(a), strict=True)}, {*zip(*np.nonzero(b), strict=True)}) for a, b in pairs]
    scores = mask_scores(pairs)
    assert scores.giou == pytest.approx(np.mean([len(a & b) / len(a | b) for a, b in cells]))
    assert scores.ciou == pytest.approx(sum(len(a & b) for a, b in cells) / sum(len(a | b) for a, b in cells))


@pytest.mark.parametrize("seed", range(6))
def test_scenes(seed):
    rng = np.random.default_rng(seed)
    distances = np.round(rng.random((7, 30)) * 8).astype(np.float32)
    present = rng.random((7, 30)) < 0.1
    present[0] = False
    present[1, 3] = True
    galleries = scene_galleries(present, 12, seed)
    for chosen in (None, galleries):
        rankings = [
            oracle.ranked_matches(
                row, range(30) if chosen is None else chosen[i], lambda j, i=i: present[i, j]
            )
            for i, row in enumerate(distances)
        ]
        want = oracle.averages(rankings, 1)
        got = scene_scores(distances, present, chosen)
        assert (got.top1, got.mAP) == pytest.approx((want[2][0], want[0]))


def test_galleries_hold_the_person_and_are_drawn_alike_each_time():
    present = np.zeros((3, 600), bool)
    present[0, 5] = present[1, [7, 9]] = True
    present[2, :80] = True
    for size in (50, 100, 500):
        galleries = scene_galleries(present, size, seed=4)
        assert galleries.shape == (3, size)
        assert all(len(set(row)) == size for row in galleries.tolist())
        assert 5 in galleries[0]
        assert {7, 9} <= set(galleries[1].tolist())
        np.testing.assert_array_equal(galleries, scene_galleries(present, size, seed=4))
    assert present[2, scene_galleries(present, 50, 4)[2]].all()


def test_refusals():
    with pytest.raises(InputError, match="image 0: mask"):
        mask_scores([(np.zeros((2, 2)), np.zeros((3, 2)))])
    with pytest.raises(InputError, match="no mask"):
        mask_scores([])
    with pytest.raises(InputError, match="galleries of 50 scenes"):
        scene_galleries(np.zeros((2, 10)), 50)
