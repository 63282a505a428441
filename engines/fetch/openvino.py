"""Networks in OpenVINO's form, a topology (.xml) and its weights (.bin), as one ONNX file.

The operations are those of Open Model Zoo's person re-identification networks. What is computed from shapes alone is
folded, weights in float16 become float32, and the first axis of input and output becomes the batch, of any size.

MVN becomes InstanceNormalization with the epsilon that the topology states: ONNX's MeanVarianceNormalization has no
epsilon, and onnxruntime makes NaN, +1 or -1 of a channel without contrast.

Source: https://docs.openvino.ai/2024/documentation/openvino-ir-format/operation-sets.html (opset1 to opset8).
"""

import xml.etree.ElementTree as ET
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from engines.errors import EngineFileError
from engines.fetch.graph import Graph, Port

TYPES = {"f32": "<f4", "f16": "<f2", "i64": "<i8", "i32": "<i4"}

Array = NDArray[Any]


@dataclass(frozen=True, slots=True)
class Layer:
    """One operation of a topology.

    Attributes:
        name: Of the layer; its single output goes by it.
        kind: Operation.
        data: Its attributes.
        inputs: Names of the layers that it reads, in order.
        shapes: Shape of each input, as the topology states it.
        shape: Of the output; empty for results.
    """

    name: str
    kind: str
    data: dict[str, str]
    inputs: tuple[str, ...]
    shapes: tuple[tuple[int, ...], ...]
    shape: tuple[int, ...]

    def numbers(self, key: str) -> list[int]:
        """An attribute that lists whole numbers."""
        return _numbers(self.data.get(key, ""))

    def says(self, key: str, default: str = "false") -> bool:
        """An attribute that is true or false."""
        return self.data.get(key, default) in ("true", "1")


def to_onnx(topology: Path, weights: Path) -> bytes:
    """Converts a network.

    Args:
        topology: The .xml file; from a trusted place, its digest is known.
        weights: The .bin file.

    Returns:
        An ONNX file with the same input and output, float32, any batch.

    Raises:
        EngineFileError: It is no such file, or has an operation that is not known here.
        OSError: A file cannot be read.
    """
    try:
        layers = _read(topology)
        return _Conversion(layers, weights.read_bytes()).finish()
    except (ET.ParseError, KeyError, ValueError, IndexError, AttributeError) as error:
        raise EngineFileError(
            f"{topology} cannot be converted: {type(error).__name__}: {error}",
            "it is no network in OpenVINO's form of a kind that we know",
        ) from None


def _read(topology: Path) -> list[Layer]:
    root = ET.parse(topology).getroot()
    names = {each.attrib["id"]: each.attrib["name"] for each in root.iter("layer")}
    sources = {
        (edge.attrib["to-layer"], edge.attrib["to-port"]): names[edge.attrib["from-layer"]]
        for edge in root.iter("edge")
    }
    layers = []
    for each in root.iter("layer"):
        ports = each.findall("input/port")
        data = each.find("data")
        layers.append(
            Layer(
                name=each.attrib["name"],
                kind=each.attrib["type"],
                data={} if data is None else dict(data.attrib),
                inputs=tuple(sources[each.attrib["id"], port.attrib["id"]] for port in ports),
                shapes=tuple(_shape_of(port) for port in ports),
                shape=next(map(_shape_of, each.findall("output/port")), ()),
            )
        )
    return layers


def _shape_of(port: ET.Element) -> tuple[int, ...]:
    return tuple(int(dim.text or "") for dim in port.findall("dim"))


def _numbers(text: str) -> list[int]:
    return [int(part) for part in text.replace(",", " ").split()]


