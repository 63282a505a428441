"""Distances between queries and gallery, made when asked for and never held as one (Q + G) x (Q + G) array.

Images are numbered 0 ... N - 1, queries first. The distance of a pair is float32, correctly rounded from float64, and
does not depend on the block in which it is asked for; so equal images are equally far from everything, and
ties can be broken by index.
"""

from collections.abc import Iterator
from functools import cached_property
from typing import Any, Literal, Self

import numpy as np
from numpy.typing import NDArray

from pipeline.errors import ConfigError, InputError
from pipeline.rerank import checks
from pipeline.rerank.mu import MuEntries, Overrides
from pipeline.rerank.tiles import Prepared, Table

Metric = Literal["euclidean", "cosine"]
PAIRS_AT_ONCE = 4096
CLOSE = 0.05  # squared distances below this share of a row's own square lose digits in a float32 product
MANY_CLOSE = 0.02  # share of a block above which it is not worth mending them one by one
LARGEST = 1e15  # feature value whose square still has room in float32
UNDERFLOW = 1e-30  # squares below lose digits in float32
ROUNDING = -1e-4  # what a distance may be below zero and still count as zero


class FeaturePairs:
    """Distances that are worked out from features.

    Attributes:
        features: (N, D) rows: float32 as given, or float64 unit rows for "cosine".
        cosine: Distance is 1 - cosine = half the squared Euclidean distance of unit rows.
        tolerance: How far `block` may be from `pairs`.
    """

    def __init__(self, features: NDArray[np.float32], metric: Metric) -> None:
        self.cosine = metric == "cosine"
        self.features: NDArray[Any] = _unit_rows(features) if self.cosine else features
        self.squares = np.einsum("ij,ij->i", self.features, self.features, dtype=np.float64)
        self.tolerance = 1e-7 * float(np.sqrt(self.squares.max()) + (1 if self.cosine else 0))

    def of_squared(self, squared: NDArray[np.float64]) -> NDArray[np.float32]:
        """The distance from the squared Euclidean one; works in place."""
        if self.cosine:
            squared *= 0.5
        else:
            np.sqrt(squared, out=squared)
        return squared.astype(np.float32)

    def pairs(self, rows: NDArray[np.int64], cols: NDArray[np.int64]) -> NDArray[np.float32]:
        """(M,) distances of (M,) pairs."""
        squared = np.empty(len(rows), np.float64)
        for start in range(0, len(rows), PAIRS_AT_ONCE):
            part = slice(start, start + PAIRS_AT_ONCE)
            difference = self.features[rows[part]].astype(np.float64)
            difference -= self.features[cols[part]]
            np.einsum("ij,ij->i", difference, difference, out=squared[part])
        return self.of_squared(squared)

    @cached_property
    def table(self) -> Table:
        """Approximate squared distances, fast."""
        return Table(self.features)

    def rough_block(self, rows: NDArray[np.int64], first: int, last: int) -> NDArray[np.float32]:
        """Like `block`, from one float32 product: right to about 1e-6 of the value."""
        if self.table.squares.max() < UNDERFLOW:
            return self.block(rows, first, last)
        squared = self.table.tile(rows, slice(first, last))
        close = np.flatnonzero(squared < CLOSE * self.table.squares[rows, None])
        if len(close) > squared.size * MANY_CLOSE:
            return self.block(rows, first, last)
        row, col = np.divmod(close, last - first)
        squared.reshape(-1)[close] = 0
        if self.cosine:
            squared *= np.float32(0.5)
        else:
            np.sqrt(squared, out=squared)
        squared[row, col] = self.pairs(rows[row], col + first)
        return squared

    def block(self, rows: NDArray[np.int64], first: int, last: int) -> NDArray[np.float32]:
        """(rows, last - first) distances to the images first ... last - 1."""
        others = self.features[first:last].astype(np.float64)
        squared = self.features[rows].astype(np.float64) @ (-2.0 * others).T
        squared += self.squares[rows][:, None]
        squared += self.squares[first:last]
        np.maximum(squared, 0.0, out=squared)
        squared[(rows >= first) & (rows < last), rows[(rows >= first) & (rows < last)] - first] = 0.0
        return self.of_squared(squared)


