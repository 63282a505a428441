"""All images of a set on a torch device, and what re-rankers look up among them.

A sparse N x N matrix is a sorted vector of keys row * N + column with a vector of values.
"""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from pipeline.rerank import Distances
from pipeline.rerank.distances import FeaturePairs

Tensor = Any
SAME_IMAGE = 1e-13  # squared distances below this share of the norms are the rounding of equal features
PAIRS_AT_ONCE = 2**18


@dataclass(frozen=True, slots=True)
class Sparse:
    """keys: sorted row * N + column; values: float64."""

    keys: Tensor
    values: Tensor


class Table:
    """All images on the device, and what is looked up among them."""

    def __init__(
        self, d: Distances, device: Any, memory_mb: float, cameras: NDArray[np.int64] | None
    ) -> None:
        self.d, self.n, self._device = d, d.n, device
        self._step = max(1, int(memory_mb * 2**20 / (d.n * 40)))
        self._cameras: Tensor = None if cameras is None else torch.from_numpy(cameras).to(device)
        self._features: Tensor = None
        if isinstance(d.source, FeaturePairs):
            self._features = torch.from_numpy(d.source.features).to(device)
            self._squares = torch.from_numpy(d.source.squares).to(device)
        if d.overrides is not None:
            self._mixed_keys = torch.from_numpy(d.overrides.keys).to(device)
            self._mixed = torch.from_numpy(d.overrides.values).to(device)

    def query_slices(self) -> Iterator[slice]:
        """The queries in blocks that fit the memory."""
        for start in range(0, self.d.n_queries, self._step):
            yield slice(start, min(start + self._step, self.d.n_queries))

    def rows(self, rows: Tensor) -> Tensor:
        """(b, N) float32 distances."""
        if self._features is None:
            return torch.from_numpy(self.d.block(rows.cpu().numpy(), 0, self.n)).to(self._device)
        norms = self._squares[rows, None] + self._squares
        squared = norms - 2.0 * (self._features[rows].double() @ self._features.double().T)
        squared[squared < SAME_IMAGE * norms] = 0.0
        squared[torch.arange(len(rows), device=self._device), rows] = 0.0
        return self._overridden(self._distance(squared), rows)

    def _distance(self, squared: Tensor) -> Tensor:
        assert isinstance(self.d.source, FeaturePairs)
        return (squared * 0.5 if self.d.source.cosine else squared.sqrt()).float()

    def _overridden(self, block: Tensor, rows: Tensor) -> Tensor:
        if self.d.overrides is None:
            return block
        keys = rows[:, None] * self.n + torch.arange(self.n, device=self._device)
        place, known = _find(self._mixed_keys, keys)
        return torch.where(known, self._mixed[place], block)

    def pairs(self, keys: Tensor) -> Tensor:
        """(M,) float64 of float32 distances of the pairs row * N + column."""
        parts = [self._pairs(keys[i : i + PAIRS_AT_ONCE]) for i in range(0, len(keys), PAIRS_AT_ONCE)]
        return torch.cat(parts).double()

    def _pairs(self, keys: Tensor) -> Tensor:
        rows, cols = keys // self.n, keys % self.n
        if self._features is None:
            values = self.d.pairs(rows.cpu().numpy(), cols.cpu().numpy())
            return torch.from_numpy(values).to(self._device)
        difference = self._features[rows].double() - self._features[cols].double()
        values = self._distance((difference * difference).sum(dim=1))
        if self.d.overrides is None:
            return values
        place, known = _find(self._mixed_keys, keys)
        return torch.where(known, self._mixed[place], values)

    def nearest(self, wants: list[tuple[int, bool | None]]) -> tuple[list[Tensor], Tensor]:
        """For each (depth, same camera or not or either) lists (N, 1 + depth), itself first, -1 = none; row maxima."""
        lists: list[list[Tensor]] = [[] for _ in wants]
        largest = []
        for start in range(0, self.n, self._step):
            rows = torch.arange(start, min(start + self._step, self.n), device=self._device)
            block = self.rows(rows)
            largest.append(block.amax(dim=1))
            keys = (block.view(torch.int32).long() << 32) | torch.arange(self.n, device=self._device)
            keys[torch.arange(len(rows), device=self._device), rows] = -1
            for found, (depth, same) in zip(lists, wants, strict=True):
                found.append(self._first(keys, rows, min(depth + 1, self.n), same))
        return [torch.cat(found) for found in lists], torch.cat(largest)

    def _first(self, keys: Tensor, rows: Tensor, count: int, same: bool | None) -> Tensor:
        none = torch.iinfo(torch.int64).max
        if same is not None:
            fits = (self._cameras[rows, None] == self._cameras) == same
            fits[torch.arange(len(rows), device=self._device), rows] = True
            keys = torch.where(fits, keys, none)
        best = torch.topk(keys, count, dim=1, largest=False, sorted=True).values
        cols = torch.where(best == none, -1, best & 0xFFFFFFFF)
        cols[:, 0] = rows
        return cols

    def _keys(self, lists: Tensor) -> Tensor:
        """Keys of (row, listed image); those of no image are negative."""
        rows = torch.arange(self.n, device=self._device)[:, None]
        return torch.where(lists >= 0, rows * self.n + lists, -1)

    def mutual(self, lists: Tensor) -> Tensor:
        """Sorted keys of all pairs that list each other."""
        keys = self._keys(lists)
        keys = keys[keys >= 0].sort().values
        _, known = _find(keys, (keys % self.n) * self.n + keys // self.n)
        return keys[known]

    def expanded(self, lists: Tensor, half: int) -> Tensor:
        """The k-reciprocal sets grown by half lists of which more than two thirds lie in them, as sorted keys."""
        wide = self.mutual(lists)
        _, known = _find(self.mutual(lists[:, :half]), self._keys(lists[:, :half]))
        halves = torch.where(known, lists[:, :half], -1)[wide % self.n]
        there = halves >= 0
        keys = (wide // self.n)[:, None] * self.n + halves
        inside = _find(wide, keys)[1] & there
        enough = 3 * inside.sum(dim=1) > 2 * there.sum(dim=1)
        return torch.unique(torch.cat([wide, keys[there & enough[:, None]]]))

    def matrix(self, lists: Tensor, values: Tensor) -> Sparse:
        """The value of its place for each listed image."""
        keys, order = self._keys(lists).flatten().sort()
        return Sparse(keys, values.repeat(self.n)[order])

    def combined(self, lists: Tensor, vectors: Sparse) -> Sparse:
        """For each row the sum of the vectors that its list names; -1 is none."""
        rows, place = torch.nonzero(lists >= 0, as_tuple=True)
        starts, lengths = self._extents(vectors, lists[rows, place])
        entry = _ranges(starts, lengths)
        keys = torch.repeat_interleave(rows, lengths) * self.n + vectors.keys[entry] % self.n
        keys, group = torch.unique(keys, return_inverse=True)
        sums = torch.zeros(len(keys), dtype=torch.float64, device=self._device)
        return Sparse(keys, sums.index_add_(0, group, vectors.values[entry]))

    def _extents(self, vectors: Sparse, rows: Tensor) -> tuple[Tensor, Tensor]:
        starts = torch.searchsorted(vectors.keys, rows * self.n)
        return starts, torch.searchsorted(vectors.keys, (rows + 1) * self.n) - starts

    def gallery_columns(self, vectors: Sparse) -> Sparse:
        """The gallery's rows turned: column * N + row."""
        first = int(torch.searchsorted(vectors.keys, self.d.n_queries * self.n))
        keys, order = ((vectors.keys[first:] % self.n) * self.n + vectors.keys[first:] // self.n).sort()
        return Sparse(keys, vectors.values[first:][order])

    def overlaps(
        self, left: Sparse, right: Sparse, queries: slice, combine: Callable[[Tensor, Tensor], Tensor]
    ) -> Tensor:
        """(b, G) float64: sum over images of combine(left of the query, right of the gallery row).

        `right` comes from `gallery_columns`.
        """
        q, g = self.d.n_queries, self.d.n_gallery
        begin, end = (
            int(torch.searchsorted(left.keys, row * self.n)) for row in (queries.start, queries.stop)
        )
        result = torch.zeros((queries.stop - queries.start) * g, dtype=torch.float64, device=self._device)
        for part in range(begin, end, PAIRS_AT_ONCE // 4):
            keys, values = (x[part : min(end, part + PAIRS_AT_ONCE // 4)] for x in (left.keys, left.values))
            starts, lengths = self._extents(right, keys % self.n)
            entry = _ranges(starts, lengths)
            both = combine(torch.repeat_interleave(values, lengths), right.values[entry])
            row = torch.repeat_interleave(keys // self.n - queries.start, lengths)
            result.index_add_(0, row * g + right.keys[entry] % self.n - q, both)
        return result.view(-1, g)


def _find(keys: Tensor, wanted: Tensor) -> tuple[Tensor, Tensor]:
    """Place of each wanted key among sorted keys, and whether it is there."""
    if not len(keys):
        return torch.zeros_like(wanted), torch.zeros_like(wanted, dtype=torch.bool)
    place = torch.searchsorted(keys, wanted).clamp_(max=len(keys) - 1)
    return place, keys[place] == wanted


def _ranges(starts: Tensor, lengths: Tensor) -> Tensor:
    """start, start + 1, ... of each range, one after the other."""
    before = torch.cumsum(lengths, 0) - lengths
    return torch.repeat_interleave(starts - before, lengths) + torch.arange(
        int(lengths.sum()), device=starts.device
    )
