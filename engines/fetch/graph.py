"""An ONNX graph written down node by node."""

from collections.abc import Sequence
from typing import Any

import numpy as np
import onnx
from numpy.typing import NDArray
from onnx import TensorProto, helper, numpy_helper

OPSET, IR_VERSION = 17, 8

Port = tuple[str, Sequence[int | str]]
"""Name and shape of an input or output, float32; a text in the shape is any number."""


class Graph:
    """Nodes and constants, in the order in which they are added.

    Args:
        model: What is gone on with; its outputs are forgotten. None = an empty graph.
    """

    def __init__(self, model: Any = None) -> None:
        self._model = model
        self._nodes = [] if model is None else list(model.graph.node)
        self._constants = {} if model is None else {each.name: each for each in model.graph.initializer}

    def node(self, kind: str, inputs: Sequence[str], name: str = "", **attributes: Any) -> str:
        """Adds a node.

        Args:
            kind: Operation.
            inputs: What it reads.
            name: Of its output; empty = one that no other node has.
            attributes: Of the operation.

        Returns:
            The name of its output.
        """
        output = name or f"{kind}_{len(self._nodes)}"
        self._nodes.append(helper.make_node(kind, list(inputs), [output], **attributes))
        return output

    def constant(self, name: str, value: NDArray[Any]) -> str:
        """Adds a value, or puts another in its place; floating point becomes float32. Gives its name."""
        if value.dtype in (np.float16, np.float64):
            value = value.astype(np.float32)
        self._constants[name] = numpy_helper.from_array(np.ascontiguousarray(value), name)
        return name

    def has(self, name: str) -> bool:
        """Whether there is a constant of that name."""
        return name in self._constants

    def finish(self, inputs: Sequence[Port], outputs: Sequence[Port]) -> bytes:
        """The file, once ONNX's own checker has nothing to say.

        Raises:
            ValueError: The checker has.
        """
        ports = [
            [helper.make_tensor_value_info(name, TensorProto.FLOAT, shape) for name, shape in side]
            for side in (inputs, outputs)
        ]
        graph = helper.make_graph(self._nodes, "network", *ports, list(self._constants.values()))
        opsets = [helper.make_opsetid("", OPSET)] if self._model is None else self._model.opset_import
        version = IR_VERSION if self._model is None else self._model.ir_version
        model = helper.make_model(graph, opset_imports=opsets, ir_version=version, producer_name="musewatch")
        try:
            onnx.checker.check_model(model)
        except onnx.checker.ValidationError as error:
            raise ValueError(str(error).partition("\n")[0]) from None
        return bytes(model.SerializeToString())
