"""OSNet's published weights, a checkpoint of torch, as an ONNX file: the network is written down layer by layer.

Only tensors are read from the checkpoint, never code. Batch normalisation is folded into the convolutions before it.

Source: Zhou et al., Omni-Scale Feature Learning for Person Re-Identification, ICCV 2019, table 1; the names of the
weights are those of github.com/KaiyangZhou/deep-person-reid.
"""

import pickle
from collections.abc import Mapping
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from engines.errors import EngineFileError
from engines.fetch.graph import Graph

STREAMS = "abcd"
"""The streams of a block, by the letter in their weights' names: of 1, 2, 3 and 4 light convolutions."""
EPSILON = 1e-5
SIZE = (256, 128)

Floats = NDArray[np.float32]


def to_onnx(checkpoint: Path) -> bytes:
    """Converts a checkpoint of OSNet of any width; its classifier is left out.

    Args:
        checkpoint: A state_dict as torch saves it, from a trusted place.

    Returns:
        An ONNX file, (batch, 3, 256, 128) -> (batch, dimension).

    Raises:
        EngineFileError: It is no such checkpoint.
        ModuleNotFoundError: Torch is not installed.
    """
    import torch

    try:
        saved = torch.load(checkpoint, map_location="cpu", weights_only=True)
        saved = saved.get("state_dict", saved)
        weights = {name.removeprefix("module."): tensor.float().numpy() for name, tensor in saved.items()}
        return _Network(weights).finish()
    except (pickle.UnpicklingError, RuntimeError, KeyError, AttributeError, ValueError) as error:
        raise EngineFileError(
            f"{checkpoint} cannot be converted: {type(error).__name__}: {error}",
            "it is no checkpoint of OSNet of a kind that we know",
        ) from None


class _Network:
    """The graph under way; every method adds nodes and gives the name of their output."""

    def __init__(self, weights: Mapping[str, Floats]) -> None:
        self._weights = weights
        self._graph = Graph()

    def finish(self) -> bytes:
        """The file."""
        maps = self._graph.node("MaxPool", [self._convolved("pictures", "conv1", stride=2, size=7)],
                          kernel_shape=[3, 3], strides=[2, 2], pads=[1, 1, 1, 1])  # fmt: skip
        for stage in ("conv2", "conv3", "conv4"):
            for block in ("0", "1"):
                maps = self._block(maps, f"{stage}.{block}")
            if f"{stage}.2.0.conv.weight" in self._weights:
                maps = self._convolved(maps, f"{stage}.2.0")
                maps = self._graph.node("AveragePool", [maps], kernel_shape=[2, 2], strides=[2, 2])
        pooled = self._graph.node("GlobalAveragePool", [self._convolved(maps, "conv5")])
        rows, weight, bias = self._head(pooled)
        answer = self._graph.node("Relu", [self._graph.node("Gemm", [rows, weight, bias], transB=1)])
        dimension = len(self._weights["fc.0.weight"])
        return self._graph.finish([("pictures", ("batch", 3, *SIZE))], [(answer, ("batch", dimension))])

    def _head(self, pooled: str) -> tuple[str, str, str]:
        """What the last linear layer reads: rows, weight and bias."""
        scale, shift = self._normalisation("fc.1")
        weight = self._weights["fc.0.weight"] * scale[:, None]
        bias = self._weights["fc.0.bias"] * scale + shift
        rows = self._graph.node("Flatten", [pooled])
        return rows, self._graph.constant("fc.weight", weight), self._graph.constant("fc.bias", bias)

    def _block(self, maps: str, name: str) -> str:
        """One omni-scale block: streams of growing depth, weighed by one gate, added to what came in."""
        squeezed = self._convolved(maps, f"{name}.conv1")
        streams = []
        for depth, letter in enumerate(STREAMS, start=1):
            stream = squeezed
            for place in range(depth):
                part = f"{name}.conv2{letter}" + (f".{place}" if depth > 1 else "")
                stream = self._light(stream, part)
            streams.append(self._gated(stream, f"{name}.gate"))
        widened = self._convolved(self._graph.node("Sum", streams), f"{name}.conv3", active=False)
        if f"{name}.downsample.conv.weight" in self._weights:
            maps = self._convolved(maps, f"{name}.downsample", active=False)
        return self._graph.node("Relu", [self._graph.node("Add", [widened, maps])])

    def _light(self, maps: str, name: str) -> str:
        """A 3x3 convolution in two: across channels, then within each."""
        mixed = self._graph.node("Conv", [maps, self._weight(f"{name}.conv1.weight")])
        return self._convolved(mixed, name, weight="conv2", size=3, groups=True)

    def _gated(self, maps: str, name: str) -> str:
        """The maps, each weighed by what all of them show."""
        gate = self._graph.node("GlobalAveragePool", [maps])
        for layer, activation in (("fc1", "Relu"), ("fc2", "Sigmoid")):
            named = [self._weight(f"{name}.{layer}.{part}") for part in ("weight", "bias")]
            gate = self._graph.node(activation, [self._graph.node("Conv", [gate, *named])])
        return self._graph.node("Mul", [maps, gate])

    def _convolved(
        self, maps: str, name: str, *, weight: str = "conv", stride: int = 1, size: int = 1,
        groups: bool = False, active: bool = True,
    ) -> str:  # fmt: skip
        """A convolution with its normalisation, and a rectifier where `active`."""
        scale, shift = self._normalisation(f"{name}.bn")
        kernel = self._weights[f"{name}.{weight}.weight"] * scale[:, None, None, None]
        named = self._graph.constant(f"{name}/kernel", kernel), self._graph.constant(f"{name}/shift", shift)
        edge = size // 2
        found = self._graph.node(
            "Conv", [maps, *named], strides=[stride] * 2, pads=[edge] * 4, group=len(kernel) if groups else 1
        )
        return self._graph.node("Relu", [found]) if active else found

    def _normalisation(self, name: str) -> tuple[Floats, Floats]:
        """Scale and shift of a batch normalisation, as it is once trained."""
        mean, variance = (self._weights[f"{name}.running_{part}"] for part in ("mean", "var"))
        scale = self._weights[f"{name}.weight"] / np.sqrt(variance + EPSILON)
        return scale, self._weights[f"{name}.bias"] - mean * scale

    def _weight(self, name: str) -> str:
        """Names a weight as it is."""
        return self._graph.constant(name, self._weights[name])
