"""The way to a TensorRT session: the plan kept for this GPU, else one built now; never a crash."""

import logging
from typing import TYPE_CHECKING

from engines.manifest import Manifest, TensorRt
from engines.sessions.trt.complaints import TensorRtError
from engines.sessions.trt.gpu import CudaGpu, Gpu
from engines.sessions.trt.plan_cache import PlanCache, PlanKey

if TYPE_CHECKING:
    from engines.sessions.trt.session import TensorRtSession

logger = logging.getLogger("musewatch.engines")

PLANS = "plans"
"""Folder beside the manifest."""


def open_tensorrt(manifest: Manifest, data: bytes) -> "TensorRtSession":
    """A session of a manifest's .onnx file.

    Args:
        manifest: Its key `tensorrt` says how to compile; where it has none, as that key's defaults say.
        data: The file's bytes.

    Raises:
        TensorRtError: TensorRT is not installed, there is no GPU, or they refuse the network; why is in the text.
    """
    try:
        import tensorrt as trt
    except (ImportError, OSError) as error:
        raise TensorRtError(f"it is not installed: {' '.join(str(error).split())[:200]}") from None
    device = CudaGpu()
    settings = manifest.tensorrt or TensorRt()
    key = PlanKey(manifest.sha256, trt.__version__, device.architecture, settings)
    cache = PlanCache(manifest.path.parent / PLANS)
    try:
        return _kept(manifest, cache, key, device) or _built(manifest, data, cache, key, device)
    except TensorRtError:
        device.close()
        raise
    except Exception as error:  # whatever TensorRT's bindings raise: it is a reason, not a crash
        device.close()
        said = " ".join(str(error).split())[:300]
        raise TensorRtError(f"{type(error).__name__}: {said}") from error


def _kept(manifest: Manifest, cache: PlanCache, key: PlanKey, device: Gpu) -> "TensorRtSession | None":
    from engines.sessions.trt.session import TensorRtSession

    plan = cache.plan(key)
    if plan is None:
        return None
    try:
        return TensorRtSession(plan, manifest.name, device)
    except TensorRtError as error:
        logger.warning("engine %s: its plan is built again: %s", manifest.name, error.problem)
        return None


def _built(manifest: Manifest, data: bytes, cache: PlanCache, key: PlanKey, device: Gpu) -> "TensorRtSession":
    from engines.sessions.trt.plan import build_plan
    from engines.sessions.trt.session import TensorRtSession

    logger.info("engine %s: TensorRT %s compiles it for %s", manifest.name, key.version, key.architecture)
    plan, timings = build_plan(data, key.settings, cache.timings(key))
    session = TensorRtSession(plan, manifest.name, device)
    cache.keep(key, plan, timings)
    return session
