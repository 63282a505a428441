"""Fakes and tiny networks for tests of anything that uses an engine."""

import hashlib
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import yaml
from numpy.typing import NDArray

from engines.sessions.base import Tensors, TensorSpec

OPSET, IR_VERSION = 17, 8


class FunctionSession:
    """A session that is a function of its inputs.

    >>> x = TensorSpec("x", (1,), "float32")
    >>> session = FunctionSession(lambda feeds: {"y": feeds["x"] + 1}, inputs=[x])
    >>> session.run({"x": np.float32([1])})["y"].tolist()
    [2.0]
    """

    def __init__(
        self,
        function: Callable[[Tensors], Tensors],
        inputs: Sequence[TensorSpec],
        outputs: Sequence[TensorSpec] = (),
    ) -> None:
        self._function = function
        self.inputs = tuple(inputs)
        self.outputs = tuple(outputs)

    def run(self, feeds: Tensors) -> Tensors:
        """What the function makes of the feeds."""
        return self._function(feeds)


def write_engine(folder: Path, network: bytes, **keys: Any) -> Path:
    """Writes a network and its manifest with the right digest; returns the manifest's path.

    Args:
        folder: Where to; made when missing.
        network: The file's bytes.
        keys: Added to the manifest, or replacing what it says; None takes a key away.
    """
    document: dict[str, Any] = {
        "schema": "musewatch.engine/1",
        "name": "tiny",
        "role": "embedder",
        "file": "tiny.onnx",
        "sha256": hashlib.sha256(network).hexdigest(),
        "licence": "Apache-2.0",
        "provenance": "made by a test",
        "preprocess": {"colour": "bgr", "resize": "stretch", "size": [64, 32]},
        **keys,
    }
    folder.mkdir(parents=True, exist_ok=True)
    (folder / Path(document["file"]).name).write_bytes(network)
    path = folder / f"{document['name']}.yaml"
    path.write_text(yaml.safe_dump({key: value for key, value in document.items() if value is not None}))
    return path


def brightness_network(
    outputs: Mapping[str, NDArray[Any]], size: tuple[int, int], batch: int | None = None
) -> bytes:
    """An ONNX network that answers a white picture with `outputs` and darker ones with proportionally less.

    Args:
        outputs: Float answers to one picture, (1, ...) each.
        size: Height, width of the input.
        batch: Pictures that must go in together; None = any number.
    """
    from onnx import TensorProto, helper, numpy_helper

    nodes = [
        helper.make_node("ReduceMean", ["pictures"], ["mean"], axes=[1, 2, 3], keepdims=0),
        helper.make_node("Div", ["mean", "white"], ["brightness"]),
    ]
    constants = [numpy_helper.from_array(np.array(255, np.float32), "white")]
    results = []
    for name, answer in outputs.items():
        ones = [1] * (answer.ndim - 1)
        constants.append(numpy_helper.from_array(answer.astype(np.float32), f"{name}_white"))
        constants.append(numpy_helper.from_array(np.array([-1, *ones], np.int64), f"{name}_column"))
        nodes.append(helper.make_node("Reshape", ["brightness", f"{name}_column"], [f"{name}_factor"]))
        nodes.append(helper.make_node("Mul", [f"{name}_white", f"{name}_factor"], [name]))
        shape = [batch or "batch", *answer.shape[1:]]
        results.append(helper.make_tensor_value_info(name, TensorProto.FLOAT, shape))
    return _network(nodes, constants, results, size, batch)


def stripe_embedder(size: tuple[int, int], stripes: int = 8, batch: int | None = None) -> bytes:
    """An ONNX network whose answer (N, 3, stripes, 1) is the mean colour of each horizontal stripe.

    Args:
        size: Height, width of the input; the height a multiple of `stripes`.
        stripes: How many.
        batch: Pictures that must go in together; None = any number.
    """
    from onnx import TensorProto, helper

    stripe = [size[0] // stripes, size[1]]
    node = helper.make_node("AveragePool", ["pictures"], ["colours"], kernel_shape=stripe, strides=stripe)
    shape = [batch or "batch", 3, stripes, 1]
    result = helper.make_tensor_value_info("colours", TensorProto.FLOAT, shape)
    return _network([node], [], [result], size, batch)


def _network(
    nodes: list[Any], constants: list[Any], results: list[Any], size: tuple[int, int], batch: int | None
) -> bytes:
    from onnx import TensorProto, checker, helper

    pictures = helper.make_tensor_value_info("pictures", TensorProto.FLOAT, [batch or "batch", 3, *size])
    graph = helper.make_graph(nodes, "tiny", [pictures], results, constants)
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", OPSET)], ir_version=IR_VERSION)
    checker.check_model(model)
    data: bytes = model.SerializeToString()
    return data