class MatrixPairs:
    """Distances that are given."""

    tolerance = 0.0

    def __init__(self, q_g: NDArray[np.float32], q_q: NDArray[np.float32], g_g: NDArray[np.float32]) -> None:
        self._q_g, self._q_q, self._g_g = q_g, q_q, g_g
        self._queries = len(q_q)

    def pairs(self, rows: NDArray[np.int64], cols: NDArray[np.int64]) -> NDArray[np.float32]:
        """(M,) distances of (M,) pairs."""
        q = self._queries
        row_is_query, col_is_query = rows < q, cols < q
        r, c = np.where(row_is_query, rows, rows - q), np.where(col_is_query, cols, cols - q)
        values = np.empty(len(rows), np.float32)
        for where, matrix, swap in (
            (row_is_query & col_is_query, self._q_q, False),
            (row_is_query & ~col_is_query, self._q_g, False),
            (~row_is_query & col_is_query, self._q_g, True),
            (~row_is_query & ~col_is_query, self._g_g, False),
        ):
            values[where] = matrix[c[where], r[where]] if swap else matrix[r[where], c[where]]
        return values

    def block(self, rows: NDArray[np.int64], first: int, last: int) -> NDArray[np.float32]:
        """(rows, last - first) distances to the images first ... last - 1."""
        cols = np.arange(first, last)
        grid = np.broadcast_arrays(rows[:, None], cols[None, :])
        return self.pairs(grid[0].ravel(), grid[1].ravel()).reshape(len(rows), len(cols))

    def rough_block(self, rows: NDArray[np.int64], first: int, last: int) -> NDArray[np.float32]:
        """The same: they are given."""
        return self.block(rows, first, last)


