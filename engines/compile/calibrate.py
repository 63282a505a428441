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
    """Magnitudes of one tensor."""

    model_config = ConfigDict(extra="forbid", frozen=True, allow_inf_nan=False)

    largest: float = Field(ge=0)
    clip: float = Field(ge=0, description="Best for eight bits, at most the largest.")


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


def calibrate(manifest: Manifest, data: bytes, pictures: Mapping[str, NDArray[np.uint8]]) -> Calibration:
    """Runs a network on pictures and measures what goes into its heavy layers.

    Args:
        manifest: How pictures go in.
        data: The ONNX file of float32 behind it.
        pictures: BGR, by digest.

    Raises:
        EngineFileError: The network is not float32, or has no layer that eight bits speed up.
    """
    session, names = _opened_up(manifest, data)
    images = list(pictures.values())
    largest = dict.fromkeys(names, 0.0)
    for name, values in _activations(manifest, session, names, images):
        largest[name] = max(largest[name], float(values.max(initial=0)))
    histograms = {name: np.zeros(BINS, np.int64) for name in names}
    for name, values in _activations(manifest, session, names, images):
        if largest[name] > 0:
            histograms[name] += np.histogram(values, BINS, (0, largest[name]))[0]
    activations = {
        name: Activation(largest=largest[name], clip=best_clip(histograms[name], largest[name]))
        for name in names
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


def _opened_up(manifest: Manifest, data: bytes) -> tuple[OrtSession, list[str]]:
    """The network with what goes into its heavy layers among its outputs, and the names of these."""
    import onnx

    model = onnx.shape_inference.infer_shapes(onnx.load_from_string(in_newer_opset(data, manifest.name)))
    names = list(dict.fromkeys(node.input[0] for node in quantisable(model, "int8")))
    if not names:
        raise EngineFileError(
            f"engine {manifest.name}: it has no layer that eight bits speed up",
            "build fp16, or leave it as it is",
        )
    given = {tensor.name for tensor in (*model.graph.output, *model.graph.input)}
    for name in names:
        if name not in given:
            model.graph.output.append(onnx.helper.make_tensor_value_info(name, onnx.TensorProto.FLOAT, None))
    return OrtSession(model.SerializeToString(), manifest.name, device="cpu"), names


def _activations(
    manifest: Manifest, session: OrtSession, names: Sequence[str], images: Sequence[NDArray[np.uint8]]
) -> Iterator[tuple[str, NDArray[Any]]]:
    """Magnitudes of each tensor, batch by batch; a last one that is short of a fixed size begins again."""
    fixed = session.inputs[0].shape[0]
    batch = fixed or manifest.max_batch or BATCH
    for start in range(0, len(images), batch):
        given = images[start : start + batch]
        if fixed:
            given = [images[i % len(images)] for i in range(start, start + batch)]
        tensor, _ = preprocess(given, manifest.preprocess)
        seen = {session.inputs[0].name: tensor, **session.run({session.inputs[0].name: tensor})}
        for name in names:
            yield name, np.abs(seen[name])
