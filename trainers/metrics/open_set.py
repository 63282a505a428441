"""How often enrolled people are found, at a stated rate of strangers found: TPIR at FPIR.

A query whose identity is enrolled is *mated*. With threshold t

    TPIR(t) = share of mated queries whose nearest gallery image is of their identity and at most t away
    FPIR(t) = share of the other queries with any gallery image at most t away
    FNIR(t) = 1 - TPIR(t), and the DET curve is (FPIR, FNIR) over t

Source: the measures of ISO/IEC 19795-1, identification, with candidate lists of one.
"""

from collections.abc import Sequence
from dataclasses import dataclass, fields
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy import stats

from pipeline.errors import InputError
from pipeline.rerank import checks


@dataclass(frozen=True, slots=True)
class OpenSetCurve:
    """Rates over all thresholds at which one of them changes, ascending.

    Attributes:
        threshold: (T,) distances; the first, minus infinity, accepts nobody.
        fpir: (T,) false-positive identification rate.
        tpir: (T,) true-positive identification rate.
        mated: Queries whose identity is enrolled.
        strangers: The others.
    """

    threshold: NDArray[np.float64]
    fpir: NDArray[np.float64]
    tpir: NDArray[np.float64]
    mated: int
    strangers: int

    @property
    def fnir(self) -> NDArray[np.float64]:
        """(T,) false-negative identification rate: the DET curve's other axis."""
        result: NDArray[np.float64] = 1.0 - self.tpir
        return result

    def band(self, rate: str = "tpir", confidence: float = 0.95) -> NDArray[np.float64]:
        """(T, 2) exact (Clopper-Pearson) limits of "tpir", "fnir" or "fpir".

        Queries count as independent; several of one person make the true band wider.
        """
        values = {"tpir": self.tpir, "fnir": self.fnir, "fpir": self.fpir}[rate]
        return binomial_band(values, self.strangers if rate == "fpir" else self.mated, confidence)

    def at(self, fpir: float) -> "OperatingPoint":
        """The largest threshold whose FPIR is at most `fpir`, and what it gives."""
        place = int(np.searchsorted(self.fpir, fpir, "right")) - 1
        low, high = self.band()[place]
        return OperatingPoint(
            float(self.threshold[place]),
            float(self.fpir[place]),
            float(self.tpir[place]),
            (float(low), float(high)),
        )


@dataclass(frozen=True, slots=True)
class OperatingPoint:
    """One threshold: its rates, and the 95 % band of TPIR."""

    threshold: float
    fpir: float
    tpir: float
    band: tuple[float, float]


@dataclass(frozen=True, slots=True)
class Nearest:
    """What each query's nearest gallery image says.

    Attributes:
        distance: (Q,) to it.
        right: (Q,) bool: it is of the query's identity.
        mated: (Q,) bool: the identity is enrolled.
        stranger: (Q,) bool: it is not. A query that is neither does not count.
    """

    distance: NDArray[np.float64]
    right: NDArray[np.bool_]
    mated: NDArray[np.bool_]
    stranger: NDArray[np.bool_]

    @classmethod
    def of(
        cls,
        distances: Any,
        query_ids: Any,
        gallery_ids: Any,
        query_cameras: Any = None,
        gallery_cameras: Any = None,
    ) -> "Nearest":
        """The nearest images of a block of queries.

        With cameras, gallery images of the query's identity and camera are left out, as `retrieval_scores` does; a
        query of whom nothing else is enrolled does not count. Images of identity -1 are always left out.

        Args:
            distances: (Q, G), smaller = nearer.
            query_ids: (Q,) whole numbers; -1 and whatever the gallery does not hold are strangers.
            gallery_ids: (G,) whole numbers.
            query_cameras: (Q,) whole numbers.
            gallery_cameras: (G,) whole numbers.

        Raises:
            InputError: Shapes that do not fit.
        """
        table = checks.matrix("distances", distances, (None, None)).astype(np.float64)
        wanted = checks.labels("query ids", query_ids, len(table))
        ids = checks.labels("gallery ids", gallery_ids, table.shape[1])
        same = (wanted[:, None] == ids) & (ids != -1)
        counted = np.broadcast_to(ids != -1, table.shape)
        if query_cameras is not None and gallery_cameras is not None:
            seen_by = checks.labels("query cameras", query_cameras, len(table))
            cameras = checks.labels("gallery cameras", gallery_cameras, table.shape[1])
            counted = counted & ~(same & (seen_by[:, None] == cameras))
        table = np.where(counted, table, np.inf)
        place = table.argmin(axis=1)
        rows = np.arange(len(table))
        mated = (same & counted).any(axis=1)
        return cls(table[rows, place], same[rows, place], mated, ~same.any(axis=1))

    @classmethod
    def joined(cls, parts: Sequence["Nearest"]) -> "Nearest":
        """Blocks as one."""
        return cls(
            *(np.concatenate([getattr(part, field.name) for part in parts]) for field in fields(Nearest))
        )

    def curve(self) -> OpenSetCurve:
        """TPIR and FPIR over all thresholds.

        Raises:
            InputError: No mated query, or no stranger.
        """
        n_mated, n_strangers = int(self.mated.sum()), int(self.stranger.sum())
        if not n_mated or not n_strangers:
            raise InputError(
                f"{n_mated} queries are enrolled and {n_strangers} are not: open-set rates need both kinds",
                "add queries of people who are not in the gallery",
            )
        right = np.sort(self.distance[self.mated & self.right])
        wrong = np.sort(self.distance[self.stranger])
        threshold = np.concatenate([[-np.inf], np.unique(np.concatenate([right, wrong]))])
        return OpenSetCurve(
            threshold,
            np.searchsorted(wrong, threshold, "right") / n_strangers,
            np.searchsorted(right, threshold, "right") / n_mated,
            n_mated,
            n_strangers,
        )


def open_set_curve(distances: Any, query_ids: Any, gallery_ids: Any) -> OpenSetCurve:
    """TPIR and FPIR over all thresholds; see `Nearest.of`.

    Raises:
        InputError: Shapes that do not fit, or no mated query, or no stranger.
    """
    return Nearest.of(distances, query_ids, gallery_ids).curve()


def binomial_band(rate: NDArray[np.float64], n: int, confidence: float = 0.95) -> NDArray[np.float64]:
    """Exact limits of a rate seen in n independent trials, (T, 2).

    low = Beta(x, n - x + 1) at (1 - confidence) / 2, high = Beta(x + 1, n - x) at (1 + confidence) / 2, x = rate * n.

    Source: Clopper and Pearson, 1934.
    """
    checks.within(0.5, 0.9999, confidence=confidence)
    x = np.round(np.asarray(rate) * n)
    tail = (1 - confidence) / 2
    low = np.where(x > 0, stats.beta.ppf(tail, np.maximum(x, 1), n - x + 1), 0.0)
    high = np.where(x < n, stats.beta.ppf(1 - tail, x + 1, np.maximum(n - x, 1)), 1.0)
    return np.stack([low, high], axis=-1)
