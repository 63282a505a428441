import numpy as np
import pytest

from plugins.index_exact import ExactIndex


@pytest.mark.parametrize("block_rows", [1, 3, 100])
def test_equal_distances_come_in_the_order_of_rows(block_rows: int) -> None:
    index = ExactIndex(ExactIndex.Config(block_rows=block_rows))
    near, far = [0.6, 0.8], [0.0, 1.0]
    index.build(np.array([far, near, far, near, near], np.float16))
    _, rows = index.search(np.array([near], np.float32), 4)
    assert rows.tolist() == [[1, 3, 4, 0]]


def test_a_row_finds_itself_despite_its_rounding() -> None:
    rows = np.random.default_rng(0).normal(size=(50, 512)).astype(np.float32)
    rows /= np.linalg.norm(rows, axis=1, keepdims=True)
    index = ExactIndex(ExactIndex.Config())
    index.build(rows.astype(np.float16))
    assert index.search(rows, 1)[0].max() < 0.002
