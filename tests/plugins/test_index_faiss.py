import numpy as np
import pytest
from numpy.typing import NDArray

from plugins.index_faiss import FaissIndex


def people(count: int, seed: int = 0) -> NDArray[np.float32]:
    """(count, 32) unit vectors, ten around each of some directions."""
    rng = np.random.default_rng(seed)
    rows = np.repeat(rng.normal(size=(count // 10, 32)), 10, axis=0) + 0.3 * rng.normal(size=(count, 32))
    unit: NDArray[np.float32] = (rows / np.linalg.norm(rows, axis=1, keepdims=True)).astype(np.float32)
    return unit


def built(rows: NDArray[np.float32], **keys: object) -> FaissIndex:
    index = FaissIndex(FaissIndex.Config.model_validate(keys))
    index.build(rows.astype(np.float16))
    return index


@pytest.mark.parametrize("method", ["ivf", "hnsw"])
def test_nearly_all_of_the_nearest_are_found(method: str) -> None:
    rows = people(4000)
    truth = np.argsort(-rows[:100] @ rows.T, axis=1)[:, :10]
    distances, found = built(rows, method=method).search(rows[:100], 10)
    shared = [len(set(a) & set(b)) for a, b in zip(truth.tolist(), found.tolist(), strict=True)]
    assert np.mean(shared) > 9.5
    assert (np.diff(distances, axis=1) >= 0).all()


def test_more_probes_miss_less() -> None:
    rows, queries = people(4000), people(200, seed=1)
    nearest = (-queries @ rows.T).argmin(axis=1)
    right = [
        (built(rows, method="ivf", probes=probes, clusters=64).search(queries, 1)[1][:, 0] == nearest).sum()
        for probes in (1, 64)
    ]
    assert right[0] < right[1]
    assert right[1] >= 198


@pytest.mark.parametrize("method", ["ivf", "hnsw"])
def test_where_few_rows_were_looked_at_all_are(method: str) -> None:
    rows = people(400)
    index = built(rows, method=method, probes=1, clusters=10, explored=1, links=4)
    _, found = index.search(rows[:3], 400)
    assert [sorted(line) for line in found.tolist()] == [list(range(400))] * 3


@pytest.mark.parametrize("method", ["ivf", "hnsw"])
@pytest.mark.parametrize("count", [0, 1, 30])
def test_few_rows_are_all_compared(method: str, count: int) -> None:
    rows = people(30)[:count]
    assert built(rows, method=method).search(people(30), 40)[1].shape == (30, count)
