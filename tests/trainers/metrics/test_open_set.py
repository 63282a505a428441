"""Open-set rates against counting at every threshold; the band against the binomial law itself."""

import numpy as np
import pytest
from scipy import stats

from pipeline.errors import InputError
from tests.oracles import measures as oracle
from trainers.metrics.open_set import Nearest, binomial_band, open_set_curve


@pytest.mark.parametrize("seed", range(8))
def test_rates_at_every_threshold(seed):
    rng = np.random.default_rng(seed)
    distances = np.round(rng.random((25, 12)) * (5 if seed % 2 else 1000)).astype(np.float32)
    q_ids, g_ids = rng.integers(-1, 8, 25), rng.integers(-1, 5, 12)
    q_ids[0] = g_ids[0] = 1
    q_ids[1] = 7
    curve = open_set_curve(distances, q_ids, g_ids)
    assert curve.fpir[0] == curve.tpir[0] == 0
    for threshold, fpir, tpir in zip(curve.threshold, curve.fpir, curve.tpir, strict=True):
        assert (tpir, fpir) == pytest.approx(oracle.open_set(distances, q_ids, g_ids, threshold))
    np.testing.assert_allclose(curve.fnir, 1 - curve.tpir)


def test_operating_point_keeps_the_stated_rate():
    distances = np.array([[0.1, 0.9], [0.8, 0.3], [0.2, 0.9], [0.5, 0.6]], np.float32)
    curve = open_set_curve(distances, [0, 1, 7, 8], [0, 1])
    assert (curve.mated, curve.strangers) == (2, 2)
    none, half = curve.at(0.0), curve.at(0.5)
    assert (none.fpir, none.tpir) == (0.0, 0.5)
    assert (half.fpir, half.tpir) == (0.5, 1.0)
    assert half.band[0] < half.tpir <= half.band[1] == 1.0


@pytest.mark.parametrize(("x", "n"), [(0, 10), (3, 10), (10, 10), (97, 100)])
def test_band_ends_where_the_count_becomes_unlikely(x, n):
    low, high = binomial_band(np.array([x / n]), n)[0]
    if x:
        assert stats.binom.sf(x - 1, n, low) == pytest.approx(0.025)
    if x < n:
        assert stats.binom.cdf(x, n, high) == pytest.approx(0.025)
    assert 0 <= low <= x / n <= high <= 1


def test_both_kinds_of_queries_are_needed():
    with pytest.raises(InputError, match="1 queries are enrolled and 0 are not"):
        open_set_curve([[0.1]], [3], [3])
    with pytest.raises(InputError, match="0 queries are enrolled and 1 are not"):
        open_set_curve([[0.1]], [4], [3])


def test_with_cameras_only_other_cameras_count_and_who_has_none_is_left_out():
    distances = np.array([[0.1, 0.5, 0.9], [0.2, 0.8, 0.3], [0.4, 0.6, 0.7]], np.float32)
    # the first is enrolled in another camera too, the second only in their own, the third not at all
    nearest = Nearest.of(distances, [0, 2, 9], [0, 0, 2], [1, 1, 1], [1, 2, 1])
    assert nearest.distance.tolist() == pytest.approx([0.5, 0.2, 0.4])
    assert nearest.right.tolist() == [True, False, False]
    assert nearest.mated.tolist() == [True, False, False]
    assert nearest.stranger.tolist() == [False, False, True]


def test_blocks_of_queries_are_as_good_as_all_at_once():
    rng = np.random.default_rng(3)
    distances, q_ids, g_ids = rng.random((20, 9)), rng.integers(0, 8, 20), rng.integers(0, 5, 9)
    parts = [Nearest.of(distances[rows], q_ids[rows], g_ids) for rows in (slice(0, 7), slice(7, 20))]
    whole, joined = open_set_curve(distances, q_ids, g_ids), Nearest.joined(parts).curve()
    np.testing.assert_array_equal(joined.tpir, whole.tpir)
    np.testing.assert_array_equal(joined.threshold, whole.threshold)
