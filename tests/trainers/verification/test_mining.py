"""Mined pairs against all distances at once, and what each way of choosing promises."""

import numpy as np
import pytest
from numpy.typing import NDArray

from pipeline.errors import InputError
from trainers.verification import mining
from trainers.verification.mining import NOBODY, Labels, MiningSettings, mine

N = 60


@pytest.fixture
def labels() -> Labels:
    rng = np.random.default_rng(4)
    domains = np.repeat([0, 1], N // 2)
    return Labels(rng.integers(0, 6, N) + 6 * domains, rng.integers(0, 3, N), domains)


@pytest.fixture
def features() -> NDArray[np.float32]:
    return np.random.default_rng(5).normal(size=(N, 4)).astype(np.float32)


@pytest.mark.parametrize("cross_camera", [False, True])
@pytest.mark.parametrize("block_mb", [64, 1e-4])
def test_the_nearest_choice_is_that_of_the_whole_table(
    features: NDArray[np.float32],
    labels: Labels,
    cross_camera: bool,
    block_mb: float,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(mining, "_BLOCK_MB", block_mb)  # the smaller one is less than a row
    settings = MiningSettings(positives=3, negatives=4, cross_camera=cross_camera)
    pairs = mine(features, labels, settings)
    distances = np.linalg.norm(features[:, None].astype(np.float64) - features, axis=2)
    for i in range(N):
        same = labels.identities == labels.identities[i]
        own = np.flatnonzero(same & (np.arange(N) != i))
        if cross_camera:
            own = own[labels.cameras[own] != labels.cameras[i]]
        others = np.flatnonzero(~same & (labels.domains == labels.domains[i]))
        far = sorted(own, key=lambda j: -distances[i, j])[:3]
        near = sorted(others, key=lambda j: distances[i, j])[:4]
        assert pairs.positives[i].tolist() == far + [NOBODY] * (3 - len(far))
        assert pairs.negatives[i].tolist() == near


def test_equal_distances_go_by_row(labels: Labels) -> None:
    pairs = mine(np.ones((N, 2), np.float32), labels, MiningSettings(negatives=2))
    first = np.flatnonzero(labels.identities != labels.identities[0])[:2]
    assert pairs.negatives[0].tolist() == first.tolist()


def test_shortlisted_negatives_come_as_often_as_they_stand_on_the_lists() -> None:
    # image 3 of somebody else is next to every image of the person, image 4 to one of them only, 5 to none
    features = np.float32([[0, 0], [10, 0], [20, 0], [10, 1], [0, 2], [90, 90]])
    labels = Labels(np.array([0, 0, 0, 1, 2, 3]), np.zeros(6, np.int64), np.zeros(6, np.int64))
    settings = MiningSettings(choice="shortlisted", negatives=1, top_c=2)
    drawn = [mine(features, labels, settings, seed).negatives[:3].ravel() for seed in range(200)]
    shares = np.bincount(np.concatenate(drawn), minlength=6) / 600
    distances = np.linalg.norm(features[:, None] - features, axis=2) + np.diag([np.inf] * 6)
    lists = np.argsort(distances[:3], axis=1)[:, :2]
    often = np.bincount(lists[lists >= 3], minlength=6)
    assert often[5] == shares[5] == 0
    np.testing.assert_allclose(shares, often / often.sum(), atol=0.06)


def test_random_pairs_are_of_the_right_people_and_follow_from_the_seed(
    features: NDArray[np.float32], labels: Labels
) -> None:
    settings = MiningSettings(choice="random", positives=2, negatives=50)
    pairs, again, other = (mine(features, labels, settings, seed) for seed in (1, 1, 2))
    assert (pairs.negatives == again.negatives).all()
    assert (pairs.positives != other.positives).any()
    for i in range(N):
        own, others = (lists[i][lists[i] != NOBODY] for lists in (pairs.positives, pairs.negatives))
        assert (labels.identities[own] == labels.identities[i]).all()
        assert i not in own
        expected = (labels.identities != labels.identities[i]) & (labels.domains == labels.domains[i])
        assert sorted(others) == np.flatnonzero(expected).tolist()  # fewer than 50: all of them


def test_images_without_a_partner_are_no_anchors() -> None:
    labels = Labels(np.array([0, 0, 1, 2]), np.array([0, 1, 0, 0]), np.array([0, 0, 0, 1]))
    features = np.random.default_rng(0).normal(size=(4, 3)).astype(np.float32)
    assert mine(features, labels, MiningSettings()).anchors.tolist() == [0, 1]
    alone = Labels(np.array([0, 0, 1, 2]), np.zeros(4, np.int64), np.zeros(4, np.int64))
    with pytest.raises(InputError, match="no image has another one of its person by another camera"):
        mine(features, alone, MiningSettings(cross_camera=True))
