"""Prints what `index: {use: faiss, method: ivf | hnsw}` misses of the 40 nearest, and what that saves.

`OMP_NUM_THREADS=1 OPENBLAS_NUM_THREADS=1 python -m tests.bench.index_misses [ROWS]`: processor milliseconds of one
query, median of 100; each query is a row with as much noise as leaves it 0.62 away. Rows are random, around a common
direction.
"""

import statistics
import sys
import time
from typing import Any

import numpy as np

from plugins.index_exact import ExactIndex
from plugins.index_faiss import FaissIndex
from tests.bench.index import NEAREST, drawn

DIMENSION, QUERIES = 256, 100
HEAD = "| | build s | ms | own row first | of the 40 nearest |\n|---|---:|---:|---:|---:|"
CHOICES: tuple[dict[str, Any], ...] = (
    {"method": "flat"},
    {"method": "ivf", "probes": 8},
    {"method": "ivf", "probes": 32},
    {"method": "ivf", "probes": 128},
    {"method": "hnsw", "explored": 64},
    {"method": "hnsw", "explored": 128},
    {"method": "hnsw", "explored": 512},
)


def main(rows: int) -> None:
    """One table for rows in common, one for rows that are spread."""
    for common in (1.0, 0.0):
        rng = np.random.default_rng(0)
        vectors = drawn(rng, rows, DIMENSION, common)
        noise = rng.normal(size=(QUERIES, DIMENSION)).astype(np.float32) / np.sqrt(DIMENSION)
        queries = vectors[:QUERIES] + 0.68 * noise
        queries /= np.linalg.norm(queries, axis=1, keepdims=True)
        stored = vectors.astype(np.float16)
        exact = ExactIndex(ExactIndex.Config())
        exact.build(stored)
        truth = exact.search(queries, NEAREST)[1]
        print(f"\n{rows} rows, common {common:g}\n{HEAD}")
        for keys in CHOICES:
            began_s = time.process_time()
            index = FaissIndex(FaissIndex.Config.model_validate(keys))
            index.build(stored)
            built_s, took_ms, found = time.process_time() - began_s, [], []
            for query in queries:
                at_s = time.process_time()
                found.append(index.search(query[None], NEAREST)[1][0])
                took_ms.append(1000 * (time.process_time() - at_s))
            shared = np.mean([len(np.intersect1d(a, b)) / NEAREST for a, b in zip(truth, found, strict=True)])
            own = sum(int(line[0]) == i for i, line in enumerate(found))
            name = ", ".join(
                f"{value}" if key == "method" else f"{key} {value}" for key, value in keys.items()
            )
            print(
                f"| {name} | {built_s:.0f} | {statistics.median(took_ms):.2f} | {own} % | {shared:.1%} |",
                flush=True,
            )


if __name__ == "__main__":
    main(int(sys.argv[1]) if len(sys.argv) > 1 else 100_000)
