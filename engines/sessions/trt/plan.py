"""An ONNX network compiled by TensorRT: a plan, good for one version of it and one GPU architecture.

Networks are strongly typed: precision is what the graph says, float16 by its tensors, INT8 and FP8 by Q/DQ pairs.
TensorRT 11 knows nothing else, and 10 does the same when it is asked to.
"""

from typing import TYPE_CHECKING

from engines.manifest import TensorRt
from engines.sessions.trt.complaints import Complaints, TensorRtError

if TYPE_CHECKING:
    import tensorrt as trt

MEGABYTE = 2**20


def build_plan(data: bytes, settings: TensorRt, timings: bytes = b"") -> tuple[bytes, bytes]:
    """Compiles a network; takes from seconds to many minutes.

    Args:
        data: An ONNX file; its batch size is free or fixed, all else is fixed.
        settings: Profile, memory and effort.
        timings: What earlier builds measured on this kind of GPU; may be of another, and is then left out.

    Returns:
        The plan, and the timings with those of this build.

    Raises:
        TensorRtError: TensorRT cannot read the network, or cannot build it.
    """
    import tensorrt as trt

    complaints = Complaints()
    try:
        builder = trt.Builder(complaints.logger)
    except TypeError:  # its factory gave nothing: no GPU, or a driver that is too old
        raise complaints.because("no builder can be made") from None
    network = builder.create_network(1 << int(trt.NetworkDefinitionCreationFlag.STRONGLY_TYPED))
    parser = trt.OnnxParser(network, complaints.logger)
    if not parser.parse(data):
        said = [" ".join(parser.get_error(i).desc().split()) for i in range(parser.num_errors)]
        raise TensorRtError(f"the network cannot be read: {said[0][:300] if said else 'it does not say why'}")
    config = builder.create_builder_config()
    config.set_memory_pool_limit(trt.MemoryPoolType.WORKSPACE, settings.workspace_mb * MEGABYTE)
    config.builder_optimization_level = settings.level
    _use_timings(config, timings)
    _add_profile(builder, config, network, settings)
    plan = builder.build_serialized_network(network, config)
    if plan is None:
        raise complaints.because("the network cannot be built")
    measured = config.get_timing_cache()
    return bytes(plan), bytes(measured.serialize()) if measured is not None else b""


def _use_timings(config: "trt.IBuilderConfig", timings: bytes) -> None:
    """Starts from earlier timings, or from none when these are of another GPU or version."""
    for start in dict.fromkeys((timings, b"")):
        cache = config.create_timing_cache(start)
        if cache is not None and config.set_timing_cache(cache, False):
            return


def _add_profile(
    builder: "trt.Builder",
    config: "trt.IBuilderConfig",
    network: "trt.INetworkDefinition",
    settings: TensorRt,
) -> None:
    """Says between which batch sizes the plan is to work; a fixed one needs no profile."""
    profile = builder.create_optimization_profile()
    inputs = [network.get_input(i) for i in range(network.num_inputs)]
    free = [tensor for tensor in inputs if tensor.shape[0] < 0]
    for tensor in free:
        smallest, usual, largest = ((batch, *tensor.shape[1:]) for batch in settings.profile)
        profile.set_shape(tensor.name, smallest, usual, largest)
    if free and config.add_optimization_profile(profile) < 0:
        raise TensorRtError(f"the profile {settings.profile} is refused")
