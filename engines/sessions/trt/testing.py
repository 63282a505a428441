"""A fake TensorRT and a fake GPU, which run networks with onnxruntime: for tests of all that is around them.

They refuse what the real ones refuse (a plan of another GPU or version, a batch outside the profile, memory that is
gone) and count what they do. The module that `FakeLibrary` makes goes into `sys.modules["tensorrt"]`.
"""

import json
from collections.abc import Callable, Sequence
from enum import Enum, IntEnum
from functools import partial
from types import ModuleType, SimpleNamespace
from typing import Any

import numpy as np
from numpy.typing import DTypeLike, NDArray

from engines.errors import EngineFileError
from engines.sessions.ort import OrtSession
from engines.sessions.trt.complaints import TensorRtError

PAGE = 4096


class FakeGpu:
    """Memory is a dictionary of arrays; work is done when it is queued, or again when a capture is launched.

    Args:
        architecture: Of the GPU it plays.
        captures: Whether work can be captured.

    Attributes:
        held: Memory by address.
        batches: Of each execution, captured ones included.
        launches: Of captured work.
    """

    stream = 7

    def __init__(self, architecture: str = "sm90", *, captures: bool = True) -> None:
        self.architecture = architecture
        self.held: dict[int, NDArray[np.uint8]] = {}
        self.batches: list[int] = []
        self.launches = 0
        self._captures = captures
        self._recorded: list[Callable[[], None]] | None = None

    def pinned(self, shape: tuple[int, ...], dtype: DTypeLike) -> NDArray[Any]:
        """An array of zeros."""
        return np.zeros(shape, dtype)

    def memory(self, size: int) -> int:
        """An address of its own."""
        address = PAGE * (len(self.held) + 1)
        self.held[address] = np.zeros(size, np.uint8)
        return address

    def upload(self, address: int, array: NDArray[Any]) -> None:
        """Copies the array as it is by then."""

        def copy() -> None:
            self.held[address][: array.nbytes] = array.reshape(-1).view(np.uint8)

        self.do(copy)

    def download(self, array: NDArray[Any], address: int) -> None:
        """Fills the array."""

        def copy() -> None:
            array.reshape(-1).view(np.uint8)[:] = self.held[address][: array.nbytes]

        self.do(copy)

    def capture(self, work: Callable[[], None]) -> Callable[[], None]:
        """What is queued by the work, to be done again."""
        if not self._captures:
            raise TensorRtError("cudaStreamEndCapture: operation not permitted when stream is capturing")
        self._recorded = []
        work()
        steps, self._recorded = self._recorded, None

        def launch() -> None:
            self.launches += 1
            for step in steps:
                step()

        return launch

    def wait(self) -> None:
        """Nothing is ever under way."""

    def close(self) -> None:
        """Memory is gone."""
        self.held.clear()

    def do(self, step: Callable[[], None]) -> None:
        """Does a step, or keeps it while work is captured."""
        if self._recorded is None:
            step()
        else:
            self._recorded.append(step)


class _Severity(IntEnum):
    INTERNAL_ERROR, ERROR, WARNING, INFO, VERBOSE = range(5)


class _Logger:
    Severity = _Severity


class _Mode(Enum):
    NONE, INPUT, OUTPUT = range(3)


class _Flag(IntEnum):
    STRONGLY_TYPED = 1


class FakeLibrary:
    """What the parts of a fake TensorRT share.

    Args:
        gpu: That it runs on.
        version: That it claims.

    Attributes:
        builds: What each build was given, in order.
        fails: Why builds fail; empty = they do not.
    """

    def __init__(self, gpu: FakeGpu, version: str = "11.4.0") -> None:
        self.gpu = gpu
        self.version = version
        self.builds: list[dict[str, Any]] = []
        self.fails = ""

    def module(self) -> ModuleType:
        """What `import tensorrt` is to give."""
        module: Any = ModuleType("tensorrt")
        module.__version__ = self.version
        module.ILogger, module.TensorIOMode, module.NetworkDefinitionCreationFlag = _Logger, _Mode, _Flag
        module.MemoryPoolType = SimpleNamespace(WORKSPACE=0)
        module.OnnxParser = _Parser
        module.Builder, module.Runtime = partial(_Builder, self), partial(_Runtime, self)
        module.nptype = np.dtype
        fake: ModuleType = module
        return fake


class _Config:
    builder_optimization_level = 3

    def __init__(self, build: dict[str, Any]) -> None:
        self.build = build

    def set_memory_pool_limit(self, pool: object, pool_size: int) -> None:
        self.build["workspace"] = pool_size

    def create_timing_cache(self, serialized_timing_cache: bytes) -> bytes:
        return serialized_timing_cache

    def set_timing_cache(self, cache: bytes, ignore_mismatch: bool) -> bool:
        fits = cache in (b"", b"measured")
        self.build["timings"] = cache if fits else None
        return fits

    def get_timing_cache(self) -> Any:
        return SimpleNamespace(serialize=lambda: b"measured")

    def add_optimization_profile(self, profile: "_Profile") -> int:
        (self.build["profile"],) = profile.shapes
        return 0


