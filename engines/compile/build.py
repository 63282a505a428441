"""One engine made from another: its precision, its format, and the gate that it must pass."""

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

from engines.checkpoint import CARD, WEIGHTS, NetworkCard, load_checkpoint, read_card, read_weights
from engines.compile.calibrate import PICTURES, Calibration, calibrate
from engines.compile.gate import Trial, judge
from engines.compile.pictures import choose
from engines.compile.precisions import has_depthwise, to_eight_bits, to_half
from engines.errors import EngineError, EngineFileError, GateError
from engines.export import describe_engine, exported, manifest_keys, write_engine
from engines.files import read_network
from engines.manifest import Manifest, Precision, TensorRt, load_manifest, parse_manifest
from engines.sessions.base import Session
from engines.sessions.ort import OrtSession
from engines.sessions.torch import TorchSession, open_torch
from engines.sessions.trt.complaints import TensorRtError
from engines.sessions.trt.opening import open_tensorrt

JUDGED = 128  # pictures that the gate looks at

Format = Literal["onnx", "tensorrt", "torch"]


@dataclass(frozen=True, slots=True)
class Order:
    """What is to be built.

    Attributes:
        source: Checkpoint folder, or manifest of an .onnx file of float32.
        out: Folder of the new engine.
        precision: What it computes in.
        format: `tensorrt` is an .onnx that TensorRT runs where it can; `torch` keeps the checkpoint's weights.
        images: Folders of pictures: calibrated on some, judged on others.
        labels: Labelled set for the gate; None = it is not scored.
        calibration: Made before; None = made from the pictures.
        keep: Patterns of names of layers that stay float32 in eight bits.
        tensorrt: Profile, for that format.
        name: Of the new engine; None = the source's name and the precision.
    """

    source: Path
    out: Path
    precision: Precision
    format: Format = "onnx"
    images: tuple[Path, ...] = ()
    labels: Path | None = None
    calibration: Calibration | None = None
    keep: tuple[str, ...] = ()
    tensorrt: TensorRt = field(default_factory=TensorRt)
    name: str | None = None


def build(order: Order) -> Manifest:
    """Makes an engine, holds it to its reference, and writes it when it passes.

    Returns:
        The manifest, whose `accuracy.gate` has what was measured.

    Raises:
        GateError: It strays too far; nothing is written.
        EngineError: It cannot be made, judged or written.
    """
    _refuse_nonsense(order)
    made = _make_torch(order) if order.format == "torch" else _make_onnx(order)
    manifest = describe_engine(order.out, made.data, made.keys, made.suffix)
    figures: dict[str, Any] = {}
    trial = None
    if order.images:
        trial = Trial(list(choose(order.images, JUDGED, without=made.used).values()), order.labels)
        figures = _judged(manifest, made, trial)
    if order.format == "tensorrt":
        figures["tensorrt"] = _compiled(manifest, made, trial)
    if figures:
        made.keys["accuracy"] = made.keys.get("accuracy", {}) | {"gate": figures}
    return write_engine(order.out, made.data, made.keys, made.suffix)


def is_checkpoint(path: Path) -> bool:
    """Whether a path is a checkpoint's folder."""
    return (path / CARD).is_file()


def engine_of(checkpoint: Path) -> Manifest:
    """A checkpoint as an engine that torch runs, where it lies.

    Raises:
        ManifestError: Its card is missing, or says something that it may not.
        EngineFileError: Its weights are missing.
    """
    card = read_card(checkpoint)
    document = _torch_keys(card, "fp32") | {"schema": "musewatch.engine/1", "file": WEIGHTS}
    document["sha256"] = hashlib.sha256(read_weights(checkpoint, card)).hexdigest()
    return parse_manifest(document, checkpoint.resolve(), str(checkpoint))


@dataclass(frozen=True, slots=True)
class _Made:
    """An engine before the gate.

    Attributes:
        data: Its file, which ends in `suffix`.
        keys: Of its manifest.
        reference: What it is held to: torch on the processor, or the float32 file that it was made from.
        used: Digests of pictures that it was calibrated on.
    """

    data: bytes
    suffix: str
    keys: dict[str, Any]
    reference: Session
    used: Sequence[str] = ()

    def candidate(self, manifest: Manifest) -> Session:
        """It, on the processor."""
        if self.suffix == ".safetensors":
            return open_torch(manifest, self.data, device="cpu")
        return OrtSession(self.data, manifest.name, device="cpu", precision=manifest.precision)


