from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from plugins.index_exact import ExactIndex


def exact(rows: NDArray[Any], block_rows: int = 512) -> ExactIndex:
    index = ExactIndex(ExactIndex.Config(block_rows=block_rows))
    index.build(rows.astype(np.float16))
    return index


def units(count: int, dimension: int, seed: int = 0) -> NDArray[np.float32]:
    rows = np.random.default_rng(seed).normal(size=(count, dimension)).astype(np.float32)
    unit: NDArray[np.float32] = rows / np.linalg.norm(rows, axis=1, keepdims=True)
    return unit


@pytest.mark.parametrize("block_rows", [1, 3, 100])
def test_equal_distances_come_in_the_order_of_rows(block_rows: int) -> None:
    near, far = [0.6, 0.8], [0.0, 1.0]
    index = exact(np.array([far, near, far, near, near]), block_rows)
    _, rows = index.search(np.array([near], np.float32), 4)
    assert rows.tolist() == [[1, 3, 4, 0]]


def test_a_row_finds_itself_despite_its_rounding() -> None:
    rows = units(50, 512)
    assert exact(rows).search(rows, 1)[0].max() < 0.002


def test_one_picture_enrolled_many_times_is_found_in_the_order_of_rows() -> None:
    """Sums of equal rows must not depend on where in a block they stand."""
    rows = np.repeat(units(37, 67), 29, axis=0)
    distances, found = exact(rows, 64).search(units(5, 67, seed=1), 100)
    same = np.diff(distances, axis=1) == 0
    assert same.mean() > 0.9
    assert (np.diff(found, axis=1)[same] == 1).all()


@pytest.mark.parametrize("ascending", [True, False])
def test_rows_sorted_by_distance_are_no_trap(ascending: bool) -> None:
    angles = np.linspace(0, 3, 3000)[:: -1 if ascending else 1]
    rows = np.stack([np.cos(angles), np.sin(angles)], axis=1)
    found = exact(rows, 16).search(np.array([[1, 0]], np.float32), 5)[1]
    assert found.tolist() == [[2999, 2998, 2997, 2996, 2995] if ascending else [0, 1, 2, 3, 4]]


def test_an_answer_does_not_depend_on_what_else_is_asked() -> None:
    index, queries = exact(units(2000, 33)), units(9, 33, seed=1)
    together = index.search(queries, 20)
    alone = [index.search(query[None], 20) for query in queries]
    for number in range(2):
        np.testing.assert_array_equal(together[number], np.vstack([each[number] for each in alone]))


def test_read_only_rows_are_not_copied() -> None:
    rows = units(50, 16).astype(np.float16)
    rows.setflags(write=False)
    index = ExactIndex(ExactIndex.Config())
    index.build(rows)
    assert np.shares_memory(index._rows, rows)
    assert index.search(rows.astype(np.float32), 1)[1][:, 0].tolist() == list(range(50))
