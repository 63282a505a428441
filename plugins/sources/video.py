"""What PyAV decodes, as upright BGR pictures on a time line that starts at 0 and only grows."""

from collections.abc import Iterator

import av
import numpy as np
from av.container import InputContainer
from numpy.typing import NDArray

_NEW_TIME_LINE_S = 1.0


class Decoder:
    """Decodes the first video stream of an open container, past damage.

    Args:
        container: Open for reading; the caller closes it.
        threads: "AUTO" for throughput, "SLICE" for the least delay.

    Attributes:
        damaged: Packets so far that could not be decoded.
    """

    def __init__(self, container: InputContainer, threads: str) -> None:
        self._container = container
        self._stream = container.streams.video[0]
        self._stream.thread_type = threads
        self._zero_wall_s: float | None = None
        self._wall_clock_known = False
        self.damaged = 0

    @property
    def frame_s(self) -> float:
        """Nominal seconds from frame to frame; 1/25 where the stream does not say."""
        rate = self._stream.average_rate or self._stream.guessed_rate
        return float(1 / rate) if rate else 0.04

    def frames(self) -> Iterator[av.VideoFrame]:
        """Frames in the order of their presentation, from the first key frame on.

        Raises:
            av.error.FFmpegError: The container cannot be read on.
        """
        started = False
        for packet in self._container.demux(self._stream):
            started = started or packet.is_keyframe
            if not started:
                continue
            self._note_wall_clock(packet)
            try:
                decoded = packet.decode()
            except av.error.InvalidDataError:
                self.damaged += 1
                continue
            yield from decoded

    def wall_s(self, frame: av.VideoFrame) -> float | None:
        """When it was taken by its sender's wall clock, in Unix seconds; None while that is unknown."""
        if self._zero_wall_s is None or frame.time is None:
            return None
        return self._zero_wall_s + float(frame.time)

    def _note_wall_clock(self, packet: av.Packet) -> None:
        """Reads the sender's time from a packet; the first that carries one carries its successor's."""
        if packet.pts is None or not packet.has_sidedata("prft"):
            return
        if self._wall_clock_known:
            wall_us = int.from_bytes(bytes(packet.get_sidedata("prft"))[:8], "little", signed=True)
            self._zero_wall_s = wall_us / 1e6 - float(packet.pts * packet.time_base)
        self._wall_clock_known = True


class TimeLine:
    """Seconds since the first frame; always growing, whatever the timestamps do.

    Args:
        frame_s: Step used where a timestamp is missing.
    """

    def __init__(self, frame_s: float) -> None:
        self._frame_s = frame_s
        self._origin_s: float | None = None
        self._last_s = -frame_s

    def place(self, time_s: float | None) -> float:
        """Where a frame with this timestamp stands, in seconds from 0.

        A step back of a second or more is a new time line: what follows is counted on from here. After a
        lesser one the frames stand a millisecond apart until their timestamps have caught up.
        """
        expected_s = self._last_s + self._frame_s
        if time_s is None:
            self._last_s = expected_s
            return expected_s
        if self._origin_s is None or time_s - self._origin_s <= self._last_s - _NEW_TIME_LINE_S:
            self._origin_s = time_s - expected_s
        self._last_s = max(time_s - self._origin_s, self._last_s + 0.001)
        return self._last_s


def upright_bgr(frame: av.VideoFrame) -> NDArray[np.uint8]:
    """(H, W, 3) BGR, turned as the frame's display matrix says (quarter turns)."""
    image: NDArray[np.uint8] = frame.to_ndarray(format="bgr24")
    quarters = round(frame.rotation / 90) % 4
    return np.ascontiguousarray(np.rot90(image, quarters)) if quarters else image
