"""Nearest rows with faiss: flat, or only where they probably are, by clusters (IVF) or along a graph (HNSW)."""

from typing import Any, Literal

import faiss
import numpy as np
from numpy.typing import NDArray
from pydantic import Field

from pipeline.settings import Settings

_METRIC = faiss.METRIC_INNER_PRODUCT
_CODE = faiss.ScalarQuantizer.QT_fp16
_ROWS_A_CLUSTER = 39  # faiss asks for as many to train one


class FaissIndex:
    """`flat` compares with every row, `ivf` and `hnsw` do not and miss some of the nearest, for far fewer comparisons.

    Stored rows are float16 (512 dimensions take 1 kB a row). Distances differ from the exact index by their rounding
    (up to 0.02 at distances near 0, below 0.001 from 0.5 on), equal ones come in any order. Every change of the
    watchlist builds all of it again: the exact index is the better one until its time for a search is too long.

    Source: Douze et al., The Faiss library (arXiv:2401.08281); Malkov and Yashunin, HNSW (arXiv:1603.09320).
    """

    class Config(Settings):
        """Where it looks, and how it computes."""

        method: Literal["flat", "ivf", "hnsw"] = Field(
            default="flat", description="`flat` looks everywhere; `ivf` and `hnsw` miss some of the nearest."
        )
        clusters: int = Field(
            default=0, ge=0, le=65_536, description="Of `ivf`; 0 = four times the root of the number of rows."
        )
        probes: int = Field(
            default=32,
            ge=1,
            le=65_536,
            description="Clusters that `ivf` looks into for a query; more miss less.",
        )
        links: int = Field(default=32, ge=4, le=256, description="Of a row to others in `hnsw`.")
        explored: int = Field(
            default=128, ge=1, le=65_536, description="Rows that `hnsw` keeps in view; more miss less."
        )
        threads: int = Field(
            default=1, ge=1, le=64, description="OpenMP threads of a search, and of building."
        )

    def __init__(self, config: Config) -> None:
        self._config = config
        self._index: Any = faiss.IndexScalarQuantizer(1, _CODE, _METRIC)

    def build(self, vectors: NDArray[np.float16]) -> None:
        """Replaces all rows; (N, D) unit vectors."""
        faiss.omp_set_num_threads(self._config.threads)
        rows = np.ascontiguousarray(vectors, np.float32)
        index = self._empty(len(rows), max(1, rows.shape[1]))
        if not index.is_trained:
            index.train(rows)
        index.add(rows)
        self._index = index

    def search(self, queries: NDArray[np.float32], k: int) -> tuple[NDArray[np.float32], NDArray[np.int64]]:
        """The k nearest of the rows looked at, of each query.

        Args:
            queries: (Q, D) unit vectors.
            k: Cut to the number of rows.

        Returns:
            Euclidean distances (Q, k) in [0, 2], ascending, and row numbers (Q, k). Where fewer than k rows were
            looked at, all are.
        """
        k = min(k, self._index.ntotal)
        if k == 0:
            return np.zeros((len(queries), 0), np.float32), np.zeros((len(queries), 0), np.int64)
        faiss.omp_set_num_threads(self._config.threads)
        queries = np.ascontiguousarray(queries, np.float32)
        cosines, rows = self._index.search(queries, k)
        if (rows < 0).any():
            cosines, rows = self._everywhere(queries, k)
        distances: NDArray[np.float32] = np.sqrt(np.clip(2 - 2 * cosines, 0, 4))
        return distances, rows

    def _empty(self, count: int, dimension: int) -> Any:
        config = self._config
        if config.method == "hnsw":
            graph: Any = faiss.index_factory(dimension, f"HNSW{config.links},SQfp16", _METRIC)
            graph.hnsw.efSearch = config.explored
            return graph
        clusters = min(config.clusters or int(4 * count**0.5), count // _ROWS_A_CLUSTER)
        if config.method == "flat" or clusters < 2:
            return faiss.IndexScalarQuantizer(dimension, _CODE, _METRIC)
        centres = faiss.IndexFlatIP(dimension)
        index = faiss.IndexIVFScalarQuantizer(centres, dimension, clusters, _CODE, _METRIC)
        index.by_residual = False
        index.nprobe = min(config.probes, clusters)
        return index

    def _everywhere(
        self, queries: NDArray[np.float32], k: int
    ) -> tuple[NDArray[np.float32], NDArray[np.int64]]:
        if self._config.method == "hnsw":  # its graph may not lead to every row
            answer = self._index.storage.search(queries, k)
        else:
            parameters = faiss.SearchParametersIVF()
            parameters.nprobe = self._index.nlist
            answer = self._index.search(queries, k, params=parameters)
        cosines, rows = answer
        return cosines, rows
