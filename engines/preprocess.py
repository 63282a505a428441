"""Pixels to the input tensor, exactly as a manifest says, and boxes back to pixels."""

from collections.abc import Sequence
from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import NDArray

from engines.manifest import Preprocess


@dataclass(frozen=True, slots=True)
class Placement:
    """Where a picture lies in the input: input = source * scale + offset, both as (x, y)."""

    scale: tuple[float, float]
    offset: tuple[float, float]

    def to_source(self, boxes: NDArray[np.float32]) -> NDArray[np.float32]:
        """(N, 4) xyxy boxes of the input in pixels of the source; not clipped.

        >>> Placement(scale=(0.5, 0.5), offset=(0, 10)).to_source(np.float32([[5, 10, 15, 20]])).tolist()
        [[10.0, 0.0, 30.0, 20.0]]
        """
        offset, scale = np.array([self.offset * 2, self.scale * 2], np.float32)
        source: NDArray[np.float32] = (boxes - offset) / scale
        return source


def preprocess(
    images: Sequence[NDArray[np.uint8]], settings: Preprocess
) -> tuple[NDArray[np.float32], list[Placement]]:
    """The input tensor (N, 3, height, width) of (H, W, 3) BGR pictures of any sizes, and where each lies.

    Raises:
        ValueError: A picture has no pixels or not three channels.
    """
    for number, image in enumerate(images, start=1):
        if image.ndim != 3 or image.shape[2] != 3 or image.size == 0:
            raise ValueError(f"picture {number} of {len(images)} is {image.shape}, not (H, W, 3)")
    height, width = settings.size
    pixels = np.empty((len(images), height, width, 3), np.uint8)
    placements = [_place(image, canvas, settings) for image, canvas in zip(images, pixels, strict=True)]
    if settings.colour == "rgb":
        pixels = pixels[..., ::-1]
    tensor = np.ascontiguousarray(pixels.transpose(0, 3, 1, 2), dtype=np.float32)
    tensor *= np.float32(settings.scale)
    tensor -= np.array(settings.mean, np.float32).reshape(3, 1, 1)
    tensor /= np.array(settings.std, np.float32).reshape(3, 1, 1)
    return tensor, placements


def _place(image: NDArray[np.uint8], canvas: NDArray[np.uint8], settings: Preprocess) -> Placement:
    """Writes the resized picture into the canvas."""
    height, width = canvas.shape[:2]
    if settings.resize == "stretch":
        canvas[:] = cv2.resize(image, (width, height))
        return Placement((width / image.shape[1], height / image.shape[0]), (0.0, 0.0))
    ratio = min(height / image.shape[0], width / image.shape[1])
    wide = max(1, round(image.shape[1] * ratio))
    high = max(1, round(image.shape[0] * ratio))
    centred = settings.resize == "letterbox_centre"
    left, top = ((width - wide) // 2, (height - high) // 2) if centred else (0, 0)
    canvas[:] = settings.pad
    canvas[top : top + high, left : left + wide] = cv2.resize(image, (wide, high))
    return Placement((wide / image.shape[1], high / image.shape[0]), (float(left), float(top)))