def _judged(manifest: Manifest, made: _Made, trial: Trial) -> dict[str, Any]:
    """What the gate measures; where it refuses eight bits for a reason that the graph shows, that is said."""
    try:
        return judge(manifest, made.candidate(manifest), made.reference, trial)
    except GateError as error:
        if manifest.precision not in ("int8", "fp8") or not has_depthwise(made.data):
            raise
        raise GateError(
            f"{error.problem}; its depthwise convolutions lose most: their channels differ in size and share one scale",
            "leave these layers in float32 (--keep), or build fp16",
        ) from None


def _compiled(manifest: Manifest, made: _Made, trial: Trial | None) -> dict[str, Any] | str:
    """What TensorRT makes of it, judged like the rest; why not, where TensorRT cannot be had."""
    try:
        session = open_tensorrt(manifest, made.data)
    except TensorRtError as error:
        return f"not measured: {error.problem}"
    try:
        return judge(manifest, session, made.reference, trial) if trial else f"compiled by {session.provider}"
    finally:
        session.close()


def _make_torch(order: Order) -> _Made:
    if not is_checkpoint(order.source):
        raise EngineError(f"{order.source} is no checkpoint, and only these are built for torch")
    reference, card = _torch_reference(order.source)
    keys = _keys(order, _torch_keys(card, order.precision))
    return _Made(read_weights(order.source, card), ".safetensors", keys, reference)


def _torch_keys(card: NetworkCard, precision: Precision) -> dict[str, Any]:
    return manifest_keys(card, precision) | {"network": {"use": card.use, "arguments": card.arguments}}


def _make_onnx(order: Order) -> _Made:
    reference: Session
    if is_checkpoint(order.source):
        exact, card = exported(order.source)
        reference, _ = _torch_reference(order.source)
        source = describe_engine(order.source, exact, manifest_keys(card, "fp32"))
    else:
        source = load_manifest(order.source)
        exact = read_network(source)
        _need_float32(source)
        reference = OrtSession(exact, source.name, device="cpu")
    calibration = order.calibration
    if order.precision in ("int8", "fp8") and calibration is None:
        calibration = calibrate(source, exact, choose(order.images, PICTURES, share=0.5))
    keys = _keys(order, source.model_dump(mode="json", by_alias=True, exclude_none=True))
    if order.format == "tensorrt":
        keys["tensorrt"] = order.tensorrt.model_dump(mode="json")
    data = _in_precision(order, source, exact, calibration)
    return _Made(data, ".onnx", keys, reference, calibration.pictures if calibration else ())


def _in_precision(order: Order, source: Manifest, exact: bytes, calibration: Calibration | None) -> bytes:
    if order.precision == "fp32":
        return exact
    if order.precision == "fp16":
        return to_half(exact, source.name)
    assert order.precision != "bf16", "it is refused before"
    assert calibration is not None, "eight bits have been calibrated for"
    if calibration.engine != source.digest:
        raise EngineFileError(
            f"the calibration is of {calibration.engine}, and engine {source.name} is {source.digest}",
            "calibrate this very file: musewatch engines calibrate",
        )
    limits = calibration.limits(order.precision)
    return to_eight_bits(exact, limits, order.precision, keep=order.keep, name=source.name)


def _torch_reference(checkpoint: Path) -> tuple[Session, NetworkCard]:
    module, card = load_checkpoint(checkpoint)
    return TorchSession(module, card.name, card.preprocess.size, device="cpu"), card


def _keys(order: Order, keys: dict[str, Any]) -> dict[str, Any]:
    """The new manifest's keys, from its source's."""
    kept = {key: value for key, value in keys.items() if key not in ("file", "sha256", "schema", "tensorrt")}
    name = order.name or (keys["name"] if order.precision == "fp32" else f"{keys['name']}-{order.precision}")
    return kept | {"name": name, "precision": order.precision}


def _need_float32(source: Manifest) -> None:
    if source.path.suffix != ".onnx" or source.precision not in (None, "fp32"):
        raise EngineError(
            f"engine {source.name} is {source.path.suffix} in {source.precision}, and engines are built from float32",
            "give the checkpoint, or the .onnx file exported from it",
        )


def _refuse_nonsense(order: Order) -> None:
    """What need not be tried to be known not to work."""
    if order.precision in ("int8", "fp8") and order.format == "torch":
        raise EngineError(
            f"torch does not run {order.precision} here", "build fp16 or bf16, or the format onnx"
        )
    if order.precision == "bf16" and order.format != "torch":
        raise EngineError("no .onnx is built in bf16 here", "build fp16, or the format torch")
    if order.precision != "fp32" and not order.images:
        raise EngineError(
            f"{order.precision} is built and judged with pictures, and there are none",
            "name folders of pictures of the kind that it will see: --images DIR",
        )