class Distances:
    """Distances of Q queries and G gallery images, N = Q + G, queries first.

    Args:
        source: Where raw distances come from.
        n_queries: Q.
        n_gallery: G.
        memory_mb: Working memory that one step may take beside inputs and results.
        overrides: Pairs with another distance than the raw one.
        prepared: Neighbours of the raw distances, where they are known already.
    """

    def __init__(
        self,
        source: FeaturePairs | MatrixPairs,
        n_queries: int,
        n_gallery: int,
        memory_mb: float = 256,
        overrides: Overrides | None = None,
        prepared: Prepared | None = None,
    ) -> None:
        checks.within(1, 1e6, memory_mb=memory_mb)
        self.source = source
        self.n_queries, self.n_gallery, self.n = n_queries, n_gallery, n_queries + n_gallery
        self.memory_mb = memory_mb
        self.overrides, self.prepared = overrides, prepared

    @classmethod
    def from_features(
        cls, queries: Any, gallery: Any, metric: Metric = "euclidean", memory_mb: float = 256
    ) -> Self:
        """From (Q, D) and (G, D) features, float32 as given: nothing is normalised for "euclidean".

        Raises:
            InputError: An empty side, widths that differ, a value that is not finite, or a zero row for
                "cosine".
            ConfigError: Another metric.
        """
        queries = checks.matrix("query features", queries, (None, None))
        gallery = checks.matrix("gallery features", gallery, (None, queries.shape[1]))
        if metric not in ("euclidean", "cosine"):
            raise ConfigError(f"metric {metric!r} is not known", "use euclidean or cosine")
        _refuse_empty(len(queries), len(gallery))
        if max(np.abs(queries).max(), np.abs(gallery).max()) > LARGEST:
            raise InputError(
                f"a feature is larger than {LARGEST:g}: its square does not fit float32", "scale them"
            )
        return cls(
            FeaturePairs(np.concatenate([queries, gallery]), metric), len(queries), len(gallery), memory_mb
        )

    @classmethod
    def from_matrices(cls, q_g: Any, q_q: Any, g_g: Any, memory_mb: float = 256) -> Self:
        """From dense (Q, G), (Q, Q) and (G, G) distances: for small sets and for oracles.

        Raises:
            InputError: Shapes do not fit, a value is not finite, or a distance is negative.
        """
        q_g = checks.matrix("q_g", q_g, (None, None))
        n_queries, n_gallery = q_g.shape
        _refuse_empty(n_queries, n_gallery)
        given = (
            _not_negative("q_g", q_g),
            _not_negative("q_q", checks.matrix("q_q", q_q, (n_queries, n_queries))),
            _not_negative("g_g", checks.matrix("g_g", g_g, (n_gallery, n_gallery))),
        )
        return cls(MatrixPairs(*given), n_queries, n_gallery, memory_mb)

    def with_mu(self, mu: MuEntries | None) -> "Distances":
        """The same images with the verifier's opinions mixed in, in both directions.

        Raises:
            InputError: The entries do not fit these images.
        """
        if mu is None:
            return self
        mu.check_range(self.n_queries, self.n_gallery)
        width = mu.candidates.shape[1]
        rows = np.repeat(np.arange(self.n_queries), width)
        cols = mu.candidates.ravel() + self.n_queries
        raw = self.source.pairs(rows, cols).reshape(mu.candidates.shape)
        overrides = Overrides(rows, cols, mu.mix(raw).ravel(), self.n)
        return Distances(
            self.source, self.n_queries, self.n_gallery, self.memory_mb, overrides, self.prepared
        )

    def pairs(self, rows: NDArray[np.int64], cols: NDArray[np.int64]) -> NDArray[np.float32]:
        """(M,) distances of (M,) pairs of images."""
        return self.mixed(rows, cols, self.source.pairs(rows, cols))

    def mixed(
        self, rows: NDArray[np.int64], cols: NDArray[np.int64], raw: NDArray[np.float32]
    ) -> NDArray[np.float32]:
        """(M,) distances of (M,) pairs whose raw distances are known."""
        return raw if self.overrides is None else self.overrides.apply(rows, cols, raw)

    def block(
        self, rows: NDArray[np.int64], first: int, last: int, rough: bool = False
    ) -> NDArray[np.float32]:
        """(rows, last - first) distances to the images first ... last - 1.

        Args:
            rows: (b,) images.
            first: First other image.
            last: One after the last other image.
            rough: From a float32 product, right to about 1e-6: where a distance is one term of a result.
        """
        values = (self.source.rough_block if rough else self.source.block)(rows, first, last)
        return self._mixed_in(values, rows, first)

    def _mixed_in(
        self, values: NDArray[np.float32], rows: NDArray[np.int64], first: int
    ) -> NDArray[np.float32]:
        if self.overrides is not None:
            place = self.overrides.of_rows(rows)
            row = np.repeat(np.arange(len(rows)), np.diff(self.overrides.starts)[rows])
            col = self.overrides.cols[place] - first
            inside = (col >= 0) & (col < values.shape[1])
            values[row[inside], col[inside]] = self.overrides.values[place[inside]]
        return values

    def rows_at_once(self, columns: int) -> int:
        """Rows of a dense block of so many columns that the working memory allows."""
        return max(1, int(self.memory_mb * 2**20 / (columns * 24)))

    def query_blocks(self, rough: bool = False) -> Iterator[tuple[int, NDArray[np.float32]]]:
        """First query and its (b, G) distances, block by block; `rough` as for `block`."""
        step = self.rows_at_once(self.n_gallery)
        for start in range(0, self.n_queries, step):
            rows = np.arange(start, min(start + step, self.n_queries))
            yield start, self.block(rows, self.n_queries, self.n, rough)


def _unit_rows(features: NDArray[np.float32]) -> NDArray[np.float64]:
    lengths = np.linalg.norm(features.astype(np.float64), axis=1, keepdims=True)
    if (lengths == 0).any():
        raise InputError(
            f"image {int((lengths == 0).argmax())} (queries first) has only zeros: it has no direction",
            "leave it out, or use euclidean",
        )
    unit: NDArray[np.float64] = features / lengths
    return unit


def _not_negative(name: str, values: NDArray[np.float32]) -> NDArray[np.float32]:
    if values.min() < ROUNDING:
        raise InputError(f"{name} holds {values.min():g}: a distance is not negative", "give distances")
    return np.maximum(values, 0.0) + np.float32(0)


def _refuse_empty(n_queries: int, n_gallery: int) -> None:
    if not n_queries or not n_gallery:
        raise InputError(f"{n_queries} queries and {n_gallery} gallery images: neither side may be empty")
