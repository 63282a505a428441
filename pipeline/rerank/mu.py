"""The mu-distance: a verifier's opinion of shortlisted pairs, mixed into their distances."""

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from pipeline.errors import InputError
from pipeline.rerank import checks


@dataclass(frozen=True, slots=True)
class MuEntries:
    """What a verifier said of each query's shortlist.

    Attributes:
        candidates: (Q, C) int64 gallery rows.
        p_no: (Q, C) float32 in [0, 1]: probability that query and candidate differ.
        alpha: Weight of the verifier in [0, 1].

    Raises:
        InputError: Shapes differ, a probability is not in [0, 1], or a candidate is listed twice with two
            opinions.
        ConfigError: `alpha` is not in [0, 1].
    """

    candidates: NDArray[np.int64]
    p_no: NDArray[np.float32]
    alpha: float

    def __post_init__(self) -> None:
        checks.within(0, 1, alpha=self.alpha)
        candidates: NDArray[Any] = np.asarray(self.candidates)
        if candidates.dtype.kind not in "iu":
            raise InputError(f"candidates must be gallery rows (int64), not {candidates.dtype}")
        p_no = checks.matrix("p_no", self.p_no, (None, None))
        if candidates.shape != p_no.shape:
            raise InputError(f"candidates {candidates.shape} and p_no {p_no.shape} must have one shape")
        outside = (p_no < 0) | (p_no > 1)
        if outside.any():
            raise InputError(f"p_no = {p_no[outside][0]} is not a probability in [0, 1]")
        object.__setattr__(self, "candidates", np.ascontiguousarray(candidates, np.int64))
        object.__setattr__(self, "p_no", p_no)
        self._refuse_contradictions()

    def _refuse_contradictions(self) -> None:
        order = np.argsort(self.candidates, axis=1, kind="stable")
        row = np.take_along_axis(self.candidates, order, 1)
        said = np.take_along_axis(self.p_no, order, 1)
        twice = (row[:, 1:] == row[:, :-1]) & (said[:, 1:] != said[:, :-1])
        if twice.any():
            query, place = np.argwhere(twice)[0]
            raise InputError(
                f"query {query} lists candidate {row[query, place]} twice, with two values of p_no"
            )

    def check_range(self, n_queries: int, n_gallery: int) -> None:
        """Whether the entries fit a set.

        Raises:
            InputError: Another number of queries, or a candidate outside the gallery.
        """
        if len(self.candidates) != n_queries:
            raise InputError(f"candidates have {len(self.candidates)} rows for {n_queries} queries")
        outside = (self.candidates < 0) | (self.candidates >= n_gallery)
        if outside.any():
            query, place = np.argwhere(outside)[0]
            raise InputError(
                f"query {query} lists candidate {self.candidates[query, place]}, the gallery has rows 0 to "
                f"{n_gallery - 1}",
                "candidates are rows of gallery_features",
            )

    def mix(self, distances: NDArray[np.float32]) -> NDArray[np.float32]:
        """(1 - alpha) * distance + alpha * 2 * p_no, (Q, C), from the candidates' own distances (Q, C).

        The factor 2 brings p_no to the range of Euclidean distances between unit vectors.
        """
        mixed = (1.0 - self.alpha) * distances.astype(np.float64) + self.alpha * 2.0 * self.p_no.astype(
            np.float64
        )
        return mixed.astype(np.float32)


class Overrides:
    """The pairs whose distance is not the raw one; both directions of the query-gallery block."""

    def __init__(self, rows: NDArray[np.int64], cols: NDArray[np.int64], values: NDArray[np.float32], n: int):
        keys, first = np.unique(np.concatenate([rows * n + cols, cols * n + rows]), return_index=True)
        self.keys = keys
        self.values = np.concatenate([values, values])[first]
        self.rows, self.cols = np.divmod(keys, n)
        self.starts = np.searchsorted(self.rows, np.arange(n + 1))
        self._n = n

    def of_rows(self, rows: NDArray[np.int64]) -> NDArray[np.int64]:
        """Places of all overrides in these rows, row by row."""
        return concatenated_ranges(self.starts[rows], self.starts[rows + 1] - self.starts[rows])

    def apply(
        self, rows: NDArray[np.int64], cols: NDArray[np.int64], values: NDArray[np.float32]
    ) -> NDArray[np.float32]:
        """`values` of the pairs, mixed where an opinion is known."""
        place, known = find(self.keys, rows * self._n + cols)
        return np.where(known, self.values[place], values)


def find(keys: NDArray[np.int64], wanted: NDArray[np.int64]) -> tuple[NDArray[np.int64], NDArray[np.bool_]]:
    """Place of each wanted key among sorted keys, and whether it is there (otherwise the place means nothing)."""
    if not len(keys):
        return np.zeros(len(wanted), np.int64), np.zeros(len(wanted), np.bool_)
    place = np.minimum(np.searchsorted(keys, wanted), len(keys) - 1)
    return place, keys[place] == wanted


def concatenated_ranges(starts: NDArray[Any], lengths: NDArray[Any]) -> NDArray[np.int64]:
    """start, start + 1, ... of each range, one after the other.

    >>> concatenated_ranges(np.array([5, 9]), np.array([2, 3])).tolist()
    [5, 6, 9, 10, 11]
    """
    before = np.cumsum(lengths) - lengths
    return np.repeat(starts - before, lengths) + np.arange(int(lengths.sum()))
