"""Nearest and farthest images from one pass over the upper half of the distance table, tile by tile.

The pass works on approximate float32 distances with a proven error bound: it keeps a few more columns a row than
are wanted, and says below which distance nothing was left out. `neighbours` makes the result exact.

Source: our own; the bound is the usual one of a dot product, Higham, Accuracy and Stability of Numerical
Algorithms, 3.1.
"""

from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from enum import Enum
from typing import Any

import numpy as np
from numpy.typing import NDArray

from pipeline.rerank.farthest import Farthest
from pipeline.rerank.packed import FILL, pack, padded, unpack

_ROUNDOFF = 2.0**-24
_SAMPLE = 512  # columns that give the first bound


Mask = NDArray[np.bool_] | None


class Kind(Enum):
    """Which images a row looks at; itself never."""

    ALL = "all"
    SAME = "same camera"
    OTHER = "other cameras"


@dataclass(frozen=True, slots=True)
class Want:
    """So many nearest images of a kind."""

    depth: int
    kind: Kind = Kind.ALL


class Shortlist:
    """The nearest columns seen so far of a block of rows.

    Attributes:
        keys: (rows, <= keep) packed, sorted after `settle`.
        bound: (rows,) every column seen that is not in `keys` is at least so far.
    """

    def __init__(self, keep: int, keys: NDArray[np.uint64], bound: NDArray[np.float32]) -> None:
        self._keep = keep
        self.keys = keys
        self.bound = bound
        self._rows: list[NDArray[np.int64]] = []
        self._keys: list[NDArray[np.uint64]] = []
        self._waiting = 0

    def offer(
        self, tile: NDArray[np.float32], first: int, axis: int, allowed: NDArray[np.bool_] | None = None
    ) -> None:
        """Shows a tile of squared distances.

        Args:
            tile: (rows, columns) for axis 0, (columns, rows) for axis 1.
            first: Number of the first column.
            axis: Where this block's rows are.
            allowed: Of the tile's shape: what may be taken; None = all.
        """
        others = 1 - axis
        if tile.shape[others] > self._keep and np.isinf(self.bound).any():
            width = slice(max(_SAMPLE, 4 * self._keep))
            part = (slice(None), width) if axis == 0 else (width, slice(None))
            some = tile[part] if allowed is None else np.where(allowed[part], tile[part], np.float32(np.inf))
            some = np.partition(some if axis == 0 else some.T, self._keep, axis=1)
            self.bound = np.minimum(self.bound, some[:, self._keep])
        near = tile < (self.bound[:, None] if axis == 0 else self.bound)
        if allowed is not None:
            near &= allowed
        found = np.flatnonzero(near)
        if not len(found):
            return
        values = np.maximum(tile.reshape(-1)[found], np.float32(0)) + np.float32(0)
        place = np.divmod(found, tile.shape[1])
        self._rows.append(place[axis])
        self._keys.append(pack(values, place[others] + first))
        self._waiting += len(found)
        if self._waiting > self._keep * len(self.bound):
            self.settle()

    def settle(self) -> None:
        """Merges what has come in, and lowers the bound."""
        if self._rows:
            came = padded(np.concatenate(self._rows), np.concatenate(self._keys), len(self.bound))
            self.keys = np.concatenate([self.keys, came], axis=1)
            self._rows, self._keys, self._waiting = [], [], 0
        if self.keys.shape[1] > self._keep:
            self.keys.partition(self._keep, axis=1)
            self.bound = np.minimum(self.bound, unpack(self.keys[:, self._keep])[0])
            self.keys = self.keys[:, : self._keep].copy()
        self.keys.sort(axis=1)


class Table:
    """Squared distances of all images, a tile at a time, as one float32 product.

    Attributes:
        squares: (N,) squared distances from the centre.
        error: (N,) no tile value of a row is further than this from the true squared distance.
    """

    def __init__(self, features: NDArray[Any], centre: NDArray[np.float64] | None = None) -> None:
        self.centre = features.mean(axis=0, dtype=np.float64) if centre is None else centre
        n, width = features.shape
        self._left = np.ones((n, width + 2), np.float32)
        self._right = np.ones((n, width + 2), np.float32)
        self._left[:, :width] = features - self.centre
        squares = np.einsum("ij,ij->i", self._left[:, :width], self._left[:, :width], dtype=np.float64)
        self._left[:, width] = self._right[:, width + 1] = squares
        np.multiply(self._left[:, :width], np.float32(-2), out=self._right[:, :width])
        self.squares: NDArray[np.float32] = self._left[:, width].copy()
        bound = 2 * (width + 8) * _ROUNDOFF * (squares + squares.max())
        self.error: NDArray[np.float32] = bound.astype(np.float32)

    def tile(
        self, rows: slice | NDArray[np.int64], cols: slice, out: NDArray[np.float32] | None = None
    ) -> NDArray[np.float32]:
        """Approximate squared distances; `out` is memory to put them in."""
        left, right = self._left[rows], self._right[cols]
        if out is not None:
            out = out[: len(left) * len(right)].reshape(len(left), len(right))
        return np.matmul(left, right.T, out=out)


