"""Pictures whose pixels are not square, as networks have to see them; boxes stay in stored pixels."""

from collections.abc import Callable, Sequence
from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from pipeline.messages import Detections, Frame
from pipeline.protocols import Detector

Image = NDArray[np.uint8]
Resize = Callable[[Image, tuple[int, int]], Image]
"""A picture and the width, height it is to have."""


def widened(image: Image, pixel_aspect: float, resize: Resize) -> Image:
    """The picture with square pixels: as high as it was, its width times `pixel_aspect`."""
    if pixel_aspect == 1.0:
        return image
    return resize(image, (max(1, round(image.shape[1] * pixel_aspect)), image.shape[0]))


def detect(detector: Detector, frames: Sequence[Frame], resize: Resize) -> list[Detections]:
    """What a detector finds in frames that it is shown with square pixels; boxes in stored pixels."""
    shown = [
        frame
        if frame.pixel_aspect == 1.0
        else replace(frame, image=widened(frame.image, frame.pixel_aspect, resize), pixel_aspect=1.0)
        for frame in frames
    ]
    found = detector.detect(shown)
    return [_in_stored(each, frame, seen) for each, frame, seen in zip(found, frames, shown, strict=True)]


def _in_stored(found: Detections, frame: Frame, seen: Frame) -> Detections:
    if frame is seen:
        return found
    stored_per_seen = frame.size[0] / seen.size[0]
    return Detections(
        found.xyxy * np.array([stored_per_seen, 1, stored_per_seen, 1], np.float32), found.score
    )
