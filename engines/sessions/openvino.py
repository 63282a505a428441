"""Networks run by OpenVINO on the processor: its own form (.xml with .bin) as it is, and ONNX where that is asked for.

What is read are the bytes whose digests were checked. OpenVINO computes in bfloat16 of its own accord where the
processor can, which moves answers, faster on some processors and slower on others: the precision is always said here.

Source: https://docs.openvino.ai/2026/openvino-workflow/running-inference/optimize-inference/precision-control.html.
"""

import functools
import importlib
import logging
import re
import sys
from collections.abc import Collection
from pathlib import Path
from typing import Any

import numpy as np

from engines.errors import EngineFileError, TensorError
from engines.files import read_beside, read_network
from engines.manifest import Manifest, OpenVino
from engines.sessions.base import Device, Tensors, TensorSpec
from pipeline.extras import cure

logger = logging.getLogger("musewatch.engines")

TOPOLOGY, WEIGHTS = ".xml", ".bin"
TELEMETRY = "openvino_telemetry"
_HINTS = {"fp32": "f32", "bf16": "bf16"}
_PRECISIONS = {hint: precision for precision, hint in _HINTS.items()}
_CONSTANT = re.compile(rb'<data\b(?=[^>]*\boffset="(\d+)")(?=[^>]*\bsize="(\d+)")')


class OpenVinoSession:
    """A network compiled for this processor.

    Args:
        network: The bytes of a topology (.xml) or of an ONNX file in one piece.
        weights: The bytes of a topology's weights (.bin); empty with ONNX.
        name: The engine's name, for messages.
        threads: Processor threads of one run.
        settings: What it computes in.
        wanted: Names of outputs that are read; of a tensor of several names, the one that is wanted is taken.

    Raises:
        EngineFileError: OpenVINO is not installed, or this is no network that it can load.
    """

    def __init__(
        self,
        network: bytes,
        weights: bytes,
        name: str,
        *,
        threads: int = 1,
        settings: OpenVino | None = None,
        wanted: Collection[str] = (),
    ) -> None:
        self._name = name
        core = _core(name)
        precision = (settings or OpenVino()).precision
        try:
            model = core.read_model(network, _tensor(weights)) if weights else core.read_model(network)
            compiled = core.compile_model(model, "CPU", _properties(threads, precision))
        except Exception as error:  # OpenVINO raises RuntimeError, and what its bindings raise
            raise EngineFileError(
                f"engine {name}: OpenVINO cannot load it: {_reason(error)}",
                f"get the whole file again, both files where there are two ({TOPOLOGY} and {WEIGHTS})",
            ) from None
        self.provider = "OpenVINO CPU"
        hint = compiled.get_property("INFERENCE_PRECISION_HINT").to_string()
        self.precision: str = _PRECISIONS.get(hint, hint)
        self._request = compiled.create_infer_request()
        self.inputs = tuple(_spec(port, ()) for port in compiled.inputs)
        self.outputs = tuple(_spec(port, wanted) for port in compiled.outputs)

    def run(self, feeds: Tensors) -> Tensors:
        """Outputs by name for inputs by name.

        Raises:
            TensorError: The network cannot work on what it was given.
        """
        try:
            given = [np.asarray(feeds[spec.name], spec.dtype) for spec in self.inputs]
            answers = self._request.infer(given).to_tuple()
        except Exception as error:  # OpenVINO raises RuntimeError, and what its bindings raise
            raise TensorError(
                f"engine {self._name}: OpenVINO cannot run it: {_reason(error)}",
                "compare the manifest's preprocess with what the network was made for",
            ) from None
        return {spec.name: answer for spec, answer in zip(self.outputs, answers, strict=True)}


def open_openvino(manifest: Manifest, *, threads: int = 1, device: Device = "auto") -> OpenVinoSession:
    """The session of a manifest whose file is a topology, or an ONNX file whose manifest has the key `openvino`.

    Args:
        manifest: The engine.
        threads: Processor threads of one run.
        device: `cuda` is refused: it runs on the processor.

    Raises:
        EngineFileError: A file is missing, is another one or cannot be loaded; OpenVINO is not installed; or a GPU is
            asked for.
    """
    if device == "cuda":
        raise EngineFileError(
            f"engine {manifest.name}: device cuda is asked for, and OpenVINO runs it on the processor",
            "set device: auto, or give an .onnx file without the key openvino",
        )
    network = read_network(manifest)
    weights = b""
    if manifest.path.suffix == TOPOLOGY:
        weights = _weights(manifest)
        _need_all(manifest.name, network, weights)
    else:
        _need_one_piece(manifest.name, network)
    return open_bytes(manifest, network, weights, threads=threads)