class _Profile:
    def __init__(self) -> None:
        self.shapes: list[list[list[int]]] = []

    def set_shape(self, input: str, *shapes: Sequence[int]) -> None:
        self.shapes.append([list(shape) for shape in shapes])


class _Parser:
    num_errors = 0

    def __init__(self, network: Any, logger: object) -> None:
        self._network = network

    def parse(self, model: bytes) -> bool:
        try:
            session = OrtSession(model, "fake", device="cpu")
        except EngineFileError as error:
            self._error, self.num_errors = error.problem, 1
            return False
        tensors = [
            SimpleNamespace(name=spec.name, shape=tuple(-1 if n is None else n for n in spec.shape))
            for spec in session.inputs
        ]
        self._network.data, self._network.num_inputs = model, len(tensors)
        self._network.get_input = tensors.__getitem__
        return True

    def get_error(self, index: int) -> Any:
        return SimpleNamespace(desc=lambda: f"[{index}] {self._error}\n")


class _Builder:
    def __init__(self, library: FakeLibrary, logger: Any) -> None:
        self._library = library
        self._logger = logger

    def create_network(self, flags: int = 0) -> Any:
        return SimpleNamespace(flags=flags)

    def create_builder_config(self) -> _Config:
        self._library.builds.append({"profile": None})
        return _Config(self._library.builds[-1])

    def create_optimization_profile(self) -> _Profile:
        return _Profile()

    def build_serialized_network(self, network: Any, config: _Config) -> bytes | None:
        config.build["flags"] = network.flags
        if self._library.fails:
            self._logger.log(_Severity.ERROR, self._library.fails)
            return None
        made_for = [self._library.version, self._library.gpu.architecture]
        head = json.dumps({"for": made_for, "profile": config.build["profile"]}).encode()
        return head + b"\n" + bytes(network.data)


class _Engine:
    def __init__(self, gpu: FakeGpu, profile: Any, data: bytes) -> None:
        self.gpu = gpu
        self.session = OrtSession(data, "fake", device="cpu")
        self.profile = profile
        self._specs = {spec.name: spec for spec in (*self.session.inputs, *self.session.outputs)}
        self.num_io_tensors = len(self._specs)

    def get_tensor_name(self, index: int) -> str:
        return list(self._specs)[index]

    def get_tensor_mode(self, name: str) -> _Mode:
        return _Mode.INPUT if self._specs[name] in self.session.inputs else _Mode.OUTPUT

    def get_tensor_dtype(self, name: str) -> str:
        return self._specs[name].dtype

    def get_tensor_shape(self, name: str) -> tuple[int, ...]:
        return tuple(-1 if size is None else size for size in self._specs[name].shape)

    def get_tensor_profile_shape(self, name: str, profile_index: int) -> Any:
        return self.profile

    def create_execution_context(self) -> "_Context":
        return _Context(self)


class _Context:
    def __init__(self, engine: _Engine) -> None:
        self._engine = engine
        self._addresses: dict[str, int] = {}
        self._batch = 0

    def set_input_shape(self, name: str, shape: Sequence[int]) -> bool:
        self._batch = shape[0]
        limits = self._engine.profile
        return limits is None or limits[0][0] <= shape[0] <= limits[2][0]

    def infer_shapes(self) -> list[str]:
        return []

    def get_tensor_shape(self, name: str) -> tuple[int, ...]:
        return (self._batch, *self._engine.get_tensor_shape(name)[1:])

    def set_tensor_address(self, name: str, memory: int) -> bool:
        self._addresses[name] = memory
        return True

    def execute_async_v3(self, stream_handle: int) -> bool:
        self._engine.gpu.do(self._execute)
        return stream_handle == self._engine.gpu.stream

    def _execute(self) -> None:
        held = self._engine.gpu.held
        (given,) = self._engine.session.inputs
        pictures = held[self._addresses[given.name]].view(np.float32).reshape(self._batch, *given.shape[1:])
        self._engine.gpu.batches.append(self._batch)
        for name, answer in self._engine.session.run({given.name: pictures}).items():
            held[self._addresses[name]][:] = np.ascontiguousarray(answer).reshape(-1).view(np.uint8)


class _Runtime:
    def __init__(self, library: FakeLibrary, logger: Any) -> None:
        self._library = library
        self._logger = logger

    def deserialize_cuda_engine(self, serialized_engine: bytes) -> _Engine | None:
        head, _, data = serialized_engine.partition(b"\n")
        plan = json.loads(head)
        gpu = self._library.gpu
        if plan["for"] != [self._library.version, gpu.architecture]:
            self._logger.log(_Severity.ERROR, f"the plan is for {plan['for'][1]}, not {gpu.architecture}")
            return None
        return _Engine(gpu, plan["profile"], data)
