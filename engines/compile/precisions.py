"""Eight-bit ONNX networks for TensorRT: Q/DQ pairs around convolutions and matrix products; and float16.

Symmetric everywhere, zero point 0: x ~ s * q. INT8 has a scale for each output channel of a weight, s = max|w| / 127;
FP8 (E4M3) one for each weight, s = max|w| / 448. Activations have one scale, from a calibration. Biases and all
other layers stay float32.

Source: Jacob et al., Quantization and Training of Neural Networks (2018), section 2, without zero points.
"""

import warnings
from collections.abc import Iterable, Mapping, Sequence
from fnmatch import fnmatch
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from engines.errors import EngineFileError

Eight = Literal["int8", "fp8"]

LARGEST: dict[Eight, float] = {"int8": 127.0, "fp8": 448.0}
LAYERS: dict[Eight, tuple[str, ...]] = {
    "int8": ("Conv", "Gemm", "MatMul"),
    "fp8": ("Gemm", "MatMul"),  # TensorRT convolves in FP8 in few shapes only
}
IN_FLOAT32 = ("ReduceL2", "ReduceSumSquare", "ReduceLogSumExp")
"""What overflows: float16 ends at 65504, which the square of 256 passes."""

PER_CHANNEL_OPSET = 13
"""The first that dequantises each channel by a scale of its own."""
FP8_OPSET = 19  # the first that knows the type


def to_half(data: bytes, name: str) -> bytes:
    """The network with float16 weights and sums.

    The precision lives in the graph, so that onnxruntime and every TensorRT compute the same.

    Args:
        data: An ONNX file of float32.
        name: The engine's, for messages.

    Raises:
        EngineFileError: The converter cannot do it.
    """
    import onnx
    from onnxruntime.transformers import float16
    from onnxruntime.transformers.onnx_model import OnnxModel

    blocked = [*float16.DEFAULT_OP_BLOCK_LIST, *IN_FLOAT32]
    try:
        model = onnx.load_from_string(data)
        # of a constant that is listed there, the converter makes a cast for each user, all under one name
        del model.graph.value_info[:]
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # a line for each weight too small for float16; the gate judges
            model = float16.convert_float_to_float16(model, keep_io_types=True, op_block_list=blocked)
            OnnxModel.graph_topological_sort(model.graph)  # its casts are at the end
            onnx.checker.check_model(model, full_check=True)
    except Exception as error:  # the converter has no base class of its own
        raise EngineFileError(
            f"engine {name}: it cannot be made float16: {' '.join(str(error).split())[:300]}",
            "build fp32, or give a network of float32",
        ) from error
    half: bytes = model.SerializeToString(deterministic=True)
    return half


def to_eight_bits(
    data: bytes, limits: Mapping[str, float], to: Eight, *, keep: Sequence[str] = (), name: str = "engine"
) -> bytes:
    """The network with its heavy layers in eight bits.

    Args:
        data: An ONNX file of float32.
        limits: Largest magnitude of each activation that goes into such a layer; what is beyond is clipped.
        to: Which eight bits.
        keep: Patterns of names of layers that stay float32.
        name: The engine's, for messages.

    Raises:
        EngineFileError: No layer is left to quantise; or the calibration is not of this network.
    """
    import onnx

    model, layers = chosen(data, to, keep, name)
    need_known([layer.input[0] for layer in layers], limits, name)
    if to == "fp8":
        _need_opset(model, FP8_OPSET)
    _Surgery(model, limits, to).quantise(layers)
    try:
        onnx.checker.check_model(model, full_check=True)
    except onnx.checker.ValidationError as error:
        reason = " ".join(str(error).split())[:300]
        raise EngineFileError(
            f"engine {name}: in {to} it is no valid ONNX: {reason}", "export it again"
        ) from error
    small: bytes = model.SerializeToString(deterministic=True)
    return small


def chosen(data: bytes, to: Eight, keep: Sequence[str], name: str) -> tuple[Any, list[Any]]:
    """The model, in an opset that is new enough, and the layers of it that are to be in eight bits.

    Raises:
        EngineFileError: There is none, or a pattern of `keep` fits none.
    """
    import onnx

    model = onnx.load_from_string(in_newer_opset(data, name))
    layers = quantisable(model, to, keep)
    names = [layer.name for layer in quantisable(model, to)]
    idle = [pattern for pattern in keep if not any(fnmatch(known, pattern) for known in names)]
    if idle:
        raise EngineFileError(f"engine {name}: no layer is called {idle[0]}", f"there are {', '.join(names)}")
    if not layers:
        raise EngineFileError(
            f"engine {name}: nothing in it can be {to}",
            f"{to} is for {', '.join(LAYERS[to])} with fixed weights",
        )
    return model, layers


def need_known(names: Iterable[str], known: Mapping[str, object], name: str) -> None:
    """Refuses a calibration that lacks an activation.

    Raises:
        EngineFileError: It does; three at most are named.
    """
    missing = sorted(set(names) - known.keys())
    if missing:
        raise EngineFileError(
            f"engine {name}: the calibration knows nothing of {', '.join(missing[:3])}",
            "calibrate this very file: musewatch engines calibrate",
        )


