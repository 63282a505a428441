"""A gallery whose rows come and go: what is known of the others is kept.

Adding and removing a few rows costs their tiles, not the whole table; every result equals that of a set built
afresh from the same rows, to the last bit of the neighbour lists.
"""

from typing import Any

import numpy as np
from numpy.typing import NDArray

from pipeline.errors import InputError
from pipeline.rerank import checks
from pipeline.rerank.distances import Distances, FeaturePairs, Metric
from pipeline.rerank.farthest import Farthest
from pipeline.rerank.mu import find
from pipeline.rerank.neighbours import SLACK, slices, tile_rows
from pipeline.rerank.packed import FILL, pack, unpack
from pipeline.rerank.tiles import Kind, Pass, Prepared, Shortlist, Table, Want, allowed, sweep

LOSSES = 16  # neighbours a row may lose before it is searched again


class SlidingGallery:
    """Queries that stay, and a gallery that changes.

    Args:
        queries: (Q, D) features.
        gallery: (G, D) features to begin with.
        metric: As for `Distances.from_features`.
        query_cameras: (Q,) cameras, for `camera_jaccard`; None = not kept.
        gallery_cameras: (G,) cameras.
        depth: Longest neighbour list kept up to date; a longer one is searched for in full.
        memory_mb: Working memory of one step.
        tile: Rows of a tile; None = as the working memory allows.

    Raises:
        InputError: As `Distances.from_features`; cameras that do not fit.
    """

    def __init__(
        self,
        queries: Any,
        gallery: Any,
        metric: Metric = "euclidean",
        query_cameras: Any = None,
        gallery_cameras: Any = None,
        depth: int = 24,
        memory_mb: float = 256,
        tile: int | None = None,
    ) -> None:
        checks.at_least(1, depth=depth)
        first = Distances.from_features(queries, gallery, metric, memory_mb)
        self._given = np.concatenate(
            [
                checks.matrix("query features", queries, (None, None)),
                checks.matrix("gallery features", gallery, (None, None)),
            ]
        )
        self._queries, self._metric, self._memory_mb = first.n_queries, metric, memory_mb
        self._tile = tile or tile_rows(memory_mb)
        self._cameras: NDArray[np.int64] | None = None
        kinds = [Kind.ALL]
        if query_cameras is not None:
            kinds += [Kind.SAME, Kind.OTHER]
            self._cameras = np.concatenate(
                [
                    checks.labels("query cameras", query_cameras, first.n_queries),
                    checks.labels("gallery cameras", gallery_cameras, first.n_gallery),
                ]
            )
        self._wants = [Want(depth, kind) for kind in kinds]
        self._source = _Remembered(self._given, metric)
        self._table = Table(self._source.features)
        blocks = [(rows, True) for rows in slices(0, first.n, self._tile)]
        self._found = self._swept(Pass.empty(first.n, len(kinds), farthest=True), blocks)
        self._source.remember(self._found)

    @property
    def gallery_size(self) -> int:
        """Rows in the gallery now."""
        return len(self._given) - self._queries

    @property
    def distances(self) -> Distances:
        """The set as it is now; later changes do not touch it."""
        prepared = Prepared(tuple(self._wants), self._found, self._table.error, self._cameras)
        return Distances(self._source, self._queries, self.gallery_size, self._memory_mb, prepared=prepared)

    def update(self, add: Any = None, remove: Any = (), cameras: Any = None) -> None:
        """Removes gallery rows, then appends new ones; the order of the others stays.

        Args:
            add: (A, D) features, or None.
            remove: Gallery rows, as numbered before the call.
            cameras: (A,) cameras of the new rows, where cameras are kept.

        Raises:
            InputError: A row that is not there, features or cameras that do not fit, or nothing left.
        """
        keep = self._kept(np.asarray(remove, np.int64).reshape(-1))
        width = self._given.shape[1]
        new = np.zeros((0, width), np.float32) if add is None else checks.matrix("add", add, (None, width))
        if self._cameras is not None:
            came = checks.labels("cameras", () if cameras is None else cameras, len(new))
            self._cameras = np.concatenate([self._cameras[keep], came])
        old, stayed = len(keep), int(keep.sum())
        place = np.where(keep, np.cumsum(keep) - 1, -1)
        n = stayed + len(new)
        if n == self._queries:
            raise InputError("no gallery image would be left")
        self._given = np.concatenate([self._given[keep], new])
        self._source = _Remembered(self._given, self._metric, self._source.moved(place, old, n))
        self._table = Table(self._source.features, self._table.centre)
        blocks = [(rows, False) for rows in slices(0, stayed, self._tile)]
        blocks += [(rows, True) for rows in slices(stayed, n, self._tile)]
        self._found = self._swept(_moved(self._found, place, n), blocks)
        self._search_again()
        self._source.remember(self._found)

    def _kept(self, remove: NDArray[np.int64]) -> NDArray[np.bool_]:
        outside = (remove < 0) | (remove >= self.gallery_size)
        if outside.any():
            raise InputError(
                f"gallery row {remove[outside][0]} is not there: rows 0 to {self.gallery_size - 1}"
            )
        keep = np.ones(len(self._given), np.bool_)
        keep[remove + self._queries] = False
        return keep

    def _swept(self, before: Pass, blocks: list[tuple[slice, bool]]) -> Pass:
        keeps = [np.full(len(self._given), want.depth + SLACK + LOSSES) for want in self._wants]
        return sweep(self._table, self._wants, keeps, self._cameras, before, blocks)

    def _search_again(self) -> None:
        """Searches the rows that lost too many neighbours, or their farthest image, in full."""
        far = self._found.farthest
        assert far is not None
        n = len(self._given)
        thin = np.bincount(far.rows, minlength=n) == 0
        for want, keys, bound in zip(self._wants, self._found.keys, self._found.bounds, strict=True):
            thin |= ((keys != FILL).sum(axis=1) < want.depth + SLACK) & np.isfinite(bound)
        for part in np.array_split(np.flatnonzero(thin), max(1, int(thin.sum()) // self._tile)):
            if len(part):
                self._search_rows(part, far)

    def _search_rows(self, rows: NDArray[np.int64], far: Farthest) -> None:
        seen_far = Farthest(len(rows))
        error = self._table.error[rows]
        lists = [
            Shortlist(
                want.depth + SLACK + LOSSES,
                np.zeros((len(rows), 0), np.uint64),
                np.full(len(rows), np.inf, np.float32),
            )
            for want in self._wants
        ]
        for cols in slices(0, len(self._given), self._tile):
            tile = self._table.tile(rows, cols)
            seen_far.offer(tile, error, 0, cols.start, 0)
            inside = (rows >= cols.start) & (rows < cols.stop)
            tile[inside, rows[inside] - cols.start] = np.inf
            masks = allowed(self._wants, self._cameras, rows, cols)
            for mask, shortlist in zip(masks, lists, strict=True):
                shortlist.offer(tile, cols.start, 0, mask)
        for number, shortlist in enumerate(lists):
            shortlist.settle()
            width = self._found.keys[number].shape[1]
            self._found.keys[number][rows] = FILL
            self._found.keys[number][rows, : shortlist.keys.shape[1]] = shortlist.keys[:, :width]
            self._found.bounds[number][rows] = shortlist.bound
        seen_far.settle(error)
        far.replace(rows, seen_far)


class _Remembered(FeaturePairs):
    """Raw distances, those of listed pairs kept from change to change."""

    def __init__(
        self,
        features: NDArray[np.float32],
        metric: Metric,
        known: tuple[NDArray[np.int64], NDArray[np.float32]] | None = None,
    ) -> None:
        super().__init__(features, metric)
        self._keys, self._values = known or (np.zeros(0, np.int64), np.zeros(0, np.float32))

    def pairs(self, rows: NDArray[np.int64], cols: NDArray[np.int64]) -> NDArray[np.float32]:
        """(M,) distances of (M,) pairs."""
        place, known = find(self._keys, rows * len(self.features) + cols)
        if not known.any():
            return super().pairs(rows, cols)
        values = self._values[place]
        values[~known] = super().pairs(rows[~known], cols[~known])
        return values

    def remember(self, found: Pass) -> None:
        """Keeps the distances of all pairs found, and of no others."""
        n = len(self.features)
        listed = []
        for keys in found.keys:
            row, place = np.nonzero(keys != FILL)
            listed.append(row * n + unpack(keys[row, place])[1])
        if found.farthest is not None:
            listed.append(found.farthest.rows * n + found.farthest.cols)
        pairs = np.sort(np.concatenate(listed))
        pairs = pairs[np.diff(pairs, prepend=-1) > 0]
        self._keys, self._values = pairs, self.pairs(*np.divmod(pairs, n))

    def moved(
        self, place: NDArray[np.int64], old: int, n: int
    ) -> tuple[NDArray[np.int64], NDArray[np.float32]]:
        """What is known, image i now at place[i]; -1 = gone. The order of keys stays."""
        row, col = np.divmod(self._keys, old)
        there = (place[row] >= 0) & (place[col] >= 0)
        return place[row[there]] * n + place[col[there]], self._values[there]


def _moved(found: Pass, place: NDArray[np.int64], n: int) -> Pass:
    """The pass among n images, image i now at place[i], -1 = gone."""
    stay = place >= 0
    all_keys, bounds = [], []
    for keys, bound in zip(found.keys, found.bounds, strict=True):
        values, cols = unpack(keys[stay])
        cols = np.where(cols >= 0, place[cols], -1)
        moved = np.full((n, keys.shape[1]), FILL)
        moved[: stay.sum()] = np.sort(np.where(cols >= 0, pack(values, cols), FILL), axis=1)
        all_keys.append(moved)
        bounds.append(np.full(n, np.inf, np.float32))
        bounds[-1][: stay.sum()] = bound[stay]
    far = found.farthest
    return Pass(all_keys, bounds, far.moved(place, n) if far is not None else None)
