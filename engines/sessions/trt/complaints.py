"""What TensorRT finds wrong, kept for our messages; it prints nothing itself.

Whoever opens a network falls back to onnxruntime on `TensorRtError`.
"""

from typing import TYPE_CHECKING

from engines.errors import EngineError

if TYPE_CHECKING:
    import tensorrt as trt


class TensorRtError(EngineError):
    """TensorRT or its GPU is not there, or refuses this network; the text is the reason, without the engine."""


class Complaints:
    """Listens to one builder or runtime through `logger`, which must live as long as that."""

    def __init__(self) -> None:
        self._said: list[str] = []
        self.logger: trt.ILogger = _logger(self._said)

    def because(self, fault: str) -> TensorRtError:
        """The error of a call that failed, with what TensorRT said last."""
        said = " ".join(self._said[-1].split())[:300] if self._said else "it does not say why"
        return TensorRtError(f"{fault}: {said}")


def _logger(said: list[str]) -> "trt.ILogger":
    import tensorrt as trt

    class Listener(trt.ILogger):
        """Takes errors, leaves the rest."""

        def __init__(self) -> None:
            trt.ILogger.__init__(self)  # the bindings refuse super()

        def log(self, severity: trt.ILogger.Severity, msg: str) -> None:
            if severity in (trt.ILogger.Severity.ERROR, trt.ILogger.Severity.INTERNAL_ERROR):
                said.append(msg)

    return Listener()
