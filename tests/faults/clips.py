"""The clips that the cameras of a faulty site show."""

from fractions import Fraction
from pathlib import Path

import av
import cv2
import numpy as np
from numpy.typing import NDArray

from tests.support.pictures import BLUE, RED
from tests.support.walks import SIZE, walk


def passers_by(fps: int) -> list[NDArray[np.uint8]]:
    """Two people cross, then nobody is there until both tracks have ended: 2.6 s."""
    nobody = np.zeros((SIZE[1], SIZE[0], 3), np.uint8)
    return [*walk(fps * 8 // 5, RED, BLUE), *[nobody] * fps]


def write_clips(folder: Path, fps: int) -> dict[str, Path]:
    """The same scene in H.264, in H.265, and larger."""
    images = passers_by(fps)
    large = [cv2.resize(image, (SIZE[0] * 3 // 2, SIZE[1] * 3 // 2)) for image in images]
    return {
        "small": _write(folder / "small.mp4", images, "libx264", fps),
        "h265": _write(folder / "h265.mp4", images, "libx265", fps),
        "large": _write(folder / "large.mp4", large, "libx264", fps),
    }


def _write(path: Path, images: list[NDArray[np.uint8]], codec: str, fps: int) -> Path:
    with av.open(str(path), "w") as container:
        stream = container.add_stream(codec, rate=Fraction(fps))
        stream.height, stream.width = images[0].shape[:2]
        stream.pix_fmt = "yuv420p"
        stream.codec_context.gop_size = fps
        stream.options = {"preset": "ultrafast", "crf": "20", "x265-params": "log-level=none:bframes=0"}
        for number, image in enumerate(images):
            frame = av.VideoFrame.from_ndarray(image, format="bgr24")
            frame.pts, frame.time_base = number, Fraction(1, fps)
            container.mux(stream.encode(frame))
        container.mux(stream.encode())
    return path
