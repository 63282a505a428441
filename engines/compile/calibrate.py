"""Calibration: how large the activations of a network get on pictures of its kind, and where to clip them.

A clip c is chosen for each activation so that the mean squared error of eight bits,

    sum over bins of n(x) * (x - s * min(round(x / s), 127))^2,    s = c / 127,

is least on the histogram n of |x|. The network is run twice: once for the largest values, once for the histograms.
"""

import json
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray
from pydantic import BaseModel, ConfigDict, Field

from engines.compile.precisions import in_newer_opset, quantisable
from engines.compile.unsigned import read_by_processors
from engines.errors import EngineFileError, ManifestError
from engines.manifest import Manifest
from engines.preprocess import preprocess
from engines.sessions.ort import OrtSession
from pipeline.settings import checked
from pipeline.strict_json import JsonError, parse_json

PICTURES = 256
BATCH = 8
BINS = 2048
CLIPS = 100  # tried for each activation, from 1 % of its largest value up


class Activation(BaseModel):
    """How large one tensor gets."""

    model_config = ConfigDict(extra="forbid", frozen=True, allow_inf_nan=False)

    largest: float = Field(ge=0)
    clip: float = Field(ge=0, description="Best magnitude for eight bits, at most the largest.")
    lowest: float | None = Field(
        default=None, description="Value; null in files of 0.1, which had magnitudes alone."
    )
    highest: float | None = None


class Calibration(BaseModel):
    """What was seen of one network's activations."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    schema_: Literal["musewatch.calibration/1"] = Field(default="musewatch.calibration/1", alias="schema")
    engine: str = Field(description="`sha256:...` of the network that was run.")
    pictures: tuple[str, ...] = Field(description="SHA-256 of each picture that it was run on.")
    activations: dict[str, Activation]

    def limits(self, to: Literal["int8", "fp8"]) -> dict[str, float]:
        """Largest magnitude to keep, by tensor: FP8 has fine steps near 0 anyway, and is not clipped."""
        return {name: seen.clip if to == "int8" else seen.largest for name, seen in self.activations.items()}

    def ranges(self) -> dict[str, tuple[float, float]]:
        """Lowest and highest value, by tensor, of those whose signs were looked at; nothing is clipped."""
        return {
            name: (seen.lowest, seen.highest)
            for name, seen in self.activations.items()
            if seen.lowest is not None and seen.highest is not None
        }


def calibrate(manifest: Manifest, data: bytes, pictures: Mapping[str, NDArray[np.uint8]]) -> Calibration:
    """Runs a network on pictures and measures what goes into its heavy layers, and what stands between these.

    Args:
        manifest: How pictures go in.
        data: The ONNX file of float32 behind it.
        pictures: BGR, by digest.

    Raises:
        EngineFileError: The network is not float32, or has no layer that eight bits speed up.
    """
    session, heavy, between = _opened_up(manifest, data)
    images = list(pictures.values())
    extremes = dict.fromkeys((*heavy, *between), (0.0, 0.0))
    for name, values in _activations(manifest, session, list(extremes), images):
        lowest, highest = extremes[name]
        extremes[name] = min(lowest, float(values.min(initial=0))), max(highest, float(values.max(initial=0)))
    largest = {name: max(-lowest, highest) for name, (lowest, highest) in extremes.items()}
    histograms = {name: np.zeros(BINS, np.int64) for name in heavy}
    for name, values in _activations(manifest, session, heavy, images):
        if largest[name] > 0:
            histograms[name] += np.histogram(np.abs(values), BINS, (0, largest[name]))[0]
    activations = {
        name: Activation(
            largest=largest[name],
            clip=best_clip(histograms[name], largest[name]) if name in histograms else largest[name],
            lowest=lowest,
            highest=highest,
        )
        for name, (lowest, highest) in extremes.items()
    }
    return Calibration(engine=manifest.digest, pictures=tuple(pictures), activations=activations)


def best_clip(histogram: NDArray[np.int64], largest: float) -> float:
    """The clip of least squared error in eight bits.

    Args:
        histogram: (B,) how often each of B equal steps up to `largest` occurs.
        largest: Where the last bin ends.

    >>> even = np.full(2048, 10)
    >>> best_clip(even, 4.0)
    4.0
    >>> lonely = np.zeros(2048, int); lonely[:256] = 10**6; lonely[-1] = 1
    >>> best_clip(lonely, 4.0) < 1
    True
    """
    x = (np.arange(len(histogram)) + 0.5) * largest / len(histogram)
    clips = largest * np.arange(1, CLIPS + 1) / CLIPS
    errors = []
    for clip in clips:
        step = clip / 127
        nearest = np.minimum(np.rint(x / max(step, 1e-30)), 127) * step
        errors.append(float(histogram @ (x - nearest) ** 2))
    return float(clips[int(np.argmin(errors))])


def save_calibration(calibration: Calibration, path: Path) -> None:
    """Writes a calibration as JSON.

    Raises:
        EngineFileError: It cannot be written.
    """
    text = json.dumps(calibration.model_dump(mode="json", by_alias=True), indent=1)
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text + "\n", encoding="utf-8")
    except OSError as error:
        raise EngineFileError(f"{path} cannot be written: {error.strerror or error}") from None


def load_calibration(path: Path) -> Calibration:
    """Reads a calibration.

    Raises:
        ManifestError: Missing, not JSON, or with keys or values that it may not have.
    """
    try:
        document = parse_json(path.read_bytes())
    except (OSError, JsonError):
        raise ManifestError(f"{path} is not a calibration", "make one: musewatch engines calibrate") from None
    return checked(Calibration, document, str(path), refusal=ManifestError)


def _opened_up(manifest: Manifest, data: bytes) -> tuple[OrtSession, list[str], list[str]]:
    """The network with what is measured among its outputs: what goes into heavy layers, and what stands between."""
    import onnx

    model = onnx.shape_inference.infer_shapes(onnx.load_from_string(in_newer_opset(data, manifest.name)))
    layers = quantisable(model, "int8")
    heavy = list(dict.fromkeys(node.input[0] for node in layers))
    if not heavy:
        raise EngineFileError(
            f"engine {manifest.name}: it has no layer that eight bits speed up",
            "build fp16, or leave it as it is",
        )
    known = {tensor.name for tensor in model.graph.input} | {
        name for node in model.graph.node for name in node.output
    }
    between = [name for name in read_by_processors(data, manifest.name) if name in known.difference(heavy)]
    given = {tensor.name for tensor in (*model.graph.output, *model.graph.input)}
    for name in (*heavy, *between):
        if name not in given:
            model.graph.output.append(onnx.helper.make_tensor_value_info(name, onnx.TensorProto.FLOAT, None))
    return OrtSession(model.SerializeToString(), manifest.name, device="cpu"), heavy, between


def _activations(
    manifest: Manifest, session: OrtSession, names: Sequence[str], images: Sequence[NDArray[np.uint8]]
) -> Iterator[tuple[str, NDArray[Any]]]:
    """Values of each tensor, batch by batch; a last one that is short of a fixed size begins again."""
    fixed = session.inputs[0].shape[0]
    batch = fixed or manifest.max_batch or BATCH
    for start in range(0, len(images), batch):
        given = images[start : start + batch]
        if fixed:
            given = [images[i % len(images)] for i in range(start, start + batch)]
        tensor, _ = preprocess(given, manifest.preprocess)
        seen = {session.inputs[0].name: tensor, **session.run({session.inputs[0].name: tensor})}
        for name in names:
            yield name, seen[name]
