"""OpenCV's people detector: histograms of oriented gradients and a linear SVM, nothing to download.

Source: Dalal and Triggs, "Histograms of Oriented Gradients for Human Detection", CVPR 2005; the coefficients
come with OpenCV. It sees upright, mostly unhidden people; small, seated or overlapping ones it misses.
"""

import hashlib
import json
from collections.abc import Sequence

import cv2
import numpy as np
from numpy.typing import NDArray
from pydantic import Field

from pipeline.follow.geometry import area, clip, intersection
from pipeline.messages import Detections, Frame
from pipeline.settings import Settings

_WINDOW_PX = (64, 128)  # what the SVM looks at
_WINDOW_PERSON_PX = 96  # height of the person in it
_STRIDE_PX, _PADDING_PX = 8, 16
_LEAST_MARGIN = -0.2  # boxes below are rubbish, and cost time

# Where the person stands in the window, as the median over unhidden people of simulated hall footage.
_TOP, _BOTTOM, _WIDTH = 0.10, 0.14, 0.60

# score = 1 / (1 + exp(-slope * (margin - centre))): the slope was fitted to "is a person" against the margin
# on that footage; at the centre two boxes of three are people, so a tracker may start at 0.5.
_SCORE_SLOPE, _SCORE_CENTRE = 3.4, 0.3

_SAME_IOU, _SAME_INSIDE, _MERGE_IOU = 0.35, 0.65, 0.5


class HogDetector:
    """Finds standing and walking people of at least `min_height_px`, real and weightless.

    On simulated hall footage at 960x540 it finds two thirds of the people above 80 px with two false boxes in
    five frames at a score of 0.5, for 77 ms of CPU a frame.
    """

    note = (
        "the detector hog needs no weights and misses many people, all under 80 px among them; "
        "for real cameras: musewatch engines fetch real"
    )

    class Config(Settings):
        """What is looked for."""

        min_score: float = Field(
            default=0.3,
            ge=0,
            le=1,
            description="Detections below are dropped; 0.5 = two of three are people.",
        )
        min_height_px: int = Field(
            default=80,
            ge=24,
            le=2000,
            description="People less tall are not sought; half the height costs four times the CPU.",
        )
        scale_step: float = Field(
            default=1.2,
            gt=1,
            le=2,
            description="Between two sizes sought; 1.1 finds a few more at twice the cost.",
        )
        threads: int = Field(default=1, ge=1, le=64, description="OpenCV's threads, for the whole process.")

    def __init__(self, config: Config) -> None:
        cv2.setNumThreads(config.threads)
        self._config = config
        coefficients = np.asarray(cv2.HOGDescriptor.getDefaultPeopleDetector(), np.float32)
        self._hog = cv2.HOGDescriptor()
        self._hog.setSVMDetector(coefficients)
        self.engine_digest = _digest(coefficients, config)

    def detect(self, frames: Sequence[Frame]) -> list[Detections]:
        """One result a frame, in order, best first; frames may differ in size."""
        return [self._detect(frame.image) for frame in frames]

    def _detect(self, image: NDArray[np.uint8]) -> Detections:
        scale = _WINDOW_PERSON_PX / self._config.min_height_px
        height, width = image.shape[:2]
        size = (round(width * scale), round(height * scale))
        if size[0] < _WINDOW_PX[0] - 2 * _PADDING_PX or size[1] < _WINDOW_PX[1] - 2 * _PADDING_PX:
            return Detections.empty()
        sought = cv2.resize(image, size, interpolation=cv2.INTER_AREA if scale < 1 else cv2.INTER_LINEAR)
        windows, margins = self._hog.detectMultiScale(
            sought,
            hitThreshold=_LEAST_MARGIN,
            winStride=(_STRIDE_PX, _STRIDE_PX),
            padding=(_PADDING_PX, _PADDING_PX),
            scale=self._config.scale_step,
            groupThreshold=0,
        )
        if not len(windows):
            return Detections.empty()
        boxes = people_in_windows(np.asarray(windows, np.float32) / np.float32(scale))
        score = score_of_margin(np.asarray(margins, np.float32).ravel())
        kept = score >= self._config.min_score
        boxes, score = one_box_a_person(boxes[kept], score[kept])
        boxes = clip(boxes, (width, height))
        return Detections(boxes, score)[area(boxes) > 0]


def people_in_windows(windows: NDArray[np.float32]) -> NDArray[np.float32]:
    """Boxes xyxy (N, 4) of the people in detector windows x, y, w, h (N, 4), which leave a border.

    >>> people_in_windows(np.array([[0, 0, 50, 100]], np.float32)).tolist()
    [[10.0, 10.0, 40.0, 86.0]]
    """
    x, y, w, h = windows.T
    side = w * np.float32((1 - _WIDTH) / 2)
    boxes: NDArray[np.float32] = np.stack(
        [x + side, y + h * np.float32(_TOP), x + w - side, y + h * np.float32(1 - _BOTTOM)], axis=1
    )
    return boxes


def score_of_margin(margin: NDArray[np.float32]) -> NDArray[np.float32]:
    """Score in [0, 1] of the SVM's distance from its plane."""
    score: NDArray[np.float32] = (1 / (1 + np.exp(-_SCORE_SLOPE * (margin - _SCORE_CENTRE)))).astype(
        np.float32
    )
    return score


def one_box_a_person(
    boxes: NDArray[np.float32], score: NDArray[np.float32]
) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
    """Keeps the best of boxes that overlap or lie in one another, moved to the weighted mean of its like.

    Args:
        boxes: (N, 4) xyxy.
        score: (N,).

    Returns:
        Boxes (M, 4) and the scores (M,) of the best ones, best first.
    """
    order = np.lexsort((boxes[:, 1], boxes[:, 0], -score))  # by position too: threads shuffle the windows
    boxes, score = boxes[order], score[order]
    shared, size = intersection(boxes, boxes), area(boxes)
    iou = shared / np.maximum(size[:, None] + size[None] - shared, 1e-9)
    inside = shared / np.maximum(np.minimum(size[:, None], size[None]), 1e-9)
    same = (iou > _SAME_IOU) | (inside > _SAME_INSIDE)
    kept: list[int] = []
    for row in range(len(boxes)):
        if not same[row, kept].any():
            kept.append(row)
    weights = np.where(iou[kept] >= _MERGE_IOU, score[None], 0)
    merged: NDArray[np.float32] = (weights @ boxes / weights.sum(axis=1, keepdims=True)).astype(np.float32)
    return merged, score[kept]


def _digest(coefficients: NDArray[np.float32], config: HogDetector.Config) -> str:
    parameters = [
        _STRIDE_PX, _PADDING_PX, _TOP, _BOTTOM, _WIDTH, _SCORE_SLOPE, _SCORE_CENTRE, _SAME_IOU, _SAME_INSIDE,
        _MERGE_IOU, config.min_height_px, config.scale_step,
    ]  # fmt: skip
    content = coefficients.tobytes() + json.dumps(parameters).encode()
    return f"sha256:{hashlib.sha256(content).hexdigest()}"
