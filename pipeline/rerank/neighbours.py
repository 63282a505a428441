"""Exact neighbour lists: what the tile pass found, made exact, and the few unsure rows done again in full."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from pipeline.rerank.distances import Distances, FeaturePairs
from pipeline.rerank.mu import Overrides, find
from pipeline.rerank.packed import FILL, pack, padded, unpack
from pipeline.rerank.tiles import Kind, Pass, Want, sweep

SLACK = 8  # columns kept beyond the wanted ones, so that the error bound can be met
DIRECT_ROWS = 1024  # below, a set is done in full
ROWS_AT_ONCE = 4096


@dataclass(frozen=True, slots=True)
class Lists:
    """Nearest images of each row, itself left out.

    Attributes:
        cols: (N, depth) int64 ascending by (distance, index); -1 = no more.
        values: (N, depth) float32 their distances; inf where there is none.
    """

    cols: NDArray[np.int64]
    values: NDArray[np.float32]

    def with_self(self, count: int) -> NDArray[np.int64]:
        """(N, <= count) the row itself first, then its nearest."""
        own = np.arange(len(self.cols))[:, None]
        return np.concatenate([own, self.cols[:, : count - 1]], axis=1)


@dataclass(frozen=True, slots=True)
class Neighbourhood:
    """Lists for each want, and each row's largest distance (N,) if it was asked for."""

    lists: tuple[Lists, ...]
    largest: NDArray[np.float32]

    def known(self) -> tuple[NDArray[np.int64], NDArray[np.float32]]:
        """Sorted keys row * N + column of all listed pairs, and their distances."""
        n = len(self.largest)
        cols = np.concatenate([lists.cols for lists in self.lists], axis=1)
        values = np.concatenate([lists.values for lists in self.lists], axis=1)
        keys = (np.arange(n)[:, None] * n + cols)[cols >= 0]
        order = np.argsort(keys)
        return keys[order], values[cols >= 0][order]


def neighbourhood(
    d: Distances,
    wants: Sequence[Want],
    cameras: NDArray[np.int64] | None = None,
    largest: bool = False,
    tile: int | None = None,
) -> Neighbourhood:
    """Finds the nearest images of every image.

    Args:
        d: The images.
        wants: What to look for; depths are cut to N - 1.
        cameras: (N,) for the kinds that need them.
        largest: Whether to find each row's largest distance too.
        tile: Rows of a tile; None = as the working memory allows. Given, small sets are searched by tiles too.
    """
    wants = [Want(min(want.depth, d.n - 1), want.kind) for want in wants]
    if d.prepared is not None and (found := d.prepared.covers(wants, cameras)) is not None:
        if not largest:
            found = Pass(found.keys, found.bounds, None)
        return certain(d, found, d.prepared.error, wants, cameras)
    if isinstance(d.source, FeaturePairs) and (tile or d.n > DIRECT_ROWS):
        table = d.source.table
        found = sweep(
            table,
            wants,
            [kept(d, want) for want in wants],
            cameras,
            Pass.empty(d.n, len(wants), largest),
            [(rows, True) for rows in slices(0, d.n, tile or tile_rows(d.memory_mb))],
        )
        return certain(d, found, table.error, wants, cameras)
    result = _Result(d.n, wants)
    _in_full(d, np.arange(d.n), wants, cameras, result)
    return result.done()


def tile_rows(memory_mb: float) -> int:
    """Rows of a square tile that the working memory allows, with what is made of it."""
    return int(np.clip(np.sqrt(memory_mb * 2**20 / 24), 64, 2048))


def slices(start: int, stop: int, step: int) -> list[slice]:
    """Consecutive slices of at most `step`."""
    return [slice(first, min(first + step, stop)) for first in range(start, stop, step)]


def kept(d: Distances, want: Want) -> NDArray[np.int64]:
    """Columns to keep for each row: a verifier may push as many out of the list as it has judged."""
    keep = np.full(d.n, want.depth + SLACK)
    if d.overrides is not None:
        judged = np.diff(d.overrides.starts)
        keep += np.minimum(judged, int(judged[: d.n_queries].max()))
    return keep


class _Result:
    """Lists and largest distances while they are being filled."""

    def __init__(self, n: int, wants: Sequence[Want]) -> None:
        self.cols = [np.full((n, want.depth), -1, np.int64) for want in wants]
        self.values = [np.full((n, want.depth), np.inf, np.float32) for want in wants]
        self.largest = np.zeros(n, np.float32)

    def put(
        self, number: int, rows: NDArray[np.int64] | slice, keys: NDArray[np.uint64]
    ) -> NDArray[np.float32]:
        """Takes the first of each row's keys (exact distances); returns the last distance taken."""
        depth = self.cols[number].shape[1]
        keys = np.sort(keys, axis=1)[:, :depth]
        keys = np.pad(keys, ((0, 0), (0, depth - keys.shape[1])), constant_values=FILL)
        self.values[number][rows], self.cols[number][rows] = unpack(keys)
        return self.values[number][rows][:, depth - 1]

    def done(self) -> Neighbourhood:
        return Neighbourhood(
            tuple(Lists(c, v) for c, v in zip(self.cols, self.values, strict=True)), self.largest
        )


