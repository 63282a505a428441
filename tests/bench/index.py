"""Prints how long a search among many rows takes: the default index, faiss flat beside it, and what each holds.

`python -m tests.bench.index [ROWS ...] [--dimension 256] [--times 9] [--common 1.0]`

Rows are random unit vectors around a common direction, as embedders leave them; `--common 0` spreads them evenly.
Processor milliseconds, median of the times;
of the default index also whether its distances are those of a plain pass over all rows. For one thread:
`OMP_NUM_THREADS=1 OPENBLAS_NUM_THREADS=1`.
"""

import argparse
import statistics
import time
from collections.abc import Callable
from functools import partial

import numpy as np
from numpy.typing import NDArray

from plugins.index_exact import ExactIndex
from plugins.index_faiss import FaissIndex

NEAREST = 40
QUERIES = (1, 32)


def drawn(rng: np.random.Generator, rows: int, dimension: int, common: float) -> NDArray[np.float32]:
    """(N, D) unit vectors: so much in common for every 1 of their own, before they are scaled."""
    vectors = rng.normal(size=(rows, dimension)).astype(np.float32) / np.sqrt(dimension)
    vectors[:, 0] += common
    unit: NDArray[np.float32] = vectors / np.linalg.norm(vectors, axis=1, keepdims=True)
    return unit


def cpu_ms(call: Callable[[], object], times: int) -> float:
    """Median processor time of a call."""
    taken = []
    for _ in range(times):
        start_s = time.process_time()
        call()
        taken.append((time.process_time() - start_s) * 1000)
    return statistics.median(taken)


def main() -> None:
    """Prints a row for each number of rows and of queries."""
    parser = argparse.ArgumentParser(prog="python -m tests.bench.index", description=__doc__)
    parser.add_argument("rows", nargs="*", type=int, default=[10_000, 100_000, 1_000_000])
    parser.add_argument("--dimension", type=int, default=256)
    parser.add_argument("--times", type=int, default=9)
    parser.add_argument("--common", type=float, default=1.0)
    given = parser.parse_args()
    rng = np.random.default_rng(0)
    queries = drawn(rng, max(QUERIES), given.dimension, given.common)
    print("     rows  queries  default, ms  faiss flat, ms  as a plain pass")
    for rows in given.rows:
        vectors = drawn(rng, rows, given.dimension, given.common).astype(np.float16)
        plain = np.linalg.norm(vectors.astype(np.float32) - queries[0], axis=1)
        indexes = ExactIndex(ExactIndex.Config()), FaissIndex(FaissIndex.Config())
        for index in indexes:
            index.build(vectors)
        for count in QUERIES:
            asked = queries[:count]
            calls = [partial(index.search, asked, NEAREST) for index in indexes]
            ours, faiss = (cpu_ms(call, given.times) for call in calls)
            found, _ = indexes[0].search(asked[:1], NEAREST)
            same = np.allclose(found[0], np.sort(plain)[:NEAREST], atol=1e-4)
            print(f"{rows:>9}{count:>9}{ours:>13.2f}{faiss:>16.2f}  {'yes' if same else 'no'}", flush=True)


if __name__ == "__main__":
    main()
