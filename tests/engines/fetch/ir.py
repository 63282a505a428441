"""Networks in OpenVINO's form, written by tests layer by layer."""

import xml.etree.ElementTree as ET
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

TYPES = {"<f4": "f32", "<f2": "f16", "<i8": "i64", "<i4": "i32"}


class Topology:
    """Layers added one after the other; each call gives the layer's number for those that read it."""

    def __init__(self) -> None:
        self._root = ET.Element("net", name="test", version="11")
        self._layers = ET.SubElement(self._root, "layers")
        self._edges = ET.SubElement(self._root, "edges")
        self._shapes: list[tuple[int, ...]] = []
        self._weights = b""

    def parameter(self, *shape: int) -> int:
        return self.add("Parameter", [], shape, shape=", ".join(map(str, shape)), element_type="f32")

    def constant(self, value: Any, kind: str = "<f4") -> int:
        array = np.asarray(value, kind)
        place = {"offset": str(len(self._weights)), "size": str(array.nbytes)}
        self._weights += array.tobytes()
        shape = ", ".join(map(str, array.shape))
        return self.add("Const", [], array.shape, element_type=TYPES[kind], shape=shape, **place)

    def half(self, value: Any) -> int:
        """A float16 constant made float32, as Model Optimizer writes weights."""
        source = self.constant(value, "<f2")
        return self.add("Convert", [source], np.asarray(value).shape, destination_type="f32")

    def add(self, kind: str, inputs: list[int], out: tuple[int, ...] = (), /, **data: str) -> int:
        number = len(self._shapes)
        layer = ET.SubElement(self._layers, "layer", id=str(number), name=f"{kind}_{number}", type=kind)
        ET.SubElement(layer, "data", data)
        if inputs:
            ports = ET.SubElement(layer, "input")
            for place, source in enumerate(inputs):
                _port(ports, place, self._shapes[source])
                edge = {"from-layer": str(source), "from-port": str(self._out(source))}
                ET.SubElement(self._edges, "edge", {**edge, "to-layer": str(number), "to-port": str(place)})
        if kind != "Result":
            _port(ET.SubElement(layer, "output"), len(inputs), out)
        self._shapes.append(out)
        return number

    def _out(self, source: int) -> int:
        layer = self._layers[source]
        return len(layer.findall("input/port"))

    def save(self, folder: Path) -> tuple[Path, Path]:
        topology, weights = folder / "net.xml", folder / "net.bin"
        topology.write_bytes(ET.tostring(self._root))
        weights.write_bytes(self._weights)
        return topology, weights


def _port(parent: ET.Element, number: int, shape: tuple[int, ...]) -> None:
    port = ET.SubElement(parent, "port", id=str(number))
    for dim in shape:
        ET.SubElement(port, "dim").text = str(dim)


WINDOW = {"auto_pad": "explicit", "strides": "1, 1", "pads_begin": "0, 0", "pads_end": "0, 0"}
MVN = {"eps": "9.9999997473787516e-06", "normalize_variance": "true", "eps_mode": "INSIDE_SQRT"}


def embedder(size: tuple[int, int] = (32, 16), seed: int = 0) -> tuple[Topology, dict[str, NDArray[Any]]]:
    """A small network of the kind of Open Model Zoo's, with every operation of theirs, and its weights."""
    random = np.random.default_rng(seed)
    weights = {
        name: random.normal(0, 0.5, shape).astype(np.float16)
        for name, shape in {
            "conv": (8, 3, 3, 3), "group": (4, 2, 2, 3, 3), "bias": (1, 8, 1, 1), "matmul": (6, 16), "gate": (1, 4, 2),
        }.items()
    }  # fmt: skip
    h, w = size
    net = Topology()
    data = net.parameter(1, 3, h, w)
    order, axis = net.constant([2, 1, 0], "<i4"), net.constant([1], "<i4")
    turned = net.add("Gather", [data, order, axis], (1, 3, h, w), batch_dims="0")
    mean = net.half(np.full((1, 3, 1, 1), 100.0))
    centred = net.add("Subtract", [turned, mean], (1, 3, h, w), auto_broadcast="numpy")
    spatial = net.constant([2, 3], "<i8")
    even = net.add("MVN", [centred, spatial], (1, 3, h, w), **MVN)
    around = {**WINDOW, "pads_begin": "1, 1", "pads_end": "1, 1", "dilations": "1, 1"}
    conv = net.add("Convolution", [even, net.half(weights["conv"])], (1, 8, h, w), **around)
    group = net.add("GroupConvolution", [conv, net.half(weights["group"])], (1, 8, h, w), **around)
    biased = net.add("Add", [group, net.half(weights["bias"])], (1, 8, h, w), auto_broadcast="numpy")
    active = net.add("ReLU", [biased], (1, 8, h, w))
    halved = {**WINDOW, "strides": "2, 2", "kernel": "2, 2", "rounding_type": "floor"}
    largest = net.add("MaxPool", [active], (1, 8, h // 2, w // 2), **halved)
    averaged = {**halved, "exclude-pad": "true"}
    small = net.add("AvgPool", [largest], (1, 8, h // 4, w // 4), **averaged)
    pooled = net.add("ReduceMean", [small, spatial], (1, 8, 1, 1), keep_dims="true")
    rows = net.add("Reshape", [pooled, net.constant([0, 4, -1], "<i8")], (1, 4, 2), special_zero="true")
    levelled = net.add("MVN", [rows, net.constant([2], "<i8")], (1, 4, 2), **MVN)
    gated = net.add("Multiply", [levelled, net.half(weights["gate"])], (1, 4, 2), auto_broadcast="numpy")
    shape = net.add("ShapeOf", [pooled], (4,), output_type="i64")
    back = net.add("Reshape", [gated, shape], (1, 8, 1, 1), special_zero="true")
    gate = net.add("Sigmoid", [back], (1, 8, 1, 1))
    weighed = net.add("Multiply", [pooled, gate], (1, 8, 1, 1), auto_broadcast="numpy")
    both = net.add("Concat", [weighed, pooled], (1, 16, 1, 1), axis="1")
    first = net.add("Gather", [shape, net.constant([0], "<i8"), net.constant(0, "<i8")], (1,), batch_dims="0")
    target = net.add("Concat", [first, net.constant([-1], "<i8")], (2,), axis="0")
    flat = net.add("Reshape", [both, target], (1, 16), special_zero="true")
    product = net.add(
        "MatMul", [flat, net.half(weights["matmul"])], (1, 6), transpose_a="false", transpose_b="true"
    )
    answer = net.add("PReLU", [product, net.half([[0.25]])], (1, 6))
    net.add("Result", [answer])
    return net, weights