def certain(
    d: Distances,
    found: Pass,
    error: NDArray[np.float32],
    wants: Sequence[Want],
    cameras: NDArray[np.int64] | None,
) -> Neighbourhood:
    """Exact lists from a pass: exact distances, opinions mixed in, unsure rows done again."""
    result = _Result(d.n, wants)
    unsure = np.zeros(d.n, np.bool_)
    for number, want in enumerate(wants):
        for rows in slices(0, d.n, ROWS_AT_ONCE):
            last = result.put(number, rows, _exact(d, found.keys[number][rows], rows, want, cameras))
            bound = found.bounds[number][rows].astype(np.float64)
            nearest_left_out = _distance_of(d, np.maximum(bound - error[rows], 0.0))
            unsure[rows] |= ~((last < nearest_left_out) | np.isinf(bound))
    if found.farthest is not None:
        unsure |= _largest(d, found, result.largest)
    _in_full(d, np.flatnonzero(unsure), wants, cameras, result)
    return result.done()


def _distance_of(d: Distances, squared: NDArray[np.float64]) -> NDArray[np.float32]:
    assert isinstance(d.source, FeaturePairs)
    return d.source.of_squared(squared)


def _exact(
    d: Distances,
    keys: NDArray[np.uint64],
    rows: slice,
    want: Want,
    cameras: NDArray[np.int64] | None,
) -> NDArray[np.uint64]:
    """The block's keys with true distances in place of approximate squares."""
    local, place = np.nonzero(keys != FILL)
    cols = unpack(keys[local, place])[1]
    row = local + rows.start
    if d.overrides is not None:
        raw = ~find(d.overrides.keys, row * d.n + cols)[1]
        local, row, cols = local[raw], row[raw], cols[raw]
    packed = pack(d.source.pairs(row, cols), cols)
    if d.overrides is not None:
        more_local, more = _judged(d.overrides, rows, want, cameras)
        local, packed = np.concatenate([local, more_local]), np.concatenate([packed, more])
    return padded(local, packed, len(keys))


def _judged(
    overrides: Overrides, rows: slice, want: Want, cameras: NDArray[np.int64] | None
) -> tuple[NDArray[np.int64], NDArray[np.uint64]]:
    place = np.arange(overrides.starts[rows.start], overrides.starts[rows.stop])
    row, col = overrides.rows[place], overrides.cols[place]
    if want.kind is not Kind.ALL and cameras is not None:
        fits = (cameras[row] == cameras[col]) == (want.kind is Kind.SAME)
        place, row, col = place[fits], row[fits], col[fits]
    return row - rows.start, pack(overrides.values[place], col)


def _largest(d: Distances, found: Pass, largest: NDArray[np.float32]) -> NDArray[np.bool_]:
    """Fills in the largest distances; returns the rows whose farthest images were judged or have gone."""
    far = found.farthest
    assert far is not None
    unsure: NDArray[np.bool_] = np.bincount(far.rows, minlength=d.n) == 0
    np.maximum.at(largest, far.rows, d.source.pairs(far.rows, far.cols))
    if d.overrides is not None:
        unsure[far.rows[find(d.overrides.keys, far.rows * d.n + far.cols)[1]]] = True
        np.maximum.at(largest, d.overrides.rows, d.overrides.values)
    return unsure


def _in_full(
    d: Distances,
    rows: NDArray[np.int64],
    wants: Sequence[Want],
    cameras: NDArray[np.int64] | None,
    result: _Result,
) -> None:
    """Fills in some rows from their distances to all images."""
    step = min(d.rows_at_once(d.n), ROWS_AT_ONCE)
    for start in range(0, len(rows), step):
        part = rows[start : start + step]
        block = d.block(part, 0, d.n)
        result.largest[part] = _row_maxima(d, part, block)
        block[np.arange(len(part)), part] = np.inf
        for number, want in enumerate(wants):
            seen = block
            if want.kind is not Kind.ALL and cameras is not None:
                same = cameras[part][:, None] == cameras[None, :]
                seen = np.where(same == (want.kind is Kind.SAME), block, np.float32(np.inf))
            if want.depth:
                result.put(number, part, _near(d, part, seen, want.depth))


def _row_maxima(d: Distances, rows: NDArray[np.int64], block: NDArray[np.float32]) -> NDArray[np.float32]:
    most = block.max(axis=1)
    limit = most * np.float32(1 - 1e-6) - np.float32(d.source.tolerance)
    local, cols = np.nonzero(block >= limit[:, None])
    largest = np.zeros(len(rows), np.float32)
    np.maximum.at(largest, local, d.pairs(rows[local], cols))
    return largest


def _near(d: Distances, rows: NDArray[np.int64], seen: NDArray[np.float32], depth: int) -> NDArray[np.uint64]:
    """Exact keys of all columns that may be among the `depth` nearest."""
    last = np.partition(seen, depth - 1, axis=1)[:, depth - 1]
    limit = last * np.float32(1 + 1e-6) + np.float32(2 * d.source.tolerance)
    local, cols = np.nonzero((seen <= limit[:, None]) & np.isfinite(seen))
    return padded(local, pack(d.pairs(rows[local], cols), cols), len(rows))
