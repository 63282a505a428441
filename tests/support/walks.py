"""Drawn people who walk through a dark hall: frames, clips, and the detector that sees them."""

from collections.abc import Iterator, Sequence
from fractions import Fraction
from pathlib import Path

import av
import numpy as np
from numpy.typing import NDArray

from tests.support.pictures import person

SIZE = (320, 200)
HEIGHT_PX = 120
STEP_PX = 3

Shirt = tuple[int, int, int]


def walk(count: int, *shirts: Shirt) -> Iterator[NDArray[np.uint8]]:
    """Pictures of people who walk to the right, 90 px apart, `STEP_PX` a picture."""
    drawn = [person(HEIGHT_PX, shirt) for shirt in shirts]
    for number in range(count):
        image = np.zeros((SIZE[1], SIZE[0], 3), np.uint8)
        for place, one in enumerate(drawn):
            left = 10 + 90 * place + STEP_PX * number
            height, width = one.shape[:2]
            shown = one[:, : max(0, SIZE[0] - left)]
            image[40 : 40 + height, left : left + width] = shown
        yield image


def write_walk(
    path: Path, images: Iterator[NDArray[np.uint8]] | Sequence[NDArray[np.uint8]], fps: int = 10
) -> Path:
    """Encodes pictures as a clip; returns its path."""
    with av.open(str(path), "w") as container:
        stream = container.add_stream("libx264", rate=Fraction(fps))
        stream.width, stream.height = SIZE
        stream.pix_fmt = "yuv420p"
        stream.options = {"preset": "ultrafast", "crf": "12"}
        for number, image in enumerate(images):
            frame = av.VideoFrame.from_ndarray(image, format="bgr24")
            frame.pts, frame.time_base = number, Fraction(1, fps)
            container.mux(stream.encode(frame))
        container.mux(stream.encode())
    return path