def in_newer_opset(data: bytes, name: str) -> bytes:
    """The network, in an opset that has all that eight bits need; as it is where it has one already.

    Raises:
        EngineFileError: It is of an older one, and cannot be converted.
    """
    import onnx

    model = onnx.load_from_string(data)
    (opset,) = [each.version for each in model.opset_import if each.domain in ("", "ai.onnx")] or [0]
    if opset >= PER_CHANNEL_OPSET:
        return data
    try:
        converted = onnx.version_converter.convert_version(model, PER_CHANNEL_OPSET)
        onnx.checker.check_model(converted, full_check=True)
    except Exception as error:  # the converter has no base class of its own
        raise EngineFileError(
            f"engine {name}: it is of opset {opset}, eight bits need {PER_CHANNEL_OPSET}, and onnx cannot convert it: "
            f"{' '.join(str(error).split())[:300]}",
            f"export it again with opset {PER_CHANNEL_OPSET} or newer",
        ) from error
    newer: bytes = converted.SerializeToString(deterministic=True)
    return newer


def quantisable(model: Any, to: Eight, keep: Sequence[str] = ()) -> list[Any]:
    """The layers with fixed weights that eight bits speed up, in order, without those of a name in `keep`."""
    weights = {tensor.name for tensor in model.graph.initializer}
    return [
        node
        for node in model.graph.node
        if node.op_type in LAYERS[to]
        and node.input[0] not in weights
        and node.input[1] in weights
        and not any(fnmatch(node.name, pattern) for pattern in keep)
    ]


def has_depthwise(data: bytes) -> bool:
    """Whether a network convolves each channel by itself, which one scale for all of them serves badly."""
    import onnx

    model = onnx.load_from_string(data)
    convolutions = [node for node in model.graph.node if node.op_type == "Conv"]
    groups = [each.i for node in convolutions for each in node.attribute if each.name == "group"]
    return any(count > 1 for count in groups)


class _Surgery:
    """Puts Q/DQ pairs into a graph."""

    def __init__(self, model: Any, limits: Mapping[str, float], to: Eight) -> None:
        self._graph = model.graph
        self._limits = limits
        self._to: Eight = to
        self._tensors = {tensor.name: tensor for tensor in model.graph.initializer}
        self._done: dict[str, str] = {}

    def quantise(self, layers: Sequence[Any]) -> None:
        """Rewrites the layers' inputs; weights that nothing reads any more are taken out."""
        before: dict[int, list[Any]] = {}
        for layer in layers:
            added = before.setdefault(id(layer), [])
            layer.input[1] = self._once(layer.input[1], lambda name: self._weight(name, layer), added)  # noqa: B023
            layer.input[0] = self._once(layer.input[0], self._activation, added)
        nodes = [new for node in self._graph.node for new in (*before.get(id(node), ()), node)]
        read = {name for node in nodes for name in node.input}
        kept = [tensor for tensor in self._tensors.values() if tensor.name in read]
        del self._graph.node[:], self._graph.initializer[:]
        self._graph.node.extend(nodes)
        self._graph.initializer.extend(kept)

    def _once(self, name: str, make: Any, added: list[Any]) -> str:
        if name not in self._done:
            added.extend(make(name))
            self._done[name] = f"{name}_dequantised"
        return self._done[name]

    def _activation(self, name: str) -> list[Any]:
        from onnx import helper

        scale = np.float32(max(self._limits[name], 1e-8) / LARGEST[self._to])
        pair = [self._add(f"{name}_scale", scale), self._add(f"{name}_zero", self._cast(np.zeros(())))]
        return [
            helper.make_node("QuantizeLinear", [name, *pair], [f"{name}_quantised"], f"{name}_q"),
            helper.make_node(
                "DequantizeLinear", [f"{name}_quantised", *pair], [f"{name}_dequantised"], f"{name}_dq"
            ),
        ]

    def _weight(self, name: str, layer: Any) -> list[Any]:
        from onnx import helper, numpy_helper

        weight: NDArray[np.float32] = numpy_helper.to_array(self._tensors[name])
        axis = _output_axis(layer)
        others = tuple(i for i in range(weight.ndim) if i != axis % weight.ndim)
        largest = np.abs(weight).max(axis=others if self._to == "int8" else None, keepdims=True)
        scale = (np.maximum(largest, 1e-8) / LARGEST[self._to]).astype(np.float32)
        flat = scale.reshape(-1) if self._to == "int8" else scale.reshape(())
        inputs = [
            self._add(f"{name}_eight", self._cast(weight / scale)),
            self._add(f"{name}_scale", flat),
            self._add(f"{name}_zero", self._cast(np.zeros(flat.shape))),
        ]
        where = {"axis": axis % weight.ndim} if self._to == "int8" else {}
        return [helper.make_node("DequantizeLinear", inputs, [f"{name}_dequantised"], f"{name}_dq", **where)]

    def _add(self, name: str, array: Any) -> str:
        from onnx import numpy_helper

        self._tensors[name] = numpy_helper.from_array(np.asarray(array), name)
        return name

    def _cast(self, values: NDArray[Any]) -> NDArray[Any]:
        if self._to == "fp8":
            import ml_dtypes

            return np.asarray(np.clip(values, -448, 448), ml_dtypes.float8_e4m3fn)
        return np.asarray(np.clip(np.rint(values), -127, 127), np.int8)


def _output_axis(layer: Any) -> int:
    """Where a layer's weight counts the outputs."""
    if layer.op_type == "Conv":
        return 0
    transposed = any(attribute.name == "transB" and attribute.i for attribute in layer.attribute)
    return 0 if layer.op_type == "Gemm" and transposed else -1


def _need_opset(model: Any, version: int) -> None:
    for opset in model.opset_import:
        if opset.domain in ("", "ai.onnx"):
            opset.version = max(opset.version, version)
