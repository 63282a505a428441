"""CUDA's calls: those that NVIDIA's bindings have, and what becomes of memory and of errors, on a fake runtime."""
# ruff: noqa: N802, N815 - the names are CUDA's

import ast
import ctypes
import inspect
import re
import sys
from enum import IntEnum
from types import SimpleNamespace

import numpy as np
import pytest

from engines.sessions.trt import gpu as module
from engines.sessions.trt.complaints import TensorRtError
from engines.sessions.trt.gpu import CudaGpu


def test_without_a_gpu_the_reason_is_cudas(monkeypatch):
    runtime = pytest.importorskip("cuda.bindings.runtime", reason="needs cuda")
    if runtime.cudaGetDeviceCount()[1]:
        pytest.skip("there is a GPU")
    with pytest.raises(TensorRtError, match=r"^cudaGetDevice: "):
        CudaGpu()


def test_without_the_bindings_that_is_the_reason(monkeypatch):
    monkeypatch.setitem(sys.modules, "cuda.bindings", None)
    with pytest.raises(TensorRtError, match="cuda-bindings is not installed"):
        CudaGpu()


def test_every_call_is_in_the_real_bindings_with_as_many_arguments():
    runtime = pytest.importorskip("cuda.bindings.runtime", reason="needs cuda")
    calls = [
        node
        for node in ast.walk(ast.parse(inspect.getsource(module)))
        if isinstance(node, ast.Call) and getattr(node.func, "attr", "") == "_ask"
    ]
    literal = {
        node.args[0].value: len(node.args) - 1 for node in calls if isinstance(node.args[0], ast.Constant)
    }
    assert len(literal) >= 10
    literal |= dict.fromkeys(re.findall(r'\("(cuda\w+)", self\._\w+\),\n', inspect.getsource(module)), 1)
    for name, given in literal.items():
        signature = getattr(runtime, name).__doc__.splitlines()[0]
        wanted = signature[signature.index("(") + 1 : signature.rindex(")")]
        assert given == len([part for part in wanted.split(",") if part.strip()]), signature
    for name in re.findall(r"runtime\.(cuda\w+)", inspect.getsource(module)):
        assert hasattr(runtime, name), name
    for name in re.findall(r"cudaMemcpyKind\.(\w+)", inspect.getsource(module)):
        assert hasattr(runtime.cudaMemcpyKind, name)
    assert hasattr(runtime.cudaStreamCaptureMode, "cudaStreamCaptureModeThreadLocal")


class Status(IntEnum):
    OK, BAD = 0, 2


class Runtime(SimpleNamespace):
    """CUDA on the processor's own memory; `refused` names a call that fails."""

    cudaStreamNonBlocking = 1
    cudaHostAllocDefault = 0
    cudaMemcpyKind = SimpleNamespace(cudaMemcpyHostToDevice=1, cudaMemcpyDeviceToHost=2)
    cudaStreamCaptureMode = SimpleNamespace(cudaStreamCaptureModeThreadLocal=1)
    cudaDeviceAttr = SimpleNamespace(
        cudaDevAttrComputeCapabilityMajor="major", cudaDevAttrComputeCapabilityMinor="minor"
    )

    def __init__(self):
        super().__init__(held={}, destroyed=[], refused="", recorded=None)

    def __getattribute__(self, name):
        if name.startswith("cuda") and name == super().__getattribute__("refused"):
            return lambda *_: (Status.BAD,)
        return super().__getattribute__(name)

    def cudaGetErrorString(self, status):
        return Status.OK, b"out of memory"

    def cudaGetDevice(self):
        return Status.OK, 0

    def cudaDeviceGetAttribute(self, kind, device):
        return Status.OK, {"major": 9, "minor": 0}[kind]

    def cudaStreamCreateWithFlags(self, flags):
        return Status.OK, 77

    def cudaStreamDestroy(self, stream):
        self.destroyed.append(stream)
        return (Status.OK,)

    def cudaMalloc(self, size):
        buffer = ctypes.create_string_buffer(b"\xff" * size, size)
        self.held[ctypes.addressof(buffer)] = buffer
        return Status.OK, ctypes.addressof(buffer)

    def cudaHostAlloc(self, size, flags):
        return self.cudaMalloc(size)

    def cudaFree(self, address):
        del self.held[address]
        return (Status.OK,)

    cudaFreeHost = cudaFree

    def cudaMemcpyAsync(self, to, source, size, kind, stream):
        step = lambda: ctypes.memmove(to, source, size)  # noqa: E731
        step() if self.recorded is None else self.recorded.append(step)
        return (Status.OK,)

    def cudaStreamBeginCapture(self, stream, mode):
        self.recorded = []
        return (Status.OK,)

    def cudaStreamEndCapture(self, stream):
        steps, self.recorded = self.recorded, None
        return Status.OK, steps

    def cudaGraphInstantiate(self, graph, flags):
        return Status.OK, tuple(graph)

    def cudaGraphDestroy(self, graph):
        return (Status.OK,)

    def cudaGraphExecDestroy(self, ready):
        self.destroyed.append("graph")
        return (Status.OK,)

    def cudaGraphLaunch(self, ready, stream):
        for step in ready:
            step()
        return (Status.OK,)

    def cudaStreamSynchronize(self, stream):
        return (Status.OK,)


@pytest.fixture
def runtime(monkeypatch):
    fake = Runtime()
    monkeypatch.setitem(sys.modules, "cuda.bindings", SimpleNamespace(runtime=fake))
    return fake


def test_copies_go_there_and_back_and_again_when_they_are_captured(runtime):
    gpu = CudaGpu()
    assert (gpu.architecture, gpu.stream) == ("sm90", 77)
    given, taken = gpu.pinned((2, 3), np.float32), gpu.pinned((2, 3), np.float32)
    assert not given.any()
    address = gpu.memory(given.nbytes)

    def work():
        gpu.upload(address, given)
        gpu.download(taken, address)

    launch = gpu.capture(work)
    assert not taken.any()
    for value in (1.5, 2.5):
        given[:] = value
        launch()
        gpu.wait()
        assert (taken == value).all()


def test_all_is_given_back_once(runtime):
    gpu = CudaGpu()
    gpu.pinned((4,), np.int64)
    gpu.memory(10)
    gpu.capture(lambda: None)
    gpu.close()
    gpu.close()
    assert runtime.held == {}
    assert runtime.destroyed == ["graph", 77]


def test_a_call_that_fails_is_named(runtime):
    gpu = CudaGpu()
    runtime.refused = "cudaMalloc"
    with pytest.raises(TensorRtError, match=r"^cudaMalloc: out of memory"):
        gpu.memory(10)


def test_after_a_failed_capture_the_stream_works(runtime):
    gpu = CudaGpu()

    def fails():
        raise TensorRtError("it does not run")

    with pytest.raises(TensorRtError, match="it does not run"):
        gpu.capture(fails)
    assert runtime.recorded is None
