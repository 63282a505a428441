"""A loaded network: one narrow interface, whatever runs it."""

import hashlib
import logging
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal, Protocol

from numpy.typing import NDArray

from engines.errors import EngineFileError
from engines.manifest import Manifest

Tensors = Mapping[str, NDArray[Any]]
Device = Literal["auto", "cpu", "cuda"]

logger = logging.getLogger("musewatch.engines")

PLANS = {".plan", ".engine", ".trt"}
PICKLES = {".pt", ".pth", ".pkl", ".pickle", ".ckpt", ".bin", ".joblib"}
PICKLE_STARTS = (b"\x80\x02", b"\x80\x03", b"\x80\x04", b"\x80\x05", b"PK\x03\x04")


@dataclass(frozen=True, slots=True)
class TensorSpec:
    """A tensor that goes in or comes out.

    Attributes:
        name: Its name in the network.
        shape: Sizes; None where any size goes.
        dtype: numpy's name of the type, such as `float32`.
    """

    name: str
    shape: tuple[int | None, ...]
    dtype: str

    def __str__(self) -> str:
        sizes = ", ".join("any" if size is None else str(size) for size in self.shape)
        return f"{self.name!r} ({sizes}) {self.dtype}"


class Session(Protocol):
    """A loaded network. Not thread-safe: one session per stage."""

    @property
    def inputs(self) -> tuple[TensorSpec, ...]:
        """What `run` must be given."""
        ...

    @property
    def outputs(self) -> tuple[TensorSpec, ...]:
        """What `run` gives."""
        ...

    def run(self, feeds: Tensors) -> Tensors:
        """Outputs by name for inputs by name; the arrays given are not kept.

        Raises:
            TensorError: The network cannot work on what it was given.
        """
        ...


def open_session(manifest: Manifest, *, threads: int = 1, device: Device = "auto") -> Session:
    """Loads the file behind a manifest, once its digest is right.

    Args:
        manifest: The engine.
        threads: Processor threads of one run.
        device: `auto` takes a GPU when there is one that works.

    Raises:
        EngineFileError: The file is missing, has another digest, is a pickle, or cannot be loaded; or `cuda`
            is asked for and cannot be had.
    """
    data = read_network(manifest)
    if manifest.path.suffix == ".onnx":
        return _open_onnx(manifest, data, threads, device)
    if manifest.path.suffix == ".safetensors":
        from engines.sessions.torch import open_torch

        return open_torch(manifest, data, threads=threads, device=device)
    if manifest.path.suffix in PLANS:
        raise EngineFileError(
            f"engine {manifest.name}: {manifest.path} is a plan compiled for one GPU and one TensorRT, and would not "
            "run on another",
            "give the .onnx file it was compiled from, with the key tensorrt: the plan for this machine is then "
            "compiled at the first start, and kept",
        )
    raise EngineFileError(
        f"engine {manifest.name}: nothing here runs {manifest.path.suffix!r} files: {manifest.path}",
        "give an .onnx or a .safetensors file",
    )


def _open_onnx(manifest: Manifest, data: bytes, threads: int, device: Device) -> Session:
    """By TensorRT where the manifest wants it and it works, else by onnxruntime."""
    from engines.sessions.ort import OrtSession

    if manifest.tensorrt is not None and device != "cpu":
        from engines.sessions.trt.errors import TensorRtError
        from engines.sessions.trt.opening import open_tensorrt

        try:
            return open_tensorrt(manifest, data)
        except TensorRtError as error:
            logger.warning(
                "engine %s: onnxruntime runs it, TensorRT cannot: %s", manifest.name, error.problem
            )
    return OrtSession(data, manifest.name, threads=threads, device=device, precision=manifest.precision)


def read_network(manifest: Manifest) -> bytes:
    """The file's bytes, once their digest is right: those that were checked are those that are loaded.

    Raises:
        EngineFileError: The file is missing, has another digest, or is a pickle.
    """
    try:
        data = manifest.path.read_bytes()
    except OSError as error:
        raise EngineFileError(
            f"engine {manifest.name}: {manifest.path} cannot be read: {error.strerror or error}",
            "put the network's file where the manifest's 'file' says",
        ) from None
    refuse_pickle(manifest.path, data, f"engine {manifest.name}", "export the network to ONNX")
    found = hashlib.sha256(data).hexdigest()
    if found != manifest.sha256:
        raise EngineFileError(
            f"engine {manifest.name}: {manifest.path} has sha256 {found}, not {manifest.sha256}",
            "get the right file again, or correct the manifest if you trust this one",
        )
    return data


def refuse_pickle(path: Path, data: bytes, whose: str, fix: str) -> None:
    """Nothing, when a file is none.

    Args:
        path: Where it lies; its suffix alone can give it away.
        data: Its bytes.
        whose: For the message.
        fix: What to do instead.

    Raises:
        EngineFileError: It is a pickle, by its name or by its first bytes.
    """
    if path.suffix.lower() in PICKLES or data.startswith(PICKLE_STARTS):
        raise EngineFileError(f"{whose}: {path} is a pickle, which can run code when it is opened", fix)
