"""Networks run by onnxruntime, which says nothing, sends nothing and spins on nothing."""

import contextlib
import ctypes
import io
import mmap
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

os.environ.setdefault("ORT_DISABLE_TELEMETRY", "1")

import onnxruntime as ort

from engines.errors import EngineFileError, TensorError
from engines.files import read_network
from engines.manifest import Manifest, Precision
from engines.sessions.base import Device, Tensors, TensorSpec

SILENT = 4
NOWHERE = (
    os.devnull
)  # weights in a second file, which no digest covers, would be read from the working directory
ort.set_default_logger_severity(SILENT)


class OrtSession:
    """An ONNX network, held in one piece.

    Args:
        data: The file's bytes.
        name: The engine's name, for messages.
        threads: Processor threads of one run.
        device: `auto` takes a GPU when there is one that works.
        precision: What the manifest says of the network.
        weights: What the files hold that the network names for its weights; others are refused.

    Raises:
        EngineFileError: The bytes are not an ONNX network that this onnxruntime can load; or no GPU works and
            one was asked for.
    """

    def __init__(
        self,
        data: bytes,
        name: str,
        *,
        threads: int = 1,
        device: Device = "auto",
        precision: Precision | None = None,
        weights: Mapping[str, mmap.mmap | bytes] | None = None,
    ) -> None:
        self._name = name
        providers = _providers(name, device)
        try:
            self._session = ort.InferenceSession(
                data, _options(threads, precision, weights), providers=providers
            )
        except Exception as error:  # onnxruntime has no base class of its own
            raise EngineFileError(
                f"engine {name}: onnxruntime cannot load it: {_reason(error)}",
                "get the whole file again; name weights in files of their own in the manifest, under files",
            ) from None
        self.provider: str = self._session.get_providers()[0]
        if device == "cuda" and self.provider != providers[0]:
            raise _no_gpu(name)
        self.inputs = tuple(_spec(tensor) for tensor in self._session.get_inputs())
        self.outputs = tuple(_spec(tensor) for tensor in self._session.get_outputs())

    def run(self, feeds: Tensors) -> Tensors:
        """Outputs by name for inputs by name.

        Raises:
            TensorError: The network cannot work on what it was given.
        """
        names = [spec.name for spec in self.outputs]
        try:
            return dict(zip(names, self._session.run(names, dict(feeds)), strict=True))
        except Exception as error:  # onnxruntime has no base class of its own
            raise TensorError(
                f"engine {self._name}: onnxruntime cannot run it: {_reason(error)}",
                "compare the manifest's preprocess with what the network was made for",
            ) from None


def open_onnx(manifest: Manifest, *, threads: int = 1, device: Device = "auto") -> OrtSession:
    """The session of a manifest whose file is ONNX; weights in files of their own are mapped.

    Args:
        manifest: The engine.
        threads: Processor threads of one run.
        device: `auto` takes a GPU when there is one that works.

    Raises:
        EngineFileError: A file is missing, is another one or cannot be loaded; or no GPU works and one was asked for.
    """
    weights = {name: _mapped(manifest.path.parent / name) for name in manifest.files}
    return OrtSession(
        read_network(manifest),
        manifest.name,
        threads=threads,
        device=device,
        precision=manifest.precision,
        weights=weights,
    )


def _mapped(path: Path) -> mmap.mmap | bytes:
    """A file's bytes, of which the machine keeps those in memory that are used."""
    try:
        with path.open("rb") as file:
            return mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ)
    except (OSError, ValueError):  # it is missing, which its digest says better, or empty
        return b""


def _options(threads: int, precision: Precision | None, weights: Mapping[str, Any] | None) -> Any:
    options = ort.SessionOptions()
    options.intra_op_num_threads = threads
    options.inter_op_num_threads = 1
    options.log_severity_level = SILENT
    options.add_session_config_entry("session.intra_op.allow_spinning", "0")
    options.add_session_config_entry("session.model_external_initializers_file_folder_path", NOWHERE)
    if weights:
        options.add_external_initializers_from_files_in_memory(
            list(weights), list(weights.values()), [len(held) for held in weights.values()]
        )
    if precision == "fp8":  # its own rewriting of Q/DQ pairs makes layers of FP8 that it cannot run
        options.add_session_config_entry("session.disable_quant_qdq", "1")
    return options


def _providers(name: str, device: Device) -> list[str]:
    """What to ask onnxruntime for; it lists GPU providers even where no driver is."""
    if device != "cpu" and "CUDAExecutionProvider" in ort.get_available_providers() and gpu_works():
        with contextlib.redirect_stdout(io.StringIO()):  # it prints what it did not find
            ort.preload_dlls()
        return ["CUDAExecutionProvider", "CPUExecutionProvider"]
    if device == "cuda":
        raise _no_gpu(name)
    return ["CPUExecutionProvider"]


def gpu_works() -> bool:
    """Whether the driver itself finds a GPU."""
    try:
        driver = ctypes.CDLL("libcuda.so.1")
    except OSError:
        return False
    count = ctypes.c_int(0)
    return driver.cuInit(0) == 0 and driver.cuDeviceGetCount(ctypes.byref(count)) == 0 and count.value > 0


def _no_gpu(name: str) -> EngineFileError:
    return EngineFileError(
        f"engine {name}: device cuda is asked for, and no GPU works here",
        "install the driver and onnxruntime-gpu in place of onnxruntime, or set device: auto",
    )


def _spec(tensor: Any) -> TensorSpec:
    shape = tuple(size if isinstance(size, int) and size > 0 else None for size in tensor.shape)
    dtype = tensor.type.removeprefix("tensor(").removesuffix(")")
    return TensorSpec(tensor.name, shape, {"float": "float32", "double": "float64"}.get(dtype, dtype))


def _reason(error: Exception) -> str:
    """What onnxruntime says, in one line of bearable length."""
    text = " ".join(str(error).split())
    if "INVALID_PROTOBUF" in text:
        return "it is no ONNX file, or only a part of one"
    return text.removeprefix("[ONNXRuntimeError] : ")[:300]
