"""Open-set identification: rates at the usual operating points as a document, and the DET curve as a picture."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from trainers.metrics.open_set import OpenSetCurve

FPIR = (0.001, 0.01, 0.1)
LOWEST = 1e-4  # of the picture's axes


def rates(curve: OpenSetCurve) -> dict[str, Any]:
    """TPIR with its 95 % band and the threshold at each of `FPIR`.

    Fewer strangers than 1 / FPIR cannot tell that rate from 0: `fpir_reached` says which was.
    """
    points = [(wanted, curve.at(wanted)) for wanted in FPIR]
    return {
        "mated": curve.mated,
        "strangers": curve.strangers,
        "points": [
            {
                "fpir": wanted,
                "fpir_reached": point.fpir,
                "tpir": point.tpir,
                "band": list(point.band),
                "threshold": point.threshold if np.isfinite(point.threshold) else None,
            }
            for wanted, point in points
        ],
    }


def draw(curves: Mapping[str, OpenSetCurve], path: Path) -> None:
    """FNIR over FPIR, both logarithmic, each curve with its 95 % band."""
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    figure = Figure(figsize=(6.4, 5.2), layout="constrained")
    FigureCanvasAgg(figure)
    axes = figure.subplots()
    for number, (name, curve) in enumerate(curves.items()):
        low, high = curve.band("fnir").T
        shown = np.maximum(curve.fpir, LOWEST)
        axes.step(shown, np.maximum(curve.fnir, LOWEST), where="post", color=f"C{number}", label=name)
        axes.fill_between(
            shown,
            np.maximum(low, LOWEST),
            np.maximum(high, LOWEST),
            step="post",
            color=f"C{number}",
            alpha=0.15,
        )
    axes.set(xscale="log", yscale="log", xlim=(LOWEST, 1), ylim=(LOWEST, 1.05))
    axes.set_xlabel("FPIR: share of strangers called somebody")
    axes.set_ylabel("FNIR: share of the enrolled not found")
    some = next(iter(curves.values()))
    axes.set_title(f"DET, {some.mated} enrolled and {some.strangers} strangers, bands 95 %")
    axes.grid(which="both", alpha=0.25)
    axes.legend(frameon=False)
    figure.savefig(path, dpi=120)