@dataclass(slots=True)
class Pass:
    """What a pass has found.

    Attributes:
        keys: For each want (N, keep) packed squared distances and columns.
        bounds: For each want (N,): nothing left out is nearer (squared).
        farthest: Candidates for the farthest image, if asked for.
    """

    keys: list[NDArray[np.uint64]]
    bounds: list[NDArray[np.float32]]
    farthest: Farthest | None

    @classmethod
    def empty(cls, n: int, wants: int, farthest: bool) -> "Pass":
        """Before anything was seen."""
        return cls(
            [np.zeros((n, 0), np.uint64) for _ in range(wants)],
            [np.full(n, np.inf, np.float32) for _ in range(wants)],
            Farthest(n) if farthest else None,
        )


@dataclass(frozen=True, slots=True)
class Prepared:
    """A pass that was made before, and may be used instead of a new one.

    Attributes:
        wants: What it looked for.
        found: What it found.
        error: (N,) as in `Table`.
        cameras: (N,) it was made with.
    """

    wants: tuple[Want, ...]
    found: Pass
    error: NDArray[np.float32]
    cameras: NDArray[np.int64] | None

    def covers(self, wants: Sequence[Want], cameras: NDArray[np.int64] | None) -> Pass | None:
        """The pass for these wants, in their order, or None when it does not hold them."""
        numbers = []
        for want in wants:
            if want.kind is not Kind.ALL and not np.array_equal(cameras, self.cameras):  # type: ignore[arg-type]
                return None
            number = next((i for i, w in enumerate(self.wants) if w.kind is want.kind), None)
            if number is None or self.wants[number].depth < want.depth:
                return None
            numbers.append(number)
        found = self.found
        return Pass([found.keys[i] for i in numbers], [found.bounds[i] for i in numbers], found.farthest)


def sweep(
    table: Table,
    wants: Sequence[Want],
    keeps: Sequence[NDArray[np.int64]],
    cameras: NDArray[np.int64] | None,
    before: Pass,
    blocks: Sequence[tuple[slice, bool]],
) -> Pass:
    """Offers every tile of the upper half that has something new in it to its rows and to its columns.

    Rows and columns look at a tile side by side, on two threads that share nothing else.

    Args:
        table: Where tiles come from.
        wants: What is looked for.
        keeps: For each want (N,) columns to keep for each row; the most in a block is kept for the block.
        cameras: (N,) for the kinds that need them.
        before: What is known of the blocks that are not new.
        blocks: All rows in consecutive slices, and whether a slice is new.
    """
    lists = [
        [
            Shortlist(int(keep[rows].max()), before.keys[w][rows], before.bounds[w][rows].copy())
            for rows, _ in blocks
        ]
        for w, keep in enumerate(keeps)
    ]
    far = before.farthest
    small = None if cameras is None else np.unique(cameras, return_inverse=True)[1].astype(np.int32)
    room = np.empty(max(rows.stop - rows.start for rows, _ in blocks) ** 2, np.float32)

    def offer(tile: NDArray[np.float32], masks: Sequence[Mask], a: int, b: int, axis: int) -> None:
        """Shows block a, which has the tile's rows (axis 0) or columns (axis 1), the images of block b."""
        mine, others = blocks[a][0], blocks[b][0]
        if far is not None:
            far.offer(tile, table.error, mine.start, others.start, axis)
        if a == b:
            np.fill_diagonal(tile, np.inf)
        for mask, shortlists in zip(masks, lists, strict=True):
            shortlists[a].offer(tile, others.start, axis, mask)

    with ThreadPoolExecutor(1) as helper:
        for a, (rows, row_new) in enumerate(blocks):
            for b in range(a, len(blocks)):
                cols, col_new = blocks[b]
                if row_new or col_new:
                    tile = table.tile(rows, cols, room)
                    masks = allowed(wants, small, rows, cols)
                    down = helper.submit(offer, tile, masks, b, a, 1) if a != b else None
                    offer(tile, masks, a, b, 0)
                    if down is not None:
                        down.result()
    if far is not None:
        far.settle(table.error)
    return _settled(lists, far)


def allowed(
    wants: Sequence[Want],
    cameras: NDArray[Any] | None,
    rows: slice | NDArray[np.int64],
    cols: slice,
) -> list[Mask]:
    """For each want what of a tile is of its kind; None = all of it."""
    if cameras is None:
        return [None] * len(wants)
    same = cameras[rows][:, None] == cameras[cols]
    masks: dict[Kind, Mask] = {Kind.ALL: None, Kind.SAME: same, Kind.OTHER: ~same}
    return [masks[want.kind] for want in wants]


def _settled(lists: list[list[Shortlist]], far: Farthest | None) -> Pass:
    keys, bounds = [], []
    for shortlists in lists:
        for shortlist in shortlists:
            shortlist.settle()
        width = max(shortlist.keys.shape[1] for shortlist in shortlists)
        keys.append(
            np.concatenate(
                [
                    np.pad(s.keys, ((0, 0), (0, width - s.keys.shape[1])), constant_values=FILL)
                    for s in shortlists
                ]
            )
        )
        bounds.append(np.concatenate([shortlist.bound for shortlist in shortlists]))
    return Pass(keys, bounds, far)
