"""The little of CUDA that a TensorRT session needs: memory, copies, a stream, graphs."""

import contextlib
import ctypes
import math
from collections.abc import Callable
from typing import Any, Protocol

import numpy as np
from numpy.typing import DTypeLike, NDArray

from engines.sessions.trt.complaints import TensorRtError


class Gpu(Protocol):
    """One GPU and one stream on it; everything is asynchronous until `wait`."""

    @property
    def architecture(self) -> str:
        """What plans are built for, such as `sm90`."""
        ...

    @property
    def stream(self) -> int:
        """Handle of the stream."""
        ...

    def pinned(self, shape: tuple[int, ...], dtype: DTypeLike) -> NDArray[Any]:
        """An array of zeros that copies can read and write while the processor goes on."""
        ...

    def memory(self, size: int) -> int:
        """Address of so many bytes on the GPU."""
        ...

    def upload(self, address: int, array: NDArray[Any]) -> None:
        """Copies a pinned array to an address."""
        ...

    def download(self, array: NDArray[Any], address: int) -> None:
        """Copies from an address to a pinned array."""
        ...

    def capture(self, work: Callable[[], None]) -> Callable[[], None]:
        """What is queued by `work`, to be queued again in one launch; nothing runs yet.

        Raises:
            TensorRtError: It cannot be captured.
        """
        ...

    def wait(self) -> None:
        """Returns when all that was queued is done."""
        ...

    def close(self) -> None:
        """Gives the memory back; what was handed out must not be used any more."""
        ...


class CudaGpu:
    """The current CUDA device, through NVIDIA's own bindings.

    Raises:
        TensorRtError: The bindings are not installed, or no GPU works.
    """

    def __init__(self) -> None:
        try:
            from cuda.bindings import runtime
        except ImportError:
            raise TensorRtError("cuda-bindings is not installed") from None
        self._runtime: Any = runtime
        kinds = runtime.cudaDeviceAttr
        device = self._ask("cudaGetDevice")
        major, minor = (
            self._ask("cudaDeviceGetAttribute", kind, device)
            for kind in (kinds.cudaDevAttrComputeCapabilityMajor, kinds.cudaDevAttrComputeCapabilityMinor)
        )
        self._architecture = f"sm{major}{minor}"
        self._stream: Any = self._ask("cudaStreamCreateWithFlags", runtime.cudaStreamNonBlocking)
        self._streams = [self._stream]
        self._pinned: list[int] = []
        self._addresses: list[int] = []
        self._graphs: list[Any] = []

    @property
    def architecture(self) -> str:
        """What plans are built for, such as `sm90`."""
        return self._architecture

    @property
    def stream(self) -> int:
        """Handle of the stream."""
        return int(self._stream)

    def pinned(self, shape: tuple[int, ...], dtype: DTypeLike) -> NDArray[Any]:
        """An array of zeros in page-locked memory."""
        kind = np.dtype(dtype)
        size = max(1, math.prod(shape) * kind.itemsize)
        address = int(self._ask("cudaHostAlloc", size, self._runtime.cudaHostAllocDefault))
        self._pinned.append(address)
        held = memoryview((ctypes.c_byte * size).from_address(address))
        array: NDArray[Any] = np.frombuffer(held, kind, math.prod(shape)).reshape(shape)
        array[...] = 0
        return array

    def memory(self, size: int) -> int:
        """Address of so many bytes on the GPU."""
        address = int(self._ask("cudaMalloc", max(1, size)))
        self._addresses.append(address)
        return address

    def upload(self, address: int, array: NDArray[Any]) -> None:
        """Copies a pinned array to an address."""
        kind = self._runtime.cudaMemcpyKind.cudaMemcpyHostToDevice
        self._ask("cudaMemcpyAsync", address, array.ctypes.data, array.nbytes, kind, self._stream)

    def download(self, array: NDArray[Any], address: int) -> None:
        """Copies from an address to a pinned array."""
        kind = self._runtime.cudaMemcpyKind.cudaMemcpyDeviceToHost
        self._ask("cudaMemcpyAsync", array.ctypes.data, address, array.nbytes, kind, self._stream)

    def capture(self, work: Callable[[], None]) -> Callable[[], None]:
        """What `work` queues as one CUDA graph.

        Raises:
            TensorRtError: It cannot be captured; the stream can be used as before.
        """
        mode = self._runtime.cudaStreamCaptureMode.cudaStreamCaptureModeThreadLocal
        self._ask("cudaStreamBeginCapture", self._stream, mode)
        try:
            work()
        except BaseException:
            with contextlib.suppress(TensorRtError):
                self._ask("cudaStreamEndCapture", self._stream)
            raise
        graph = self._ask("cudaStreamEndCapture", self._stream)
        ready = self._ask("cudaGraphInstantiate", graph, 0)
        self._ask("cudaGraphDestroy", graph)
        self._graphs.append(ready)
        return lambda: self._ask("cudaGraphLaunch", ready, self._stream)

    def wait(self) -> None:
        """Returns when all that was queued is done."""
        self._ask("cudaStreamSynchronize", self._stream)

    def close(self) -> None:
        """Gives everything back; once is enough."""
        for call, handles in (
            ("cudaGraphExecDestroy", self._graphs),
            ("cudaFree", self._addresses),
            ("cudaFreeHost", self._pinned),
            ("cudaStreamDestroy", self._streams),
        ):
            while handles:
                self._ask(call, handles.pop())

    def _ask(self, call: str, *arguments: Any) -> Any:
        """What a call gives beside its status."""
        status, *values = getattr(self._runtime, call)(*arguments)
        if int(status) != 0:
            text = self._runtime.cudaGetErrorString(status)[1].decode()
            raise TensorRtError(f"{call}: {text}")
        return values[0] if values else None
