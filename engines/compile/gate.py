"""The gate: an engine that strays too far from its reference is refused.

An embedder must point where the reference points, what all crops share left out; a detector must find the same boxes;
anything else must give the same numbers. On labelled pictures, no score may drop by more than half a point (in eight
bits, one).
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from engines.compile.likeness import answers, likeness
from engines.errors import EngineError, GateError
from engines.manifest import Manifest, Precision
from engines.network import BoxNetwork, VectorNetwork
from engines.sessions.base import Session
from pipeline.registry import known, load

LEAST_COSINE: dict[Precision, float] = {
    "fp32": 0.9999,
    "fp16": 0.999,
    "bf16": 0.99,
    "int8": 0.95,
    "fp8": 0.9,
}
"""Of the worst picture, without what all pictures share."""
LEAST_MEAN: dict[Precision, float] = {**LEAST_COSINE, "int8": 0.99, "fp8": 0.95}
"""Of the mean of all pictures."""
LEAST_AGREEMENT: dict[Precision, float] = {
    "fp32": 0.999,
    "fp16": 0.99,
    "bf16": 0.95,
    "int8": 0.95,
    "fp8": 0.95,
}
MOST_LOST: dict[Precision, float] = {"fp32": 0.005, "fp16": 0.005, "bf16": 0.005, "int8": 0.01, "fp8": 0.01}
"""Of a score in [0, 1]."""
SCORED = 0.02  # of the boxes that go to a scorer, which cuts them itself

Scorer = Callable[[Any, Path], Mapping[str, float]]
"""What `musewatch.gate` names by role: (`VectorNetwork` or `BoxNetwork`, folder) to scores in [0, 1]."""


@dataclass(frozen=True, slots=True)
class Trial:
    """What an engine is judged on.

    Attributes:
        pictures: BGR, of the kind that it is made for.
        labels: Folder that the role's scorer reads; None = it is not scored.
    """

    pictures: Sequence[NDArray[np.uint8]]
    labels: Path | None = None


def judge(manifest: Manifest, candidate: Session, reference: Session, trial: Trial) -> dict[str, Any]:
    """What was measured, when the candidate may be kept.

    Args:
        manifest: The candidate's.
        candidate: In the manifest's precision.
        reference: The same network as torch runs it, or the export it was made from.
        trial: What both are run on.

    Raises:
        GateError: The candidate is refused; the message has every reason, with figures.
        EngineError: One of them cannot be run.
    """
    found, wanted = (answers(manifest, session, trial.pictures) for session in (candidate, reference))
    figures: dict[str, Any] = {"pictures": len(trial.pictures), **likeness(found, wanted)}
    faults = _faults(manifest, figures)
    if trial.labels is not None:
        scores = [score(manifest, session, trial.labels) for session in (candidate, reference)]
        figures["scores"], figures["reference_scores"] = scores
        most = MOST_LOST[manifest.precision or "fp32"]
        faults += [
            f"{name} fell from {wanted:.4f} to {scores[0][name]:.4f}, by more than {most}"
            for name, wanted in scores[1].items()
            if not scores[0][name] >= wanted - most
        ]
    if faults:
        raise GateError(
            f"engine {manifest.name} in {manifest.precision} is refused: {'; '.join(faults)}",
            "calibrate on more pictures, leave layers in float32 (--keep), or build a finer precision",
        )
    return figures


def score(manifest: Manifest, session: Session, labels: Path) -> dict[str, float]:
    """Scores of an engine on labelled pictures, in [0, 1], greater is better.

    Raises:
        EngineError: Nothing installed scores this role.
    """
    if manifest.role not in known("gate"):
        raise EngineError(
            f"nothing installed scores a {manifest.role} on labels",
            "leave --labels out, or install what does",
        )
    scorer: Scorer = load("gate", manifest.role)
    network = (
        BoxNetwork(manifest, session, min_score=SCORED)
        if manifest.role == "detector"
        else VectorNetwork(manifest, session)
    )
    return {name: round(float(value), 5) for name, value in scorer(network, labels).items()}


def _faults(manifest: Manifest, figures: dict[str, float]) -> list[str]:
    """Where an engine is less like its reference than its precision excuses."""
    precision = manifest.precision or "fp32"
    limits = {
        "cosine": LEAST_COSINE[precision],
        "cosine_mean": LEAST_MEAN[precision],
        "agreement": LEAST_AGREEMENT[precision],
    }
    faults = [
        f"{name} with the reference is {figures[name]:.5f}, below {least}"
        for name, least in limits.items()
        if name in figures and not figures[name] >= least
    ]
    if figures.get("boxes") == 0:
        faults.append("the reference finds nobody in these pictures, so that nothing can be compared")
    return faults