class _Conversion:
    """A graph under way: what is known already, and the nodes that compute the rest."""

    def __init__(self, layers: list[Layer], weights: bytes) -> None:
        self._layers, self._weights = layers, weights
        self._known: dict[str, Array] = {}
        self.graph = Graph()
        self._inputs: list[Port] = []
        self._outputs: list[Port] = []

    def finish(self) -> bytes:
        """The file."""
        for layer in self._layers:
            folded = self._folded(layer)
            if folded is not None:
                self._known[layer.name] = folded
            else:
                _write(self, layer)
        if len(self._inputs) != 1 or len(self._outputs) != 1:
            raise ValueError("it has not one input and one output")
        return self.graph.finish(self._inputs, self._outputs)

    def _folded(self, layer: Layer) -> Array | None:
        """The value of a layer that depends on no picture."""
        if layer.kind == "Const":
            kind, start = TYPES[layer.data["element_type"]], int(layer.data["offset"])
            raw = self._weights[start : start + int(layer.data["size"])]
            return np.frombuffer(raw, kind).reshape(layer.numbers("shape"))
        if layer.kind == "ShapeOf":
            return np.array(layer.shapes[0], np.int64)
        if layer.kind in FOLDED and all(name in self._known for name in layer.inputs):
            return FOLDED[layer.kind](layer, [self._known[name] for name in layer.inputs])
        return None

    def known(self, layer: Layer, place: int) -> Array:
        """The value of an input that must not depend on pictures.

        Raises:
            ValueError: It does.
        """
        name = layer.inputs[place]
        if name not in self._known:
            raise ValueError(f"{layer.kind} {layer.name}: input {place} is not constant")
        return self._known[name]

    def tensor(self, layer: Layer, place: int) -> str:
        """The name by which a node reads an input."""
        name = layer.inputs[place]
        if name in self._known and not self.graph.has(name):
            self.graph.constant(name, self._known[name])
        return name

    def node(self, layer: Layer, kind: str, inputs: list[str], **attributes: Any) -> None:
        """Adds a node whose output is that of the layer."""
        self.graph.node(kind, inputs, layer.name, **attributes)

    def open(self, layer: Layer) -> None:
        """Adds an input of the network."""
        self._inputs.append((layer.name, ("batch", *layer.shape[1:])))

    def close(self, layer: Layer) -> None:
        """Adds an output of the network."""
        self._outputs.append((layer.inputs[0], ("batch", *layer.shapes[0][1:])))


FOLDED: dict[str, Callable[[Layer, list[Array]], Array]] = {
    "Convert": lambda layer, values: values[0].astype(TYPES[layer.data["destination_type"]]),
    "Concat": lambda layer, values: np.concatenate(values, int(layer.data["axis"])),
    "Gather": lambda layer, values: np.take(values[0], values[1], int(values[2])),
}
"""Operations that are worked out here when all that they read is known."""

Writer = Callable[[_Conversion, Layer], None]


def _write(conversion: _Conversion, layer: Layer) -> None:
    if layer.kind not in WRITERS:
        raise ValueError(f"operation {layer.kind} is not known")
    WRITERS[layer.kind](conversion, layer)


def _elementwise(kind: str) -> Writer:
    def write(to: _Conversion, layer: Layer) -> None:
        to.node(layer, kind, [to.tensor(layer, place) for place in range(len(layer.inputs))])

    return write


def _window(layer: Layer) -> dict[str, Any]:
    """Attributes that convolutions and poolings share.

    Raises:
        ValueError: Padding that depends on the picture's size.
    """
    if layer.data.get("auto_pad", "explicit") not in ("explicit", "valid", "notset"):
        raise ValueError(f"{layer.kind} {layer.name}: auto_pad {layer.data['auto_pad']}")
    attributes: dict[str, Any] = {
        "strides": layer.numbers("strides"),
        "pads": layer.numbers("pads_begin") + layer.numbers("pads_end"),
    }
    if layer.data.get("dilations"):
        attributes["dilations"] = layer.numbers("dilations")
    return attributes


def _convolution(to: _Conversion, layer: Layer) -> None:
    to.node(layer, "Conv", [to.tensor(layer, 0), to.tensor(layer, 1)], **_window(layer))


def _group_convolution(to: _Conversion, layer: Layer) -> None:
    weights = to.known(layer, 1)  # (groups, out, in, height, width)
    groups = weights.shape[0]
    flat = weights.reshape(-1, *weights.shape[2:])
    named = to.graph.constant(layer.inputs[1], flat)
    to.node(layer, "Conv", [to.tensor(layer, 0), named], group=groups, **_window(layer))


