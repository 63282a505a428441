"""A manifest's session, by what runs its kind of file."""

import logging

from engines.errors import EngineFileError
from engines.files import checked_network, read_network
from engines.manifest import Manifest
from engines.sessions.base import Device, Session
from engines.sessions.torch import open_torch
from engines.sessions.trt.complaints import TensorRtError
from engines.sessions.trt.opening import open_tensorrt

logger = logging.getLogger("musewatch.engines")

PLANS = {".plan", ".engine", ".trt"}


def open_session(manifest: Manifest, *, threads: int = 1, device: Device = "auto") -> Session:
    """Loads the file behind a manifest, once its digest is right.

    Args:
        manifest: The engine.
        threads: Processor threads of one run.
        device: `auto` takes a GPU when there is one that works.

    Raises:
        EngineFileError: The file is missing, has another digest, is a pickle, or cannot be loaded; what runs it is not
            installed; or `cuda` is asked for and cannot be had.
    """
    if manifest.path.suffix == ".xml" or manifest.openvino is not None:
        from engines.sessions.openvino import open_openvino

        return open_openvino(manifest, threads=threads, device=device)
    if manifest.path.suffix == ".onnx":
        return _open_onnx(manifest, threads, device)
    if manifest.path.suffix == ".safetensors":
        return open_torch(manifest, threads=threads, device=device)
    checked_network(manifest)
    if manifest.path.suffix in PLANS:
        raise EngineFileError(
            f"engine {manifest.name}: {manifest.path} is a plan compiled for one GPU and one TensorRT, and would not "
            "run on another",
            "give the .onnx file it was compiled from, with the key tensorrt: the plan for this machine is then "
            "compiled at the first start, and kept",
        )
    raise EngineFileError(
        f"engine {manifest.name}: nothing here runs {manifest.path.suffix!r} files: {manifest.path}",
        "give an .onnx, an .xml (OpenVINO) or a .safetensors file",
    )


def _open_onnx(manifest: Manifest, threads: int, device: Device) -> Session:
    """By TensorRT where the manifest wants it and it works, else by onnxruntime."""
    from engines.sessions.ort import open_onnx

    if manifest.tensorrt is not None and device != "cpu":
        try:
            return open_tensorrt(manifest, read_network(manifest))
        except TensorRtError as error:
            logger.warning(
                "engine %s: onnxruntime runs it, TensorRT cannot: %s", manifest.name, error.problem
            )
    return open_onnx(manifest, threads=threads, device=device)
