"""Networks run by TensorRT: pinned buffers, a stream of their own, one CUDA graph a batch size.

Each batch size has its own execution context: a captured graph holds the addresses and shapes of its context.
"""

import contextlib
import logging
from collections.abc import Callable
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from engines.errors import TensorError
from engines.sessions.base import Tensors, TensorSpec, ladder, split
from engines.sessions.trt.complaints import Complaints, TensorRtError
from engines.sessions.trt.gpu import Gpu

if TYPE_CHECKING:
    import tensorrt as trt

logger = logging.getLogger("musewatch.engines")


class TensorRtSession:
    """A plan on a GPU.

    Args:
        plan: Built for this GPU and this TensorRT.
        name: The engine's name, for messages.
        gpu: Is closed with the session.

    Raises:
        TensorRtError: The plan is of another GPU or version, or cannot be run.
    """

    def __init__(self, plan: bytes, name: str, gpu: Gpu) -> None:
        import tensorrt as trt

        self._name = name
        self._gpu = gpu
        self._complaints = Complaints()
        self.provider: str = f"TensorRT {trt.__version__}"
        try:
            self._runtime = trt.Runtime(self._complaints.logger)
        except TypeError:  # its factory gave nothing
            raise self._complaints.because("no runtime can be made") from None
        engine = self._runtime.deserialize_cuda_engine(plan)
        if engine is None:
            raise self._complaints.because("the plan does not load on this GPU")
        self._engine = engine
        names = [engine.get_tensor_name(i) for i in range(engine.num_io_tensors)]
        given = [name for name in names if engine.get_tensor_mode(name) == trt.TensorIOMode.INPUT]
        self.inputs = tuple(_spec(engine, name) for name in given)
        self.outputs = tuple(_spec(engine, name) for name in names if name not in given)
        self._sizes = _sizes(engine, self.inputs)
        self._bound: dict[int, _Bound] = {}
        self._at(self._sizes[0])

    def run(self, feeds: Tensors) -> Tensors:
        """Outputs by name for inputs by name; a batch above the profile is split, one between sizes filled up.

        Raises:
            TensorError: The network cannot work on what it was given, or the GPU fails.
        """
        count = self._count(feeds)
        parts = []
        try:
            for run in split(count, self._sizes):
                rows = {spec.name: feeds[spec.name][run.start : run.stop] for spec in self.inputs}
                parts.append(self._at(run.size)(rows, run.stop - run.start))
        except TensorRtError as error:
            raise TensorError(
                f"engine {self._name}: TensorRT cannot run it: {error.problem}", "run it with device: cpu"
            ) from None
        return {spec.name: np.concatenate([part[spec.name] for part in parts]) for spec in self.outputs}

    def close(self) -> None:
        """Gives the GPU's memory back."""
        self._bound.clear()
        self._gpu.close()

    def _at(self, size: int) -> "_Bound":
        if size not in self._bound:
            self._bound[size] = _Bound(self._engine, self._gpu, (self.inputs, self.outputs), size, self._name)
        return self._bound[size]

    def _count(self, feeds: Tensors) -> int:
        """The batch, when the shapes are the network's."""
        for spec in self.inputs:
            if feeds[spec.name].shape[1:] != spec.shape[1:]:
                raise TensorError(
                    f"engine {self._name}: {spec} is wanted, {feeds[spec.name].shape} is given",
                    "compare the manifest's preprocess with what the network was made for",
                )
        return len(feeds[self.inputs[0].name])


class _Bound:
    """One batch size: a context, its memory on both sides, and the work as one graph where it can be one."""

    def __init__(
        self,
        engine: "trt.ICudaEngine",
        gpu: Gpu,
        specs: tuple[tuple[TensorSpec, ...], tuple[TensorSpec, ...]],
        size: int,
        name: str,
    ) -> None:
        self._gpu = gpu
        context = engine.create_execution_context()
        if context is None:
            raise TensorRtError(f"no memory for batches of {size}")
        self._context = context
        inputs, outputs = specs
        self._given = {spec.name: gpu.pinned((size, *_fixed(spec)), spec.dtype) for spec in inputs}
        for spec in inputs:
            if not context.set_input_shape(spec.name, (size, *_fixed(spec))):
                raise TensorRtError(f"a batch of {size} is not in the profile")
        if context.infer_shapes():
            raise TensorRtError("the sizes of its outputs are not those of its inputs alone")
        self._taken = {
            spec.name: gpu.pinned(tuple(context.get_tensor_shape(spec.name)), spec.dtype) for spec in outputs
        }
        self._addresses = {
            tensor: gpu.memory(array.nbytes) for tensor, array in {**self._given, **self._taken}.items()
        }
        for tensor, address in self._addresses.items():
            context.set_tensor_address(tensor, address)
        self._queue()  # the first run does what a capture may not
        gpu.wait()
        self._launch = self._captured(name, size)

    def __call__(self, rows: dict[str, NDArray[np.generic]], count: int) -> dict[str, NDArray[np.generic]]:
        """The first `count` rows of each output."""
        for tensor, array in self._given.items():
            array[:count] = rows[tensor]
        self._launch()
        self._gpu.wait()
        return {tensor: array[:count].copy() for tensor, array in self._taken.items()}

    def _queue(self) -> None:
        for tensor, array in self._given.items():
            self._gpu.upload(self._addresses[tensor], array)
        if not self._context.execute_async_v3(self._gpu.stream):
            raise TensorRtError("it does not run")
        for tensor, array in self._taken.items():
            self._gpu.download(array, self._addresses[tensor])

    def _captured(self, name: str, size: int) -> Callable[[], None]:
        try:
            return self._gpu.capture(self._queue)
        except TensorRtError as error:
            logger.warning("engine %s: no CUDA graph of batch %d: %s", name, size, error.problem)
            return self._queue


def _sizes(engine: "trt.ICudaEngine", inputs: tuple[TensorSpec, ...]) -> tuple[int, ...]:
    """Batch sizes to run."""
    if inputs[0].shape[0] is not None:
        return (inputs[0].shape[0],)
    smallest, _, largest = engine.get_tensor_profile_shape(inputs[0].name, 0)
    return ladder(smallest[0], largest[0])


def _spec(engine: "trt.ICudaEngine", name: str) -> TensorSpec:
    import tensorrt as trt

    shape = tuple(size if size >= 0 else None for size in engine.get_tensor_shape(name))
    with contextlib.suppress(TypeError):  # numpy has no such type
        return TensorSpec(name, shape, np.dtype(trt.nptype(engine.get_tensor_dtype(name))).name)
    raise TensorRtError(f"{name} is of a type that numpy does not know")


def _fixed(spec: TensorSpec) -> tuple[int, ...]:
    """Sizes after the batch."""
    sizes = tuple(size for size in spec.shape[1:] if size is not None)
    if len(sizes) != len(spec.shape) - 1:
        raise TensorRtError(f"{spec} is free in more than its batch")
    return sizes