def _max_pool(to: _Conversion, layer: Layer) -> None:
    ceil = int(layer.data.get("rounding_type", "floor") == "ceil")
    kernel = layer.numbers("kernel")
    to.node(layer, "MaxPool", [to.tensor(layer, 0)], kernel_shape=kernel, ceil_mode=ceil, **_window(layer))


def _average_pool(to: _Conversion, layer: Layer) -> None:
    ceil = int(layer.data.get("rounding_type", "floor") == "ceil")
    to.node(
        layer, "AveragePool", [to.tensor(layer, 0)], kernel_shape=layer.numbers("kernel"), ceil_mode=ceil,
        count_include_pad=int(not layer.says("exclude-pad", "true")), **_window(layer),
    )  # fmt: skip


def _mean(to: _Conversion, layer: Layer) -> None:
    axes = to.known(layer, 1).tolist()
    to.node(layer, "ReduceMean", [to.tensor(layer, 0)], axes=axes, keepdims=int(layer.says("keep_dims")))


def _normalise(to: _Conversion, layer: Layer) -> None:
    rank = len(layer.shapes[0])
    axes = sorted(axis % rank for axis in np.ravel(to.known(layer, 1)).tolist())
    if axes != list(range(2, rank)):
        raise ValueError(f"MVN {layer.name}: over the axes {axes} of {rank}")
    if not layer.says("normalize_variance") or layer.data["eps_mode"].lower() != "inside_sqrt":
        raise ValueError(f"MVN {layer.name}: of another kind")
    channels = layer.shapes[0][1]
    ones = to.graph.constant(f"ones{channels}", np.ones(channels, np.float32))
    zeros = to.graph.constant(f"zeros{channels}", np.zeros(channels, np.float32))
    epsilon = float(layer.data["eps"])
    to.node(layer, "InstanceNormalization", [to.tensor(layer, 0), ones, zeros], epsilon=epsilon)


def _reshape(to: _Conversion, layer: Layer) -> None:
    shape = to.known(layer, 1).astype(np.int64)
    if layer.shapes[0][0] != layer.shape[0]:
        raise ValueError(f"Reshape {layer.name}: pictures and their parts are mixed")
    shape[0] = 0  # as many pictures as came in
    to.node(layer, "Reshape", [to.tensor(layer, 0), to.graph.constant(f"{layer.name}/shape", shape)])


def _gather(to: _Conversion, layer: Layer) -> None:
    axis = int(to.known(layer, 2).item())
    to.node(layer, "Gather", [to.tensor(layer, 0), to.tensor(layer, 1)], axis=axis)


def _concat(to: _Conversion, layer: Layer) -> None:
    inputs = [to.tensor(layer, place) for place in range(len(layer.inputs))]
    to.node(layer, "Concat", inputs, axis=int(layer.data["axis"]))


def _matmul(to: _Conversion, layer: Layer) -> None:
    if layer.says("transpose_a"):
        raise ValueError(f"MatMul {layer.name}: its first input is transposed")
    weights = to.known(layer, 1)
    turned = weights.T if layer.says("transpose_b") else weights
    to.node(layer, "MatMul", [to.tensor(layer, 0), to.graph.constant(layer.inputs[1], turned)])


def _prelu(to: _Conversion, layer: Layer) -> None:
    slope = np.ravel(to.known(layer, 1))
    if slope.size > 1:  # one a channel
        slope = slope.reshape(-1, *[1] * (len(layer.shapes[0]) - 2))
    to.node(layer, "PRelu", [to.tensor(layer, 0), to.graph.constant(layer.inputs[1], slope)])


WRITERS: dict[str, Writer] = {
    "Parameter": _Conversion.open,
    "Result": _Conversion.close,
    "Add": _elementwise("Add"),
    "Subtract": _elementwise("Sub"),
    "Multiply": _elementwise("Mul"),
    "ReLU": _elementwise("Relu"),
    "Sigmoid": _elementwise("Sigmoid"),
    "Convolution": _convolution,
    "GroupConvolution": _group_convolution,
    "MaxPool": _max_pool,
    "AvgPool": _average_pool,
    "ReduceMean": _mean,
    "MVN": _normalise,
    "Reshape": _reshape,
    "Gather": _gather,
    "Concat": _concat,
    "MatMul": _matmul,
    "PReLU": _prelu,
}
