"""Tiny clips whose frames carry their number in their pixels, so that a test knows which frame it got."""

from collections.abc import Iterator
from fractions import Fraction
from pathlib import Path

import av
import numpy as np
from numpy.typing import NDArray

_BITS = 10
_BACKGROUND = (40, 110, 60)


def picture(number: int, size: tuple[int, int] = (160, 96)) -> NDArray[np.uint8]:
    """(H, W, 3) BGR: a red square that moves, and along the top the number as black and white cells.

    Args:
        number: In [0, 1023].
        size: Width, height.
    """
    width, height = size
    image = np.full((height, width, 3), _BACKGROUND, np.uint8)
    left, side = number * 3 % (width - height // 4), height // 4
    image[height // 2 : height // 2 + side, left : left + side] = 30, 30, 220
    for bit, cell in enumerate(_cells(image)):
        cell[:] = 255 if number >> bit & 1 else 0
    return image


def number_of(image: NDArray[np.uint8]) -> int:
    """The number in a picture, after any coding."""
    return sum(1 << bit for bit, cell in enumerate(_cells(image)) if cell[2:-2, 2:-2].mean() > 127)


def write_clip(
    path: Path,
    count: int = 20,
    *,
    fps: Fraction | int = 10,
    size: tuple[int, int] = (160, 96),
    codec: str = "libx264",
    gop: int = 10,
    b_frames: int = 0,
    rotation: int = 0,
    start_pts: int = 0,
    created: str | None = None,
) -> Path:
    """Encodes pictures 0 .. count - 1.

    Args:
        path: The container is chosen by its suffix.
        count: How many pictures.
        fps: Their rate.
        size: Width, height of the coded picture.
        codec: libx264 or libx265.
        gop: Key frame interval.
        b_frames: Pictures coded out of order between two others.
        rotation: Degrees that the display matrix turns counterclockwise.
        start_pts: Frames by which the first timestamp is late.
        created: `creation_time` of the container.

    Returns:
        The path.
    """
    with av.open(str(path), "w") as container:
        if created:
            container.metadata["creation_time"] = created
        stream = container.add_stream(codec, rate=Fraction(fps))
        stream.width, stream.height = size
        stream.pix_fmt = "yuv420p"
        stream.codec_context.gop_size = gop
        stream.codec_context.max_b_frames = b_frames
        stream.options = {
            "preset": "ultrafast",
            "x265-params": f"log-level=none:bframes={b_frames}:keyint={gop}",
        }
        if rotation:
            stream.set_display_rotation(rotation)
        for number in range(count):
            frame = av.VideoFrame.from_ndarray(picture(number, size), format="bgr24")
            frame.pts, frame.time_base = number + start_pts, 1 / Fraction(fps)
            container.mux(stream.encode(frame))
        container.mux(stream.encode())
    return path


def _cells(image: NDArray[np.uint8]) -> Iterator[NDArray[np.uint8]]:
    height, width = image.shape[0] // 4, image.shape[1] // _BITS
    return (image[:height, i * width : (i + 1) * width] for i in range(_BITS))
