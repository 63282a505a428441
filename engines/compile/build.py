"""One engine made from another: its precision, its format, and the gate that it must pass."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

from engines.compile.calibrate import PICTURES, Calibration, calibrate
from engines.compile.gate import Trial, judge, score
from engines.compile.likeness import answers, likeness
from engines.compile.pictures import choose
from engines.compile.precisions import has_depthwise, to_eight_bits, to_half
from engines.compile.resize import for_size, resized
from engines.compile.unsigned import to_unsigned
from engines.errors import EngineError, EngineFileError, GateError
from engines.export import as_onnx, exported
from engines.files import pin, read_network, write_engine
from engines.manifest import Manifest, OpenVino, Precision, TensorRt, load_manifest
from engines.preprocess import Size
from engines.sessions.base import Session
from engines.sessions.open import open_session
from engines.sessions.ort import OrtSession
from engines.sessions.torch import open_torch
from engines.sessions.trt.complaints import TensorRtError
from engines.sessions.trt.opening import open_tensorrt

MOST_LOST_BY_SIZE = 0.01  # of a score in [0, 1]
JUDGED = 128  # pictures that the gate looks at

Format = Literal["onnx", "openvino", "tensorrt", "torch"]
Target = Literal["cpu", "tensorrt"]
BUILT: dict[Format, tuple[Precision, ...]] = {
    "onnx": ("fp32", "fp16", "int8", "fp8"),
    "openvino": ("fp32", "bf16", "int8"),
    "tensorrt": ("fp32", "fp16", "int8", "fp8"),
    "torch": ("fp32", "fp16", "bf16"),
}
"""Precisions that are made for a format."""


@dataclass(frozen=True, slots=True)
class Order:
    """What is to be built.

    Attributes:
        source: Checkpoint folder, or manifest of an engine of float32.
        out: Folder of the new engine.
        precision: What it computes in.
        format: `openvino` is an .onnx that OpenVINO runs, `tensorrt` one that TensorRT runs where it can; `torch` keeps
            the checkpoint's weights.
        images: Folders of pictures: calibrated on some, judged on others.
        labels: Labelled set for the gate; None = it is not scored.
        calibration: Made before; None = made from the pictures.
        keep: Patterns of names of layers that stay float32 in eight bits.
        target: Where int8 must be fast; None = TensorRT for its format, else a processor.
        tensorrt: Profile, for that format.
        size: Height, width of the pictures that a detector will be fed; None = as it is.
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
    target: Target | None = None
    tensorrt: TensorRt = field(default_factory=TensorRt)
    size: Size | None = None
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
    manifest = made.manifest
    figures: dict[str, Any] = {}
    trial = None
    if order.images:
        trial = Trial(list(choose(order.images, JUDGED, without=made.used).values()), order.labels)
        figures = _judged(made, trial)
        if order.size is not None:
            figures["full_size"] = _beside_full_size(order, made, trial)
    if order.format == "tensorrt":
        figures["tensorrt"] = _compiled(made, trial)
    if figures:
        known = {key: value for key, value in manifest.accuracy.items() if key != "gate"}
        same = order.precision == "fp32" and order.size is None
        said = known if same else {"reference": known}
        manifest = manifest.derived(order.out.resolve(), accuracy=said | {"gate": figures})
    return write_engine(manifest, made.data)


@dataclass(frozen=True, slots=True)
class _Made:
    """An engine before the gate.

    Attributes:
        manifest: Where it will lie and what it will be.
        data: Its file's bytes, or the file that it will be a copy of.
        reference: What it is held to: torch on the processor, or the float32 file that it was made from.
        used: Digests of pictures that it was calibrated on.
    """

    manifest: Manifest
    data: bytes | Path
    reference: Session
    used: Sequence[str] = ()

    def candidate(self) -> Session:
        """It, on the processor."""
        if isinstance(self.data, Path):
            return open_torch(self.manifest.derived(self.data.parent, file=self.data.name), device="cpu")
        if self.manifest.openvino is not None:
            from engines.sessions.openvino import open_bytes

            return open_bytes(self.manifest, self.data)
        return OrtSession(self.data, self.manifest.name, device="cpu", precision=self.manifest.precision)


def _judged(made: _Made, trial: Trial) -> dict[str, Any]:
    """What the gate measures; where it refuses eight bits for a reason that the graph shows, that is said."""
    manifest = made.manifest
    try:
        return judge(manifest, made.candidate(), made.reference, trial)
    except GateError as error:
        eight = manifest.precision in ("int8", "fp8") and isinstance(made.data, bytes)
        if not eight or not has_depthwise(bytes(made.data)):
            raise
        raise GateError(
            f"{error.problem}; it convolves channel by channel (depthwise), and one scale serves all channels",
            "leave these layers in float32 (--keep), or build fp16",
        ) from None


def _beside_full_size(order: Order, made: _Made, trial: Trial) -> dict[str, Any]:
    """How like the engine it is that it was made from, in the size of that; where it is worse by over a point, refused.

    Raises:
        GateError: A score on the labels fell by more than a point.
    """
    source = picture_engine(order.source)
    full, small = open_session(source, device="cpu"), made.candidate()
    figures: dict[str, Any] = likeness(
        answers(made.manifest, small, trial.pictures), answers(source, full, trial.pictures)
    )
    if trial.labels is not None:
        scores = [
            score(each, session, trial.labels) for each, session in ((made.manifest, small), (source, full))
        ]
        fell = [name for name, before in scores[1].items() if scores[0][name] < before - MOST_LOST_BY_SIZE]
        if fell:
            raise GateError(
                f"engine {made.manifest.name} is refused: {fell[0]} fell from {scores[1][fell[0]]:.4f} to "
                f"{scores[0][fell[0]]:.4f}, by more than {MOST_LOST_BY_SIZE}",
                "build a larger size, in the proportions of the pictures",
            )
        figures["scores"] = scores[1]
    return figures


