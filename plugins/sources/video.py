"""What PyAV decodes, as upright BGR pictures on a time line that starts at 0 and only grows."""

import math
from collections.abc import Callable, Iterator
from functools import partial

import av
import numpy as np
from av.container import InputContainer
from av.video.stream import VideoStream
from numpy.typing import NDArray

_NEW_TIME_LINE_S = 1.0
_PATIENCE_S = 1.0  # of video on another track; then that one is taken


class NoDecoderError(Exception):
    """There is video, and every track of it is of a codec that cannot be decoded here."""


class SilentTrackError(Exception):
    """Other tracks go on, the one that is decoded has stopped."""


def decodable(container: InputContainer) -> list[VideoStream]:
    """The video tracks that can be decoded here, in the container's order."""
    return [stream for stream in container.streams.video if stream.codec_context is not None]


class Decoder:
    """Decodes one video track of an open container, past damage: the first that can be decoded and sends.

    Args:
        container: Open for reading; the caller closes it.
        threads: "AUTO" for throughput, "SLICE" for the least delay.
        silent_s: Silence of the track after which `frames` gives up, in the time of the packets of other tracks.

    Attributes:
        damaged: Pictures so far that were sent and could not be decoded.

    Raises:
        NoDecoderError: No track can be decoded.
    """

    def __init__(self, container: InputContainer, threads: str, silent_s: float = math.inf) -> None:
        self._container = container
        self._tracks = decodable(container)
        if not self._tracks:
            raise NoDecoderError
        for stream in self._tracks:
            stream.thread_type = threads
        self._stream = self._tracks[0]
        self._silent_s = silent_s
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
            SilentTrackError: Only other tracks go on.
        """
        started = given = False
        fed: list[int] = []
        for packet in self._packets():
            started = started or packet.is_keyframe
            if not started:
                continue
            self._note_wall_clock(packet)
            if not given and packet.pts is not None:
                fed.append(packet.pts)
            try:
                decoded = packet.decode()
            except av.error.InvalidDataError:
                self.damaged += 1
                fed = fed[:-1]
                continue
            if decoded and not given:
                given = True
                self.damaged += _swallowed(fed, decoded[0].pts)
            yield from decoded

    def _packets(self) -> Iterator[av.Packet]:
        """Packets of the track that is decoded; another takes its place where it never begins."""
        begun = False
        silence = _Silence()
        for packet in self._container.demux():
            if packet.stream is self._stream:
                begun = True
                silence = _Silence()
                yield packet
                continue
            silent_s = silence.with_packet(packet)
            if not begun and silent_s >= _PATIENCE_S and packet.stream in self._tracks:
                self._stream, begun = packet.stream, True
                yield packet
            elif silent_s >= self._silent_s:
                raise SilentTrackError

    def pixel_aspect(self, frame: av.VideoFrame) -> float:
        """Width over height of a pixel of the upright frame; 1 where the stream does not say, or nonsense."""
        told = self._stream.codec_context.sample_aspect_ratio or self._stream.sample_aspect_ratio
        aspect = float(told) if told else 1.0
        if not 0.1 <= aspect <= 10:
            return 1.0
        return 1 / aspect if round(frame.rotation / 90) % 2 else aspect

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


def _swallowed(fed: list[int], first: int | None) -> int:
    """Pictures before the first one given, of which the decoder said nothing (H.265 without parameter sets).

    Pictures that follow it and are shown before it are left out by rule; they are no damage.
    """
    return fed.index(first) if first in fed else 0


class _Silence:
    """How long a track has been silent, by the packets of the others: seconds of the one that tells of most."""

    def __init__(self) -> None:
        self._first_s: dict[int, float] = {}

    def with_packet(self, packet: av.Packet) -> float:
        """The silence so far, with one more packet of another track."""
        if packet.pts is None or packet.time_base is None:
            return 0.0
        at_s = float(packet.pts * packet.time_base)
        return at_s - self._first_s.setdefault(packet.stream.index, at_s)


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


def converter(frame: av.VideoFrame) -> Callable[[], NDArray[np.uint8]]:
    """What makes (H, W, 3) BGR of a frame, turned as its display matrix says (quarter turns)."""
    return partial(_upright_bgr, frame)


def _upright_bgr(frame: av.VideoFrame) -> NDArray[np.uint8]:
    image: NDArray[np.uint8] = frame.to_ndarray(format="bgr24")
    quarters = round(frame.rotation / 90) % 4
    return np.ascontiguousarray(np.rot90(image, quarters)) if quarters else image
