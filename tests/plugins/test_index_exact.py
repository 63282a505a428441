import subprocess
import sys
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from plugins import index_exact
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


def alike(count: int, dimension: int, seed: int = 0) -> NDArray[np.float32]:
    """Unit vectors that share a direction and come in clusters, as those of a real embedder do."""
    rng = np.random.default_rng(seed)
    people = units(max(1, count // 5), dimension, seed)
    rows = people[rng.integers(0, len(people), count)] + 0.4 * units(count, dimension, seed + 1) + 0.7
    unit: NDArray[np.float32] = (rows / np.linalg.norm(rows, axis=1, keepdims=True)).astype(np.float32)
    return unit


@pytest.fixture
def coded(monkeypatch: pytest.MonkeyPatch) -> None:
    """Codes for few rows already, and only as many left over as makes a difference."""
    monkeypatch.setattr(index_exact, "_MANY_ROWS", 100)
    monkeypatch.setattr(index_exact, "_LEFT_OVER", 64)


def assert_as_without_codes(index: ExactIndex, rows: NDArray[Any], queries: NDArray[np.float32]) -> None:
    plain = exact(rows)
    plain._codes = None
    for query in queries:
        for answer, wanted in zip(index.search(query[None], 10), plain.search(query[None], 10), strict=True):
            np.testing.assert_array_equal(answer, wanted)


@pytest.mark.usefixtures("coded")
@pytest.mark.parametrize("dimension", [1, 3, 16, 67, 256])
@pytest.mark.parametrize("made", [units, alike])
def test_codes_change_no_answer(dimension: int, made: Callable[..., NDArray[np.float32]]) -> None:
    rows = made(1500, dimension)
    queries = np.vstack(
        [made(10, dimension, 5), rows[:5], -rows[:2], 0.3 * rows[5:7], np.zeros((1, dimension))]
    )
    assert_as_without_codes(exact(rows), rows, queries.astype(np.float32))


@pytest.mark.usefixtures("coded")
def test_codes_follow_the_rows() -> None:
    rows, queries = alike(900, 40), alike(6, 40, 5)
    index = exact(rows)
    others = alike(300, 40, 9)
    for changed in (
        rows[:-7],  # somebody left at the end, in front, in the middle
        rows[3:],
        np.delete(rows, [400, 401], axis=0),
        np.delete(rows, [30, 400, 700], axis=0),
        np.vstack([rows, others]),  # people came, were exchanged, or all are others
        np.vstack([rows[:300], others, rows[600:]]),
        np.vstack([-rows, others]),
        others[:50],
        rows,
        others[:, :33],
    ):
        index.build(changed.astype(np.float16))
        assert_as_without_codes(index, changed, queries[:, : changed.shape[1]])


@pytest.mark.usefixtures("coded")
def test_codes_that_rule_nothing_out_are_dropped() -> None:
    rows = np.repeat(units(1, 32), 300, axis=0)
    index = exact(rows)
    assert index._codes is not None
    for _ in range(20):
        assert index.search(rows[:1], 3)[1].tolist() == [[0, 1, 2]]
    assert index._codes is None


def test_faiss_is_not_imported_for_few_rows() -> None:
    code = (
        "import sys, numpy as np; from plugins.index_exact import ExactIndex; index = ExactIndex(ExactIndex.Config()); "
        "index.build(np.eye(50, dtype=np.float16)); index.search(np.eye(50, dtype=np.float32), 3); "
        "print('faiss' in sys.modules)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout == "False\n"
