"""What keeps TensorRT from running a network; whoever opens one then falls back to onnxruntime."""

from engines.errors import EngineError


class TensorRtError(EngineError):
    """TensorRT or its GPU is not there, or refuses this network; the text is the reason, without the engine."""
