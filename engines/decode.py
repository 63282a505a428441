"""A detector's raw answer to boxes and scores, for every kind of decoder a manifest may name.

Boxes are xyxy in pixels of the input tensor, one `Boxes` a picture. Each decoder checks the shapes it gets.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cache
from typing import Any

import numpy as np
from numpy.typing import NDArray

from engines.errors import OutputError, TensorError
from engines.manifest import (
    Decoder,
    DetrDecoder,
    EndToEndDecoder,
    SsdDecoder,
    UltralyticsDecoder,
    YoloxDecoder,
)

Floats = NDArray[np.float32]

ULTRALYTICS = (
    "(N, 4 + classes, cells), (N, cells, 4 + classes), (N, 3 x cells, 5 + classes) of YOLOv5, "
    "or (N, detections, 6) with suppression inside, 57 with key points, 38 with masks"
)
ULTRALYTICS_STRIDES = ((8, 16, 32), (4, 8, 16, 32), (8, 16, 32, 64))
ANCHORS = 3  # of YOLOv5, in each cell
FINISHED_COLUMNS = (6, 6 + 17 * 3, 6 + 32)
ROUNDING = 0.01  # of a score, by half precision and eight bits


@dataclass(frozen=True, slots=True)
class Boxes:
    """People found in one picture, best score first. xyxy: (N, 4) float32; score: (N,) float32 in [0, 1]."""

    xyxy: Floats
    score: Floats


@dataclass(frozen=True, slots=True)
class Reading:
    """How an answer is to be read.

    Attributes:
        size: Height, width of the input tensor.
        batch: Pictures that went in.
        min_score: Boxes below are left out.
        nms_iou: Greatest overlap that stays, for networks that leave suppression to us.
    """

    size: tuple[int, int]
    batch: int
    min_score: float
    nms_iou: float


def decode(outputs: Sequence[NDArray[Any]], decoder: Decoder, reading: Reading) -> list[Boxes]:
    """One `Boxes` for each picture of the batch.

    Raises:
        TensorError: An output has another shape than this kind of decoder reads.
        OutputError: A score or a box is not a number, or a score is beyond [0, 1].
    """
    return _DECODERS[decoder.kind]([np.asarray(array, np.float32) for array in outputs], decoder, reading)


def nms(xyxy: NDArray[np.float32], score: NDArray[np.float32], max_iou: float) -> NDArray[np.int64]:
    """Rows that stay, best score first; of equal scores the earlier row.

    Args:
        xyxy: (N, 4) boxes.
        score: (N,).
        max_iou: Greatest intersection over union with a better box that stays.

    >>> boxes = np.float32([[0, 0, 10, 10], [1, 0, 11, 10], [20, 0, 30, 10]])
    >>> nms(boxes, np.float32([0.8, 0.9, 0.5]), 0.5).tolist()
    [1, 2]
    """
    x1, y1, x2, y2 = xyxy.T
    areas = np.maximum(x2 - x1, 0) * np.maximum(y2 - y1, 0)
    waiting = np.argsort(-score, kind="stable")
    kept = []
    while len(waiting):
        best, waiting = waiting[0], waiting[1:]
        kept.append(best)
        wide = np.minimum(x2[best], x2[waiting]) - np.maximum(x1[best], x1[waiting])
        high = np.minimum(y2[best], y2[waiting]) - np.maximum(y1[best], y1[waiting])
        shared = np.maximum(wide, 0) * np.maximum(high, 0)
        waiting = waiting[shared <= max_iou * (areas[best] + areas[waiting] - shared)]
    return np.array(kept, np.int64)


def _yolox(outputs: list[Floats], decoder: YoloxDecoder, reading: Reading) -> list[Boxes]:
    """Source: Ge et al., YOLOX (2021), section 2: anchor-free cells, one box a cell."""
    grid, stride = _cells(reading.size, decoder.strides)
    rows = _one(outputs, (reading.batch, len(grid), None), "yolox", "N, cells of the strides, 5 + classes")
    _need_class(rows.shape[2] - 5, decoder.person_class, "yolox")

    def read(row: Floats) -> Boxes:
        score = _in_unit(row[:, 4]) * _in_unit(row[:, 5 + decoder.person_class])
        good = _good(score, reading)
        centre = (row[good, :2] + grid[good]) * stride[good]
        return _suppress(centre, np.exp(np.minimum(row[good, 2:4], 20)) * stride[good], score[good], reading)

    return [read(row) for row in rows]


@cache
def _cells(size: tuple[int, int], strides: tuple[int, ...]) -> tuple[Floats, Floats]:
    """Column and row (A, 2) of every cell, finest stride first, and its stride (A, 1)."""
    grids, scales = [], []
    for stride in strides:
        rows, columns = np.mgrid[: size[0] // stride, : size[1] // stride]
        grids.append(np.stack([columns.ravel(), rows.ravel()], axis=1))
        scales.append(np.full((rows.size, 1), stride))
    return np.concatenate(grids).astype(np.float32), np.concatenate(scales).astype(np.float32)


def _ultralytics(outputs: list[Floats], decoder: UltralyticsDecoder, reading: Reading) -> list[Boxes]:
    """Whatever the library exports, told apart by the number of cells that the input has."""
    answer = _one(outputs, (reading.batch, None, None), "ultralytics", ULTRALYTICS)
    rows, columns = answer.shape[1:]
    cells = [len(_cells(reading.size, strides)[0]) for strides in ULTRALYTICS_STRIDES]
    if rows in [ANCHORS * count for count in cells] and columns > 5:
        return _anchored(answer, decoder, reading)
    if columns in FINISHED_COLUMNS:
        return _finished(answer, decoder.person_class, reading)
    if rows in cells and columns not in cells:
        answer = answer.transpose(0, 2, 1)
    elif columns > max(cells) or rows > columns:
        raise _unreadable(
            outputs, "ultralytics", f"{ULTRALYTICS} of a {reading.size[0]} x {reading.size[1]} input"
        )
    _need_class(answer.shape[1] - 4, decoder.person_class, "ultralytics")

    def read(column: Floats) -> Boxes:
        score = column[4 + decoder.person_class]
        good = _good(score, reading)
        return _suppress(column[:2, good].T, column[2:4, good].T, score[good], reading)

    return [read(column) for column in answer]


def _anchored(rows: Floats, decoder: UltralyticsDecoder, reading: Reading) -> list[Boxes]:
    """YOLOv5: centre and size in pixels, objectness, class scores; three boxes a cell."""
    _need_class(rows.shape[2] - 5, decoder.person_class, "ultralytics")

    def read(row: Floats) -> Boxes:
        score = _in_unit(row[:, 4]) * _in_unit(row[:, 5 + decoder.person_class])
        good = _good(score, reading)
        return _suppress(row[good, :2], row[good, 2:4], score[good], reading)

    return [read(row) for row in rows]


def _end_to_end(outputs: list[Floats], decoder: EndToEndDecoder, reading: Reading) -> list[Boxes]:
    rows = _one(outputs, (reading.batch, None, 6), decoder.kind, "N, detections, 6")
    return _finished(rows, decoder.person_class, reading)


def _finished(rows: Floats, person_class: int, reading: Reading) -> list[Boxes]:
    """Rows of corners, score and class; what stands behind these, key points or parts of a mask, is left."""

    def read(row: Floats) -> Boxes:
        good = _good(row[:, 4], reading, row[:, 5] == person_class)
        return _sorted(row[good, :4], row[good, 4])

    return [read(row) for row in rows]


def _detr(outputs: list[Floats], decoder: DetrDecoder, reading: Reading) -> list[Boxes]:
    """Source: Carion et al., DETR (2020), section 3: a set of queries, no suppression."""
    boxes, logits = _boxes_and_logits(outputs)
    if len(boxes) != reading.batch:
        raise _unreadable(outputs, "detr", f"boxes ({reading.batch}, queries, 4)")
    _need_class(logits.shape[2] - (decoder.scores == "softmax"), decoder.person_class, "detr")
    scores = _ACTIVATIONS[decoder.scores](logits)[:, :, decoder.person_class]

    def read(box: Floats, score: Floats) -> Boxes:
        good = _good(score, reading)
        pixels = _pixels(box[good], reading)
        return _sorted(_corners(pixels[:, :2], pixels[:, 2:]), score[good])

    return [read(box, score) for box, score in zip(boxes, scores, strict=True)]


def _boxes_and_logits(outputs: list[Floats]) -> tuple[Floats, Floats]:
    found = [i for i, array in enumerate(outputs) if array.ndim == 3 and array.shape[2] == 4]
    if len(outputs) == 2 and found:
        boxes, logits = outputs[found[-1]], outputs[1 - found[-1]]
        if logits.ndim == 3 and logits.shape[:2] == boxes.shape[:2]:
            return boxes, logits
    raise _unreadable(outputs, "detr", "logits (N, queries, classes) and boxes (N, queries, 4)")


def _ssd(outputs: list[Floats], decoder: SsdDecoder, reading: Reading) -> list[Boxes]:
    """Source: Liu et al., SSD (2016); the rows are those of the detection output layer."""
    rows = _one(outputs, (1, 1, None, 7), "ssd", "1, 1, detections, 7")[0, 0]
    ends = np.flatnonzero(rows[:, 0] < 0)
    rows = rows[: ends[0]] if len(ends) else rows

    def read(picture: int) -> Boxes:
        wanted = (rows[:, 0] == picture) & (rows[:, 1] == decoder.person_class)
        good = _good(rows[:, 2], reading, wanted)
        return _sorted(_pixels(rows[good, 3:], reading), rows[good, 2])

    return [read(picture) for picture in range(reading.batch)]


def _sigmoid(logits: Floats) -> Floats:
    return (1 / (1 + np.exp(-np.clip(logits, -80, 80)))).astype(np.float32)


def _softmax(logits: Floats) -> Floats:
    powers = np.exp(logits - logits.max(axis=-1, keepdims=True))
    shares: Floats = powers / powers.sum(axis=-1, keepdims=True)
    return shares


_ACTIVATIONS: dict[str, Callable[[Floats], Floats]] = {"sigmoid": _sigmoid, "softmax": _softmax}
_DECODERS: dict[str, Callable[[list[Floats], Any, Reading], list[Boxes]]] = {
    "yolox": _yolox,
    "ultralytics": _ultralytics,
    "end_to_end": _end_to_end,
    "detr": _detr,
    "ssd": _ssd,
}


def _good(score: Floats, reading: Reading, wanted: NDArray[np.bool_] | bool = True) -> NDArray[np.bool_]:
    good: NDArray[np.bool_] = (_in_unit(score) >= reading.min_score) & wanted
    return good


def _in_unit(score: Floats) -> Floats:
    """The scores, when they are such.

    Raises:
        OutputError: One is not a number, or beyond [0, 1] by more than rounding.
    """
    if not np.isfinite(score).all():
        raise OutputError("a score is not a number", "replace the engine's file")
    least, most = float(score.min(initial=0)), float(score.max(initial=0))
    if least < -ROUNDING or most > 1 + ROUNDING:
        raise OutputError(
            f"a score is {least if least < -ROUNDING else most:.4g}, and scores lie in [0, 1]",
            "set decoder.kind as the network was exported, or export it with its sigmoid",
        )
    return score


def _pixels(fractions: Floats, reading: Reading) -> Floats:
    height, width = reading.size
    return fractions * np.array([width, height, width, height], np.float32)


def _corners(centre: Floats, size: Floats) -> Floats:
    return np.concatenate([centre - size / 2, centre + size / 2], axis=1)


def _suppress(centre: Floats, size: Floats, score: Floats, reading: Reading) -> Boxes:
    xyxy = _corners(centre, size)
    rows = nms(xyxy, score, reading.nms_iou)
    return _sorted(xyxy[rows], score[rows])


def _sorted(xyxy: Floats, score: Floats) -> Boxes:
    if not np.isfinite(xyxy).all():
        raise OutputError("a box is not finite", "replace the engine's file")
    best_first = np.argsort(-score, kind="stable")
    return Boxes(xyxy[best_first], np.clip(score[best_first], 0, 1))


def _one(outputs: list[Floats], shape: tuple[int | None, ...], kind: str, words: str) -> Floats:
    """The only output, when it has the shape; None = any size."""
    fits = len(outputs) == 1 and len(outputs[0].shape) == len(shape)
    if not fits or any(want not in (None, got) for want, got in zip(shape, outputs[0].shape, strict=True)):
        sizes = ", ".join("any" if size is None else str(size) for size in shape)
        raise _unreadable(outputs, kind, f"one of ({sizes}): {words}")
    return outputs[0]


def _unreadable(outputs: list[Floats], kind: str, wanted: str) -> TensorError:
    found = " and ".join(str(array.shape) for array in outputs)
    return TensorError(
        f"decoder {kind} reads {wanted}; the network gives {found}",
        "set the decoder's kind and strides, preprocess.size, or outputs as the network was exported",
    )


def _need_class(classes: int, person_class: int, kind: str) -> None:
    if person_class >= classes:
        raise TensorError(
            f"decoder {kind}: person_class {person_class}, but the network has {max(classes, 0)} classes",
            "set decoder.person_class to the number of the person among the network's classes",
        )
