"""How often enrolled people are found, at a stated rate of strangers found: TPIR at FPIR.

A query whose identity is enrolled is *mated*. With threshold t

    TPIR(t) = share of mated queries whose nearest gallery image is of their identity and at most t away
    FPIR(t) = share of the other queries with any gallery image at most t away
    FNIR(t) = 1 - TPIR(t), and the DET curve is (FPIR, FNIR) over t

Source: the measures of ISO/IEC 19795-1, identification, with candidate lists of one.
"""

from dataclasses import dataclass
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


def open_set_curve(distances: Any, query_ids: Any, gallery_ids: Any) -> OpenSetCurve:
    """TPIR and FPIR over all thresholds.

    Args:
        distances: (Q, G), smaller = nearer.
        query_ids: (Q,) whole numbers; -1 and whatever the gallery does not hold are strangers.
        gallery_ids: (G,) whole numbers.

    Raises:
        InputError: Shapes that do not fit, or no mated query, or no stranger.
    """
    table = checks.matrix("distances", distances, (None, None)).astype(np.float64)
    wanted = checks.labels("query ids", query_ids, len(table))
    ids = checks.labels("gallery ids", gallery_ids, table.shape[1])
    mated = np.isin(wanted, ids) & (wanted != -1)
    if mated.all() or not mated.any():
        raise InputError(
            f"{mated.sum()} of {len(mated)} queries are enrolled: open-set rates need both kinds",
            "add queries of people who are not in the gallery",
        )
    nearest = table.argmin(axis=1)
    least = table[np.arange(len(table)), nearest]
    right = np.sort(least[mated & (ids[nearest] == wanted)])
    wrong = np.sort(least[~mated])
    threshold = np.concatenate([[-np.inf], np.unique(np.concatenate([right, wrong]))])
    n_mated, n_strangers = int(mated.sum()), int((~mated).sum())
    return OpenSetCurve(
        threshold,
        np.searchsorted(wrong, threshold, "right") / n_strangers,
        np.searchsorted(right, threshold, "right") / n_mated,
        n_mated,
        n_strangers,
    )


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
