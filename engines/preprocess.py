"""Pixels to the input tensor, exactly as a manifest says, and boxes back to pixels."""

from collections.abc import Sequence
from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import NDArray

from engines.manifest import Preprocess

MOST_SHRINKING = 2  # that four neighbours bear
STEP = 32  # px that the coarsest cells of detectors are apart

Size = tuple[int, int]
"""Height, width in pixels."""


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


def least_size(image: NDArray[np.uint8], settings: Preprocess) -> Size:
    """The least input, in steps of 32, that holds a picture as large as the full input would; at most the full one.

    >>> settings = Preprocess(colour="bgr", resize="letterbox_top_left", size=(416, 416))
    >>> least_size(np.zeros((720, 1280, 3), np.uint8), settings)
    (256, 416)
    """
    if settings.resize == "stretch":
        return settings.size
    high, wide = _fitted(image, settings.size)
    height, width = settings.size
    return min(height, -(-high // STEP) * STEP), min(width, -(-wide // STEP) * STEP)


def preprocess(
    images: Sequence[NDArray[np.uint8]], settings: Preprocess, size: Size | None = None
) -> tuple[NDArray[np.float32], list[Placement]]:
    """The input tensor (N, 3, height, width) of (H, W, 3) BGR pictures of any sizes, and where each lies.

    Args:
        images: The pictures.
        settings: As the manifest says.
        size: Of the input, where it is smaller than the settings' and holds every picture; see `least_size`.

    Raises:
        ValueError: A picture has no pixels or not three channels.
    """
    for number, image in enumerate(images, start=1):
        if image.ndim != 3 or image.shape[2] != 3 or image.size == 0:
            raise ValueError(f"picture {number} of {len(images)} is {image.shape}, not (H, W, 3)")
    tensor = np.empty((len(images), 3, *(size or settings.size)), np.float32)
    placements = []
    for image, planes in zip(images, tensor, strict=True):
        canvas, placement = place(image, settings, size)
        channels = cv2.split(canvas)  # far quicker than a transpose
        planes[:] = channels if settings.colour == "bgr" else channels[::-1]
        placements.append(placement)
    tensor *= np.float32(settings.scale)
    tensor -= np.array(settings.mean, np.float32).reshape(3, 1, 1)
    tensor /= np.array(settings.std, np.float32).reshape(3, 1, 1)
    return tensor, placements


def place(
    image: NDArray[np.uint8], settings: Preprocess, size: Size | None = None
) -> tuple[NDArray[np.uint8], Placement]:
    """The picture in the size of the input, and where it lies there."""
    height, width = size or settings.size
    if settings.resize == "stretch":
        scale = (width / image.shape[1], height / image.shape[0])
        return _resize(image, width, height), Placement(scale, (0.0, 0.0))
    high, wide = _fitted(image, settings.size)
    centred = settings.resize == "letterbox_centre"
    left, top = ((width - wide) // 2, (height - high) // 2) if centred else (0, 0)
    canvas = np.full((height, width, 3), settings.pad, np.uint8)
    canvas[top : top + high, left : left + wide] = _resize(image, wide, high)
    return canvas, Placement((wide / image.shape[1], high / image.shape[0]), (float(left), float(top)))


def _fitted(image: NDArray[np.uint8], size: Size) -> Size:
    """How large a picture is that just fits in, its sides in proportion."""
    ratio = min(size[0] / image.shape[0], size[1] / image.shape[1])
    return max(1, round(image.shape[0] * ratio)), max(1, round(image.shape[1] * ratio))


def _resize(image: NDArray[np.uint8], width: int, height: int) -> NDArray[np.uint8]:
    """The picture in another size.

    Where a side shrinks to less than half, every pixel has its share in the mean of an area; between four neighbours
    alone, as elsewhere, most pixels would be left out, and their noise stay.
    """
    high, wide = image.shape[:2]
    if high > MOST_SHRINKING * height or wide > MOST_SHRINKING * width:
        image = cv2.resize(image, (min(wide, width), min(high, height)), interpolation=cv2.INTER_AREA)
    resized: NDArray[np.uint8] = cv2.resize(image, (width, height))
    return resized