def open_bytes(
    manifest: Manifest, network: bytes, weights: bytes = b"", *, threads: int = 1
) -> OpenVinoSession:
    """The session of bytes that are, or will be, those of a manifest; says where it computes in another precision.

    Raises:
        EngineFileError: As `OpenVinoSession`.
    """
    settings = manifest.openvino or OpenVino()
    session = OpenVinoSession(
        network, weights, manifest.name, threads=threads, settings=settings, wanted=manifest.outputs or ()
    )
    if session.precision != settings.precision:
        logger.warning(
            "engine %s: this processor has no %s: OpenVINO computes in %s",
            manifest.name, settings.precision, session.precision,
        )  # fmt: skip
    return session


def library() -> Any:
    """OpenVINO's module; imported plainly it reports to its makers that it was, and keeps a number at home for that.

    Raises:
        ImportError: It is not installed.
    """
    modules: Any = sys.modules
    if "openvino" in modules or TELEMETRY in modules:
        return importlib.import_module("openvino")
    modules[TELEMETRY] = None  # OpenVINO then takes its own stand-in, which does nothing
    try:
        return importlib.import_module("openvino")
    finally:
        del modules[TELEMETRY]


@functools.cache
def _runtime() -> Any:
    return library().Core()


def _core(name: str) -> Any:
    try:
        return _runtime()
    except (ImportError, OSError):
        raise EngineFileError(
            f"engine {name}: it is run by OpenVINO, which is not installed", cure(["openvino"])
        ) from None


def _tensor(data: bytes) -> Any:
    """Bytes of its own, which outlive ours."""
    return library().Tensor(np.frombuffer(data, np.uint8), shared_memory=False)


def _properties(threads: int, precision: str) -> dict[str, Any]:
    """One run at a time, on threads that are bound to no core and leave it to others."""
    return {
        "INFERENCE_PRECISION_HINT": _HINTS[precision],
        "PERFORMANCE_HINT": "LATENCY",
        "INFERENCE_NUM_THREADS": threads,
        "NUM_STREAMS": 1,
        "ENABLE_CPU_PINNING": False,
    }


def _weights(manifest: Manifest) -> bytes:
    """The bytes of the one file that belongs to a topology; its digest has been checked.

    Raises:
        EngineFileError: The manifest names none, or several.
    """
    names = [name for name in manifest.files if Path(name).suffix == WEIGHTS]
    if len(names) != 1:
        raise EngineFileError(
            f"engine {manifest.name}: {manifest.path.name} is a topology, and its weights are not named",
            f"name the {WEIGHTS} file beside it, with its SHA-256, under files: {{{manifest.path.stem}{WEIGHTS}: ...}}",
        )
    return read_beside(manifest, names[0])


def _need_all(name: str, topology: bytes, weights: bytes) -> None:
    """Raises when the weights are not as long as the topology reads: a larger file of another network would do."""
    end = max((int(offset) + int(size) for offset, size in _CONSTANT.findall(topology)), default=0)
    if end != len(weights) and b"</net>" in topology:  # of half a topology OpenVINO says where it ends
        raise EngineFileError(
            f"engine {name}: its topology reads {end} bytes of weights, and the file has {len(weights)}: "
            "it is of another network, or damaged",
            f"give the {WEIGHTS} file that came with the {TOPOLOGY} file",
        )


def _need_one_piece(name: str, network: bytes) -> None:
    """Raises when weights lie in a second file, which OpenVINO would take from the working directory."""
    import onnx

    try:
        graph = onnx.load_model_from_string(network).graph
    except Exception:  # protobuf has no base class of its own; OpenVINO tells what is wrong
        return
    if any(each.data_location == onnx.TensorProto.EXTERNAL for each in graph.initializer):
        raise EngineFileError(
            f"engine {name}: its weights lie in a file of their own, and OpenVINO is given .onnx files in one piece",
            "export it in one piece, or leave out the key openvino",
        )


def _spec(port: Any, wanted: Collection[str]) -> TensorSpec:
    names = sorted(port.get_names()) or [port.get_node().get_friendly_name()]
    name = next((each for each in names if each in wanted), names[0])
    rank = port.get_partial_shape()
    sizes = () if rank.rank.is_dynamic else tuple(rank)
    shape = tuple(None if size.is_dynamic else size.get_length() for size in sizes)
    return TensorSpec(name, shape, np.dtype(port.get_element_type().to_dtype()).name)


def _reason(error: Exception) -> str:
    """What OpenVINO says, without the lines of its source, in one line of bearable length."""
    lines = [
        line for line in str(error).splitlines() if not re.match(r"Exception from|Check '", line.strip())
    ]
    return " ".join(" ".join(lines or [str(error)]).split())[:300]
