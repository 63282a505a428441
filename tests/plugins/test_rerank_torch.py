"""The torch re-rankers, run on torch's processor device, against the definitions and against numpy's."""

import numpy as np
import pytest

torch = pytest.importorskip("torch")

from pipeline import rerank  # noqa: E402
from pipeline.errors import ConfigError, InputError  # noqa: E402
from plugins.rerank_torch import TorchReranker  # noqa: E402
from tests.oracles import rerank as oracle  # noqa: E402
from tests.pipeline.rerank.sets import made  # noqa: E402

pytestmark = pytest.mark.torch
SEEDS = range(6)


@pytest.fixture(params=[2048, 0.005], ids=["one block", "many blocks"])
def reranker(request):
    return TorchReranker(TorchReranker.Config(device="cpu", memory_mb=request.param))


@pytest.mark.parametrize("seed", SEEDS)
@pytest.mark.parametrize("alpha", [None, 0.3])
def test_against_the_definitions(reranker, seed, alpha):
    case = made(seed)
    mu, full, q = None if alpha is None else case.mu(alpha), case.full(alpha), case.q
    cameras = case.cameras[:q], case.cameras[q:]
    for d in (case.d, case.matrices):
        np.testing.assert_allclose(
            reranker.k_reciprocal(d, 9, 4, 0.3, 2.0, mu), oracle.k_reciprocal(full, q, 9, 4), atol=5e-7
        )
        for method in ("rankdist", "origdist"):
            np.testing.assert_allclose(
                reranker.ecn(d, 12, 3, 5, method, mu), oracle.ecn(full, q, 12, 3, 5, method), rtol=1e-6
            )
        for switches in ((True, True), (True, False), (False, True)):
            got = reranker.camera_jaccard(d, *cameras, 4, 9, 3, 2, 0.3, 1.0, mu, *switches, 8, 3)
            want = oracle.camera_jaccard(full, q, case.cameras, 4, 9, 3, 2, 0.3, 1.0, *switches, 8, 3)
            np.testing.assert_allclose(got, want, atol=5e-7)


def test_reached_by_device():
    case = made(1)
    cameras = case.cameras[: case.q], case.cameras[case.q :]
    device = "cpu:0"  # any name but "cpu" goes to torch
    np.testing.assert_allclose(
        rerank.k_reciprocal(case.d, device=device), rerank.k_reciprocal(case.d), atol=5e-7
    )
    np.testing.assert_allclose(rerank.ecn(case.d, device=device), rerank.ecn(case.d), rtol=1e-6)
    np.testing.assert_allclose(
        rerank.camera_jaccard(case.d, *cameras, device=device),
        rerank.camera_jaccard(case.d, *cameras),
        atol=5e-7,
    )


@pytest.mark.parametrize("device", ["cuda:77", "gpu"])
def test_a_device_that_is_not_there(device):
    with pytest.raises(ConfigError, match=f"torch has no device '{device}'.*use device cpu"):
        rerank.k_reciprocal(made(1).d, device=device)


def test_refusals():
    plugin, d = TorchReranker(TorchReranker.Config(device="cpu")), made(1).d
    with pytest.raises(ConfigError, match="k1 = 0"):
        plugin.k_reciprocal(d, 0, 6, 0.3, 2.0, None)
    with pytest.raises(ConfigError, match="lambda_ = 2"):
        plugin.k_reciprocal(d, 20, 6, 2, 2.0, None)
    with pytest.raises(ConfigError, match="use rankdist or origdist"):
        plugin.ecn(d, 25, 3, 8, "x", None)
    with pytest.raises(InputError, match="query cameras"):
        plugin.camera_jaccard(d, [], [], 5, 20, 3, 3, 0.3, 2.0, None, True, True, 20, 6)
