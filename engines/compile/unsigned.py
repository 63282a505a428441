"""INT8 networks that onnxruntime runs fast on processors: activations without a sign, weights with one.

x86 multiplies unsigned by signed bytes; TensorRT wants both signed, and has its kind in `precisions.py`. What stands
between convolutions is in eight bits too where it can be, so that nothing is turned into floats and back on the way.
"""

import tempfile
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

from engines.compile.precisions import chosen, in_newer_opset, need_known, quantisable
from engines.errors import EngineFileError

Range = tuple[float, float]
"""Lowest and highest value that is kept of an activation."""
BETWEEN = ("Add", "Concat", "MaxPool", "Relu", "Resize")


def folded(data: bytes, name: str) -> bytes:
    """The network with what follows a convolution and only scales it (batch normalisation) in the convolution.

    Raises:
        EngineFileError: onnxruntime cannot load it.
    """
    import onnxruntime as ort

    options = ort.SessionOptions()
    options.graph_optimization_level = ort.GraphOptimizationLevel.ORT_ENABLE_BASIC
    options.log_severity_level = 4
    with tempfile.TemporaryDirectory() as folder:
        options.optimized_model_filepath = str(Path(folder, "folded.onnx"))
        try:
            ort.InferenceSession(in_newer_opset(data, name), options, providers=["CPUExecutionProvider"])
        except Exception as error:  # onnxruntime has no base class of its own
            raise EngineFileError(
                f"engine {name}: onnxruntime cannot load it: {' '.join(str(error).split())[:300]}",
                "get the whole file again",
            ) from None
        return Path(options.optimized_model_filepath).read_bytes()


def inner(model: Any, layers: Sequence[Any]) -> list[Any]:
    """The layers whose results go into others of them, all where none does: what leaves keeps its fine steps."""
    readers: dict[str, list[Any]] = {}
    for node in model.graph.node:
        for given in node.input:
            readers.setdefault(given, []).append(node)
    goals = {layer.output[0] for layer in layers}

    def leads_on(layer: Any) -> bool:
        waiting, seen = list(layer.output), set[str]()
        while waiting:
            for node in readers.get(waiting.pop(), ()):
                if node.output[0] in goals:
                    return True
                waiting += [each for each in node.output if each not in seen]
                seen.update(node.output)
        return False

    return [layer for layer in layers if leads_on(layer)] or list(layers)


def in_eight_bits(model: Any, layers: Sequence[Any]) -> list[Any]:
    """The layers, and what only passes on what convolutions among them give."""
    quantised = {layer.output[0] for layer in layers}
    fixed = {tensor.name for tensor in model.graph.initializer}
    made = {name for layer in layers if layer.op_type == "Conv" for name in layer.output}
    for node in model.graph.node:
        given = [name for name in _tensors(node) if name not in fixed]
        if node.op_type in BETWEEN and given and all(name in made for name in given):
            quantised.add(node.output[0])
            made.update(node.output)
    return [node for node in model.graph.node if node.output[0] in quantised]


def measured(nodes: Sequence[Any], model: Any) -> list[str]:
    """Names of the activations of nodes in eight bits, whose ranges have to be known."""
    fixed = {tensor.name for tensor in model.graph.initializer}
    names = (name for node in nodes for name in (*_tensors(node), *node.output))
    return [name for name in dict.fromkeys(names) if name not in fixed]


def read_by_processors(data: bytes, name: str) -> list[str]:
    """Names of the activations whose ranges `to_unsigned` has to know, whatever it keeps.

    Raises:
        EngineFileError: onnxruntime cannot load the network.
    """
    import onnx

    model = onnx.load_from_string(folded(data, name))
    return measured(in_eight_bits(model, quantisable(model, "int8")), model)


def to_unsigned(
    data: bytes, ranges: Mapping[str, Range], *, keep: Sequence[str] = (), name: str = "engine"
) -> bytes:
    """The network with its heavy layers in eight bits.

    Args:
        data: An ONNX file of float32.
        ranges: Of the activations that `measured` names; what is beyond is clipped.
        keep: Patterns of names of layers that stay float32.
        name: The engine's, for messages.

    Raises:
        EngineFileError: No layer is left to quantise, the calibration is not of this network, or onnxruntime's
            quantiser cannot do it.
    """
    from onnxruntime.quantization import QuantType
    from onnxruntime.quantization.calibrate import CalibrationMethod, TensorsData
    from onnxruntime.quantization.qdq_quantizer import QDQQuantizer

    model, layers = chosen(folded(data, name), "int8", keep, name)
    nodes = in_eight_bits(model, inner(model, layers))
    need_known(measured(nodes, model), ranges, name)
    for number, node in enumerate(model.graph.node):
        node.name = node.name or f"{node.op_type}_{number}"
    quantiser = QDQQuantizer(
        model,
        per_channel=True,
        reduce_range=False,
        weight_qType=QuantType.QInt8,
        activation_qType=QuantType.QUInt8,
        tensors_range=TensorsData(CalibrationMethod.MinMax, _as_numpy(ranges)),
        nodes_to_quantize=[node.name for node in nodes],
        nodes_to_exclude=[],
        op_types_to_quantize=sorted({node.op_type for node in nodes}),
        extra_options={},
    )
    try:
        quantiser.quantize_model()
        small: bytes = quantiser.model.model.SerializeToString(deterministic=True)
    except Exception as error:  # it has no base class of its own
        raise EngineFileError(
            f"engine {name}: onnxruntime cannot quantise it: {' '.join(str(error).split())[:300]}",
            "leave layers in float32 (--keep), or build fp16",
        ) from error
    return small


def _tensors(node: Any) -> Iterable[str]:
    """What goes in and is computed with: a Resize's sizes are not."""
    return [name for name in (node.input[:1] if node.op_type == "Resize" else node.input) if name]


def _as_numpy(ranges: Mapping[str, Range]) -> dict[str, Any]:
    import numpy as np

    return {name: (np.float32(low), np.float32(high)) for name, (low, high) in ranges.items()}
