"""NanoDet as it is published, with the boxes worked out inside: its distances to the four edges are distributions.

Source: RangiLyu, NanoDet (github.com/RangiLyu/nanodet); Li et al., Generalized Focal Loss, NeurIPS 2020, 3.2: an edge's
distance is the mean of a distribution over 0 to 7 strides.
"""

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import onnx
import onnxruntime
from numpy.typing import NDArray

from engines.errors import EngineFileError
from engines.fetch.graph import Graph

EDGES, STEPS = 4, 8
"""Left, top, right, bottom; entries of a distance's distribution."""
STRIDES = (8, 16, 32)
EDGES_TO_BOX = np.array([[-0.5, 0, 1, 0], [0, -0.5, 0, 1], [0.5, 0, 1, 0], [0, 0.5, 0, 1]], np.float32)
"""Distances from a cell's centre, times this: the box's centre from there, its width, its height."""

Floats = NDArray[np.float32]


@dataclass(frozen=True, slots=True)
class Level:
    """What a network answers for the cells of one stride, by the names of its outputs."""

    stride: int
    scores: str
    edges: str


def to_onnx(network: Path) -> bytes:
    """Puts boxes and scores in the place of a network's answers, level by level.

    Args:
        network: An ONNX file for one picture that answers, for each level, scores in [0, 1], (cells, classes), and
            distributions, (cells, 4 x 8).

    Returns:
        An ONNX file that answers (1, 4 + classes, cells): centre x, y, width, height in pixels, then the scores.

    Raises:
        EngineFileError: It is no such network.
    """
    try:
        session = onnxruntime.InferenceSession(network, providers=["CPUExecutionProvider"])
        (entry,) = session.get_inputs()
        names = [output.name for output in session.get_outputs()]
        answers = session.run(None, {entry.name: np.zeros(entry.shape, np.float32)})
        shapes = {name: answer.shape for name, answer in zip(names, answers, strict=True)}
        return _with_boxes(onnx.load(network), entry.name, tuple(entry.shape), shapes)
    except Exception as error:  # onnxruntime has no base class of its own
        raise EngineFileError(
            f"{network} cannot be converted: {type(error).__name__}: {error}",
            "it is no NanoDet of a kind that we know",
        ) from None


def _with_boxes(
    model: onnx.ModelProto, entry: str, size: tuple[int, ...], shapes: dict[str, tuple[int, ...]]
) -> bytes:
    graph, rows, cells, classes = Graph(model), [], 0, 0
    for stride in STRIDES:
        grid = _centres(size[2] // stride, size[3] // stride, stride)
        level = _level(stride, len(grid), shapes)
        classes = shapes[level.scores][-1]
        rows.append(_rows(graph, level, grid, classes))
        cells += len(grid)
    answer = graph.node("Transpose", [graph.node("Concat", rows, axis=1)], perm=[0, 2, 1])
    return graph.finish([(entry, size)], [(answer, (1, 4 + classes, cells))])


def _level(stride: int, cells: int, shapes: dict[str, tuple[int, ...]]) -> Level:
    """The two outputs that have as many rows as a stride has cells.

    Raises:
        ValueError: There are others.
    """
    fitting = [name for name, shape in shapes.items() if len(shape) > 1 and shape[-2] == cells]
    edges = [name for name in fitting if shapes[name][-1] == EDGES * STEPS]
    scores = [name for name in fitting if name not in edges]
    if len(edges) != 1 or len(scores) != 1:
        raise ValueError(f"of stride {stride}, with {cells} cells, it answers {len(fitting)} tables, not two")
    return Level(stride, scores[0], edges[0])


def _centres(height: int, width: int, stride: int) -> Floats:
    """Centre x, y of every cell in pixels, and two columns of nothing."""
    rows, columns = np.mgrid[:height, :width]
    centres = np.stack([columns.ravel(), rows.ravel()], axis=1) * stride + (stride - 1) / 2
    return np.concatenate([centres, np.zeros_like(centres)], axis=1).astype(np.float32)


def _rows(graph: Graph, level: Level, centres: Floats, classes: int) -> str:
    """Boxes and scores of one level, (1, cells, 4 + classes)."""
    cells, mark = len(centres), f"stride{level.stride}"

    def shaped(name: str, *shape: int) -> str:
        wanted = graph.constant(f"{mark}/{name}/shape", np.array(shape, np.int64))
        return graph.node("Reshape", [name, wanted])

    likely = graph.node("Softmax", [shaped(level.edges, 1, cells, EDGES, STEPS)], axis=3)
    steps = np.arange(STEPS, dtype=np.float32)[:, None] * level.stride
    means = graph.node("MatMul", [likely, graph.constant(f"{mark}/steps", steps)])
    to_box = graph.constant("edges_to_box", EDGES_TO_BOX)
    offsets = graph.node("MatMul", [shaped(means, 1, cells, EDGES), to_box])
    boxes = graph.node("Add", [offsets, graph.constant(f"{mark}/centres", centres[None])])
    return graph.node("Concat", [boxes, shaped(level.scores, 1, cells, classes)], axis=2)