def _compiled(made: _Made, trial: Trial | None) -> dict[str, Any] | str:
    """What TensorRT makes of it, judged like the rest; why not, where TensorRT cannot be had."""
    assert isinstance(made.data, bytes), "an .onnx was made"
    try:
        session = open_tensorrt(made.manifest, made.data)
    except TensorRtError as error:
        return f"not measured: {error.problem}"
    try:
        return (
            judge(made.manifest, session, made.reference, trial)
            if trial
            else f"compiled by {session.provider}"
        )
    finally:
        session.close()


def picture_engine(path: Path) -> Manifest:
    """The manifest of an engine that is fed pictures one by one.

    Raises:
        EngineError: It is a verifier that is asked about pairs.
    """
    manifest = load_manifest(path)
    if manifest.prompt is not None:
        raise EngineError(
            f"engine {manifest.name} is a verifier that is asked about pairs, and only engines that are fed pictures "
            "one by one are built and compared",
            "make graphs of it: musewatch engines export; try it: musewatch engines check",
        )
    return manifest


def _make_torch(order: Order) -> _Made:
    source = _sized(order)
    if source.network is None:
        raise EngineError(f"{order.source} is no checkpoint, and only these are built for torch")
    reference = open_torch(source, device="cpu")
    name = _name(order, source)
    keys = {"name": name, "file": f"{name}.safetensors", "precision": order.precision}
    return _Made(source.derived(order.out.resolve(), **keys), source.path, reference)


def _make_onnx(order: Order) -> _Made:
    source = _sized(order)
    _need_float32(source)
    reference: Session
    if source.network is not None:
        exact = exported(source)
        reference = open_torch(source, device="cpu")
        source = pin(as_onnx(source, order.out), exact)
    else:
        exact = read_network(source)
        if order.size is not None:
            exact = resized(exact, source)
            source = pin(as_onnx(source, order.out), exact)
        reference = OrtSession(exact, source.name, device="cpu")
    calibration = order.calibration
    if order.precision in ("int8", "fp8") and calibration is None:
        calibration = calibrate(source, exact, choose(order.images, PICTURES, share=0.5))
    tensorrt = order.tensorrt if order.format == "tensorrt" else None
    openvino = OpenVino(precision="bf16" if order.precision == "bf16" else "fp32")
    keys = {
        "name": _name(order, source), "precision": order.precision, "tensorrt": tensorrt,
        "openvino": openvino if order.format == "openvino" else None,
    }  # fmt: skip
    data = _in_precision(order, source, exact, calibration)
    manifest = pin(as_onnx(source, order.out, **keys), data)
    return _Made(manifest, data, reference, calibration.pictures if calibration else ())


def _in_precision(order: Order, source: Manifest, exact: bytes, calibration: Calibration | None) -> bytes:
    if order.precision == "fp32":
        return exact
    if order.precision == "bf16":  # OpenVINO rounds to it itself
        return exact
    if order.precision == "fp16":
        return to_half(exact, source.name)
    assert calibration is not None, "eight bits have been calibrated for"
    if calibration.engine != source.digest:
        raise EngineFileError(
            f"the calibration is of {calibration.engine}, and engine {source.name} is {source.digest}",
            "calibrate this very file: musewatch engines calibrate",
        )
    target = order.target or ("tensorrt" if order.format == "tensorrt" else "cpu")
    if order.precision == "int8" and target == "cpu":
        return to_unsigned(exact, calibration.ranges(), keep=order.keep, name=source.name)
    limits = calibration.limits(order.precision)
    return to_eight_bits(exact, limits, order.precision, keep=order.keep, name=source.name)


def _sized(order: Order) -> Manifest:
    source = picture_engine(order.source)
    return source if order.size is None else for_size(source, order.size)


def _name(order: Order, source: Manifest) -> str:
    sized = "" if order.size is None else f"-{order.size[0]}x{order.size[1]}"
    return order.name or source.name + sized + ("" if order.precision == "fp32" else f"-{order.precision}")


def _need_float32(source: Manifest) -> None:
    if source.path.suffix == ".xml":
        raise EngineError(
            f"engine {source.name} is a network in OpenVINO's form, and engines are built from .onnx files",
            "give the .onnx file that it was made from; those that `musewatch engines fetch` knows are converted by it",
        )
    if source.path.suffix not in (".onnx", ".safetensors") or source.precision not in (None, "fp32"):
        raise EngineError(
            f"engine {source.name} is {source.path.suffix} in {source.precision}, and engines are built from float32",
            "give the checkpoint, or the .onnx file exported from it",
        )


def _refuse_nonsense(order: Order) -> None:
    """What need not be tried to be known not to work."""
    for_cpu, for_gpu = order.target == "cpu", order.target == "tensorrt"
    if (for_cpu and order.format == "tensorrt") or (for_gpu and order.format == "openvino"):
        raise EngineError(
            f"the format {order.format} is for another machine than the target {order.target}",
            "leave one of them out",
        )
    if order.precision not in BUILT[order.format]:
        raise EngineError(
            f"{order.precision} is not built for the format {order.format}",
            f"build {', '.join(BUILT[order.format])}, or another format",
        )
    if order.precision != "fp32" and not order.images:
        raise EngineError(
            f"{order.precision} is built and judged with pictures, and there are none",
            "name folders of pictures of the kind that it will see: --images DIR",
        )
