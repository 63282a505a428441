"""Every re-ranker against the definition written out: dense, looped, float64."""

import numpy as np
import pytest

from pipeline.rerank import Distances, camera_jaccard, ecn, k_reciprocal, mu_distance
from tests.oracles import rerank as oracle
from tests.oracles import rerank_dense as dense
from tests.pipeline.rerank.sets import made

SEEDS = range(12)
ALPHAS = (None, 0.0, 0.2, 1.0)


@pytest.mark.parametrize("seed", SEEDS)
@pytest.mark.parametrize("alpha", ALPHAS)
def test_k_reciprocal(seed, alpha):
    case, rng = made(seed), np.random.default_rng(seed)
    k1, k2, power = int(rng.integers(1, 25)), int(rng.integers(1, 8)), float(rng.choice([1.0, 2.0]))
    mu = None if alpha is None else case.mu(alpha)
    want = oracle.k_reciprocal(case.full(alpha), case.q, k1, k2, 0.3, power)
    for d in (case.d, case.matrices):
        got = k_reciprocal(d, k1, k2, 0.3, power, mu)
        assert got.dtype == np.float32
        np.testing.assert_allclose(got, want, atol=5e-7)


@pytest.mark.parametrize("seed", SEEDS)
@pytest.mark.parametrize("alpha", ALPHAS)
@pytest.mark.parametrize("method", ["rankdist", "origdist"])
def test_ecn(seed, alpha, method):
    case = made(seed)
    mu = None if alpha is None else case.mu(alpha)
    k, t, q = 3 + seed * 2, 1 + seed % 4, 1 + seed % 9
    want = oracle.ecn(case.full(alpha), case.q, k, t, q, method)
    for d in (case.d, case.matrices):
        np.testing.assert_allclose(ecn(d, k, t, q, method, mu), want, rtol=1e-6)


@pytest.mark.parametrize("seed", SEEDS)
@pytest.mark.parametrize("alpha", ALPHAS)
@pytest.mark.parametrize(("sets", "expansion"), [(True, True), (True, False), (False, True)])
def test_camera_jaccard(seed, alpha, sets, expansion):
    case = made(seed)
    cameras = np.zeros_like(case.cameras) if seed == 5 else case.cameras
    mu = None if alpha is None else case.mu(alpha)
    options = {"k1_intra": 1 + seed % 5, "k1_inter": seed, "k2_intra": 1 + seed % 3, "k2_inter": seed % 4}
    options |= {"camera_sets": sets, "camera_expansion": expansion, "k1": 4 + seed, "k2": 1 + seed % 6}
    want = oracle.camera_jaccard(case.full(alpha), case.q, cameras, **options)
    for d in (case.d, case.matrices):
        got = camera_jaccard(d, cameras[: case.q], cameras[case.q :], mu=mu, **options)
        np.testing.assert_allclose(got, want, atol=5e-7)


@pytest.mark.parametrize("seed", SEEDS)
def test_both_camera_switches_off_is_k_reciprocal(seed):
    case = made(seed)
    got = camera_jaccard(
        case.d, case.cameras[: case.q], case.cameras[case.q :], camera_sets=False, camera_expansion=False
    )
    np.testing.assert_array_equal(got, k_reciprocal(case.d))


@pytest.mark.parametrize("seed", SEEDS)
def test_mu_distance(seed):
    case = made(seed)
    want = case.full(0.2)[: case.q, case.q :]
    np.testing.assert_array_equal(mu_distance(case.d, case.mu(0.2)), want.astype(np.float32))


def test_features_and_matrices_agree():
    for seed in SEEDS:
        case = made(seed)
        np.testing.assert_allclose(k_reciprocal(case.d), k_reciprocal(case.matrices), atol=2e-7)
        np.testing.assert_allclose(ecn(case.d), ecn(case.matrices), rtol=5e-7)


def test_tiny_features_give_the_same_as_their_multiples():
    case = made(1, q=5, g=40, lattice=False)
    tiny = Distances.from_features(
        case.features[:5] * np.float32(2.0**-80), case.features[5:] * np.float32(2.0**-80)
    )
    np.testing.assert_allclose(k_reciprocal(tiny), k_reciprocal(case.d), atol=2e-7)


def test_rough_distances_are_mended_where_they_are_small():
    """Many small distances, a few, and none: far from the origin, where float32 products lose most."""
    rng = np.random.default_rng(0)
    for spread in (1e-3, 1.0):
        x = (rng.standard_normal((40, 16)) + 30).astype(np.float32)
        x[:20] = x[0] + spread * rng.standard_normal((20, 16)).astype(np.float32)
        d = Distances.from_features(x[:5], x[5:])
        for (_, rough), (_, exact) in zip(d.query_blocks(rough=True), d.query_blocks(), strict=True):
            np.testing.assert_allclose(rough, exact, rtol=2e-6)


@pytest.mark.parametrize("seed", range(3))
def test_the_dense_version_that_we_are_timed_against_is_right_too(seed):
    case = made(seed, q=8, g=60, lattice=False)
    x, q = case.features, case.q
    np.testing.assert_allclose(dense.k_reciprocal(x, q), k_reciprocal(case.d), atol=2e-5)
    np.testing.assert_allclose(dense.ecn(x, q), ecn(case.d), rtol=1e-4)
    cameras = case.cameras
    want = camera_jaccard(case.d, cameras[:q], cameras[q:])
    np.testing.assert_allclose(dense.camera_jaccard(x, q, cameras), want, atol=2e-5)
