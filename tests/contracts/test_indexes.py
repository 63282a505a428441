"""What every index promises, shown against a sort of all distances in float64."""

from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from pipeline.protocols import Index
from pipeline.registry import build, known
from pipeline.settings import choose

HALF_ROUNDING = 0.02  # of a distance near 0, from the rounding of float16 rows; much less elsewhere


@pytest.fixture(params=known("index"))
def index(request: pytest.FixtureRequest, tmp_path: Any) -> Any:
    if request.param == "faiss":
        pytest.importorskip("faiss", reason="extra faiss")
    return build("index", choose(request.param), tmp_path, "matcher.index")


def unit(rng: np.random.Generator, *shape: int) -> NDArray[np.float32]:
    vectors = rng.normal(size=shape)
    vectors /= np.linalg.norm(vectors, axis=-1, keepdims=True)
    return vectors.astype(np.float32)


def brute_force(queries: NDArray[np.float32], rows: NDArray[np.float16]) -> NDArray[np.float64]:
    apart = queries[:, None].astype(np.float64) - rows[None].astype(np.float64)
    distances: NDArray[np.float64] = np.sqrt((apart**2).sum(axis=2))
    return distances


def test_it_is_an_index(index: Any) -> None:
    assert isinstance(index, Index)


@pytest.mark.parametrize(("rows", "dimension", "k"), [(1, 4, 1), (7, 256, 7), (300, 64, 10), (9001, 16, 40)])
def test_finds_the_nearest_rows_in_order(index: Any, rows: int, dimension: int, k: int) -> None:
    rng = np.random.default_rng(rows)
    stored, queries = unit(rng, rows, dimension).astype(np.float16), unit(rng, 5, dimension)
    index.build(stored)
    distances, found = index.search(queries, k)

    assert (distances.shape, found.shape) == ((5, k), (5, k))
    assert (distances.dtype, found.dtype) == (np.float32, np.int64)
    assert (np.diff(distances, axis=1) >= 0).all()
    assert all(len(set(line)) == k for line in found.tolist())
    truth = brute_force(queries, stored)
    np.testing.assert_allclose(distances, np.sort(truth, axis=1)[:, :k], atol=HALF_ROUNDING)
    np.testing.assert_allclose(np.take_along_axis(truth, found, axis=1), distances, atol=HALF_ROUNDING)


def test_k_is_cut_to_the_number_of_rows(index: Any) -> None:
    rng = np.random.default_rng(0)
    index.build(unit(rng, 3, 8).astype(np.float16))
    distances, found = index.search(unit(rng, 2, 8), 40)
    assert distances.shape == (2, 3)
    assert [sorted(line) for line in found.tolist()] == [[0, 1, 2]] * 2


def test_nothing_is_found_in_an_empty_index(index: Any) -> None:
    queries = unit(np.random.default_rng(0), 2, 8)
    assert index.search(queries, 5)[0].shape == (2, 0)
    index.build(np.zeros((0, 8), np.float16))
    assert index.search(queries, 5)[1].shape == (2, 0)


def test_no_query_no_answer(index: Any) -> None:
    index.build(unit(np.random.default_rng(0), 3, 8).astype(np.float16))
    assert index.search(np.zeros((0, 8), np.float32), 2)[0].shape == (0, 2)


def test_building_again_replaces_every_row(index: Any) -> None:
    rng = np.random.default_rng(0)
    first, second = unit(rng, 5, 8), unit(rng, 2, 6)
    index.build(first.astype(np.float16))
    index.build(second.astype(np.float16))
    distances, found = index.search(second, 5)
    assert found[:, 0].tolist() == [0, 1]
    assert distances[:, 0].max() < HALF_ROUNDING


def test_opposite_vectors_are_two_apart(index: Any) -> None:
    north = np.zeros((1, 8), np.float32)
    north[0, 0] = 1
    index.build(np.vstack([north, -north]).astype(np.float16))
    distances, found = index.search(north, 2)
    assert found.tolist() == [[0, 1]]
    assert distances.tolist() == [[0, 2]]


def test_what_was_built_from_may_change_afterwards(index: Any) -> None:
    rows = unit(np.random.default_rng(0), 4, 8).astype(np.float16)
    index.build(rows)
    asked = rows.astype(np.float32)
    rows[:] = 0
    assert index.search(asked, 1)[1][:, 0].tolist() == [0, 1, 2, 3]
