"""Writes H.264 files that browsers play."""

from fractions import Fraction
from pathlib import Path
from types import TracebackType
from typing import Self

import av

from trainers.world.compiled import U8

CRF = 28


class VideoWriter:
    """An MP4 of H.264, index first, a key frame every two seconds, no B-frames; moved into place when whole.

    Args:
        path: The file.
        fps: Frames per second.
        size: Width, height: even numbers.
    """

    def __init__(self, path: Path, fps: float, size: tuple[int, int]) -> None:
        self._path, self._part = path, path.with_name(path.stem + ".part.mp4")
        rate = Fraction(fps).limit_denominator(1001)
        self._file = av.open(str(self._part), "w", options={"movflags": "faststart"})
        every = str(max(1, round(2 * fps)))
        options = {"crf": str(CRF), "preset": "veryfast", "bf": "0", "g": every, "threads": "1"}
        self._stream = self._file.add_stream("libx264", rate=rate, options=options)
        self._stream.width, self._stream.height = size
        self._stream.pix_fmt = "yuv420p"
        self._count = 0

    def __enter__(self) -> Self:
        return self

    def write(self, image: U8) -> None:
        """Adds a BGR picture."""
        frame = av.VideoFrame.from_ndarray(image, format="bgr24")
        frame.pts = self._count
        self._count += 1
        self._file.mux(self._stream.encode(frame))

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if kind is None:
            self._file.mux(self._stream.encode(None))
        self._file.close()
        if kind is None:
            self._part.replace(self._path)
        else:
            self._part.unlink(missing_ok=True)
