"""What a calibration promises, as a picture: false alarms and missed people over the cut, and reliability."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from pipeline.identify.calibration import Calibration
from trainers.metrics.impostors import ImpostorModel, Searches

SHOWN = (10, 100, 1000, 10_000)  # enrolled
LOWEST = 1e-5  # of the rates' axis
BINS = 10  # of the probabilities
POINTS = 200  # of a curve


def draw(made: Calibration, searches: Mapping[str, Searches], path: Path) -> None:
    """One row for each kind that there are pairs of."""
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    figure = Figure(figsize=(10.5, 4.4 * len(searches)), layout="constrained")
    FigureCanvasAgg(figure)
    for (kind, pairs), (rates, right) in zip(
        searches.items(), figure.subplots(len(searches), 2, squeeze=False), strict=True
    ):
        _rates(rates, kind, pairs, made.asked.fpir)
        _reliability(right, kind, pairs, made)
    figure.savefig(path, dpi=110)


def _rates(axes: Any, kind: str, pairs: Searches, fpir: float) -> None:
    model = ImpostorModel.fit(pairs)
    counted = pairs.distances[pairs.genuine | pairs.impostor]
    cuts = np.linspace(0.8 * counted.min(), counted.max(), POINTS)
    for n in SHOWN:
        rate = model.fpir(cuts, np.full(len(cuts), float(n)))
        axes.plot(cuts, np.maximum(rate, LOWEST), label=f"false alarms, {n} enrolled")
    if pairs.genuine.any():
        own = np.sort(pairs.distances[pairs.genuine])
        missed = 1 - np.searchsorted(own, cuts, "right") / len(own)
        axes.plot(cuts, np.maximum(missed, LOWEST), "k", label="missed")
    axes.axhline(fpir, color="grey", linestyle=":", label="asked for")
    axes.set(yscale="log", ylim=(LOWEST, 1.2), xlabel="cut (distance)", ylabel="share", title=kind)
    axes.grid(which="both", alpha=0.25)
    axes.legend(frameon=False, fontsize="small")


def _reliability(axes: Any, kind: str, pairs: Searches, made: Calibration) -> None:
    told, true, weight = _probabilities(kind, pairs, made)
    axes.plot([0, 1], [0, 1], color="grey", linestyle=":")
    if len(told):
        place = np.minimum((told * BINS).astype(int), BINS - 1)
        for number in np.unique(place):
            own = place == number
            axes.plot(
                np.average(told[own], weights=weight[own]),
                np.average(true[own], weights=weight[own]),
                "o",
                color="C0",
            )
    axes.set(xlim=(0, 1), ylim=(0, 1), title="reliability, as many genuine as impostor")
    axes.set(xlabel="probability told", ylabel="share that is genuine")
    axes.grid(alpha=0.25)


def _probabilities(
    kind: str, pairs: Searches, made: Calibration
) -> tuple[NDArray[np.float64], NDArray[np.float64], NDArray[np.float64]]:
    """Probability, truth and weight of every pair; both kinds of pair weigh the same."""
    fitted = made.text if kind == "text" else made.picture
    if fitted is None or fitted.likelihood is None:
        return np.empty(0), np.empty(0), np.empty(0)
    groups = pairs.distances[pairs.genuine], pairs.distances[pairs.impostor]
    odds = fitted.likelihood.intercept + fitted.likelihood.slope * np.concatenate(groups)
    told = 1 / (1 + np.exp(-np.clip(odds, -80, 80)))
    sizes = [len(group) for group in groups]
    return told, np.repeat([1.0, 0.0], sizes), np.repeat([1 / size for size in sizes], sizes)
