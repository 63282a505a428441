"""Batches: every pair is a mined one, half of them turned, each picture once, and all of it from seed and number."""

import numpy as np
import pytest

from pipeline.errors import InputError
from trainers.verification.mining import NOBODY, HardPairs
from trainers.verification.pair_batches import BatchSettings, PairBatches

PAIRS = HardPairs(
    np.array([[1, 2], [0, NOBODY], [0, 1], [NOBODY, NOBODY]]),
    np.array([[3, 4], [3, 5], [5, NOBODY], [NOBODY, NOBODY]]),
)
WHO = np.array([0, 0, 0, 1, 2, 3])
SETTINGS = BatchSettings(anchors=3, positives=2, negatives=2)


def test_all_pairs_are_mined_ones_and_half_of_them_are_turned() -> None:
    batches, turned = PairBatches(PAIRS, WHO, SETTINGS, seed=3), 0
    for number in range(50):
        batch = batches.batch(number)
        assert len(set(batch.rows.tolist())) == len(batch.rows)
        first, second = batch.rows[batch.first], batch.rows[batch.second]
        assert len(first) == len(second) == 12
        for one, other, same in zip(first, second, batch.same, strict=True):
            lists = (PAIRS.positives if same else PAIRS.negatives).tolist()
            mined = {(i, j) for i, row in enumerate(lists) for j in row}
            straight, back = (one, other) in mined, (other, one) in mined
            assert straight or back
            turned += not same and not straight
    assert 0.4 * 300 < turned < 0.6 * 300  # of the pairs of two people, mined from one side each


def test_in_a_group_everybody_meets_everybody_once_and_labels_are_those_of_the_people() -> None:
    full = HardPairs(np.array([[1, 2], [0, 2], [0, 1]]), np.array([[3, 4], [3, 5], [5, 4]]))
    batches = PairBatches(full, WHO, BatchSettings(negatives=2, meet="group"), seed=3)
    for number in range(20):
        batch = batches.batch(number)
        assert len(batch.rows) == 4
        pairs = {frozenset(pair) for pair in zip(batch.first, batch.second, strict=True)}
        assert len(pairs) == len(batch.first) == 6
        assert (batch.same == (WHO[batch.rows[batch.first]] == WHO[batch.rows[batch.second]])).all()
        assert batch.same.any()


def test_a_picture_that_stands_in_a_group_twice_is_not_paired_with_itself() -> None:
    batches = PairBatches(PAIRS, WHO, BatchSettings(anchors=3, positives=3, meet="group"), seed=3)
    for number in range(20):
        batch = batches.batch(number)
        assert (batch.first != batch.second).all()


@pytest.mark.parametrize("swap", [0.0, 1.0])
def test_the_anchor_is_first_or_second_as_the_share_says(swap: float) -> None:
    batch = PairBatches(PAIRS, WHO, BatchSettings(anchors=2, swap=swap), seed=0).batch(0)
    shown = batch.rows[batch.second if swap else batch.first]
    assert (shown[::2] == shown[1::2]).all()
    assert batch.same.tolist() == [True, False] * 2


def test_a_batch_follows_from_seed_and_number() -> None:
    one, again, other = (PairBatches(PAIRS, WHO, SETTINGS, seed) for seed in (1, 1, 2))
    assert (one.batch(7).first == again.batch(7).first).all()
    drawn = [
        [batches.batch(n).rows[batches.batch(n).first].tolist() for n in range(4)] for batches in (one, other)
    ]
    assert drawn[0] != drawn[1]
    assert drawn[0][0] != drawn[0][1]


def test_more_anchors_than_there_are_is_one_error() -> None:
    with pytest.raises(InputError, match="wants 4 anchors, and 3 images"):
        PairBatches(PAIRS, WHO, BatchSettings(anchors=4), seed=0)
