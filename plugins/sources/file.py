"""A video file as a stream, at real speed or as fast as possible."""

import logging
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import closing
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Annotated

import av
from av.container import InputContainer
from pydantic import Field, field_validator

from pipeline.errors import InputError
from pipeline.messages import Clock, Frame, RawFrame
from pipeline.settings import LARGE, LONG_S, ConfigPath, Settings
from plugins.sources.file_content import content_name, written_at
from plugins.sources.pace import Pace, PaceName
from plugins.sources.video import Decoder, NoDecoderError, TimeLine, converter

_log = logging.getLogger("musewatch.source")

Span = tuple[Annotated[float, Field(ge=0, le=LONG_S)], Annotated[float, Field(le=LONG_S)]]


class FileSource:
    """Every frame of a clip; `pts_s` is the clip's own time, so frame = round(pts_s * fps).

    At real speed it behaves like a camera (late frames are dropped by the runner), yet its end is the end.
    Each pass of a loop is an epoch of its own, with times from 0.

    Args:
        config: The settings.
        clock: Monotonic seconds, for real speed.
        wait: Blocks for so many seconds; by default until the source is closed, at most.

    Attributes:
        live: Whether frames come whether or not anybody is ready.
        finite: Always True.
    """

    finite = True

    class Config(Settings):
        """Settings of a file stream."""

        path: ConfigPath
        pace: PaceName = Field(default="real", description="real = as recorded; fast = no waiting.")
        skip: tuple[Span, ...] = Field(
            default=(), description="[from, to) in seconds, left out of every pass."
        )
        loop: int = Field(default=1, ge=1, le=LARGE, description="How often the clip is played.")

        @field_validator("skip")
        @classmethod
        def _merged(cls, spans: tuple[Span, ...]) -> tuple[Span, ...]:
            merged: list[Span] = []
            for start_s, end_s in sorted(spans):
                if end_s <= start_s:
                    raise ValueError(f"a span must end after it starts: [{start_s}, {end_s}]")
                if merged and start_s <= merged[-1][1]:
                    merged[-1] = merged[-1][0], max(merged[-1][1], end_s)
                else:
                    merged.append((start_s, end_s))
            return tuple(merged)

    def __init__(
        self,
        config: Config,
        clock: Callable[[], float] = time.monotonic,
        wait: Callable[[float], object] | None = None,
    ) -> None:
        self._config = config
        self._closed = threading.Event()
        self._clock = clock
        self._wait = wait or self._closed.wait
        self.live = config.pace == "real"

    def close(self) -> None:
        """Ends `frames`, from any thread."""
        self._closed.set()

    def frames(self) -> Iterator[Frame]:
        """Yields the clip, pass by pass.

        Raises:
            InputError: The file is missing, is no video, or is damaged beyond reading on.
        """
        yield from map(RawFrame.converted, self.raw_frames())

    def raw_frames(self) -> Iterator[RawFrame]:
        """As `frames`, with pictures as they were decoded."""
        try:
            content = content_name([self._config.path])
        except OSError as error:
            raise InputError(
                f"{self._config.path} cannot be read: {error.strerror}", "correct the path"
            ) from None
        for number in range(1, self._config.loop + 1):
            if self._closed.is_set():
                return
            yield from self._one_pass(f"{content}-{number}")

    def _one_pass(self, epoch: str) -> Iterator[RawFrame]:
        pace = Pace(self._wait, self._clock, str(self._config.path))
        with closing(self._open()) as container:
            start = _recorded_at(container, self._config.path)
            decoder = self._decoder(container)
            times = TimeLine(decoder.frame_s)
            for index, picture in enumerate(self._decoded(decoder)):
                pts_s = times.place(picture.time)
                if self._skipped(pts_s):
                    continue
                if self.live:
                    pace.hold(self._played_s(pts_s))
                if self._closed.is_set():
                    return
                captured_at = start + timedelta(seconds=pts_s)
                aspect = decoder.pixel_aspect(picture)
                yield RawFrame("", index, converter(picture), pts_s, captured_at, Clock.FILE, epoch, aspect)

    def _open(self) -> InputContainer:
        try:
            container: InputContainer = av.open(str(self._config.path))
        except (av.error.FFmpegError, OSError):
            raise self._no_video() from None
        if not container.streams.video:
            container.close()
            raise self._no_video()
        return container

    def _decoder(self, container: InputContainer) -> Decoder:
        try:
            return Decoder(container, threads="AUTO")
        except NoDecoderError:
            raise InputError(
                f"{self._config.path}: the codec of its video cannot be decoded here",
                "convert it to H.264 or H.265",
            ) from None

    def _decoded(self, decoder: Decoder) -> Iterator[av.VideoFrame]:
        count = 0
        try:
            for picture in decoder.frames():
                count += 1
                yield picture
        except av.error.FFmpegError as error:
            raise InputError(
                f"{self._config.path} is damaged after {count} frames: {error.strerror}",
                "copy or export it again",
            ) from None
        if not count:
            raise self._no_video()
        if decoder.damaged:
            _log.warning("%s: damaged packets skipped: %d", self._config.path, decoder.damaged)

    def _no_video(self) -> InputError:
        return InputError(
            f"{self._config.path} is not a video, or is damaged", "try to play it; give another"
        )

    def _skipped(self, pts_s: float) -> bool:
        return any(start_s <= pts_s < end_s for start_s, end_s in self._config.skip)

    def _played_s(self, pts_s: float) -> float:
        """Clip time less what was left out before it."""
        return pts_s - sum(
            min(end_s, pts_s) - start_s for start_s, end_s in self._config.skip if start_s < pts_s
        )


def _recorded_at(container: InputContainer, path: Path) -> datetime:
    """When the clip says it was recorded; when it does not say, so long before the file's date as it lasts."""
    try:
        recorded = datetime.fromisoformat(container.metadata.get("creation_time", ""))
    except ValueError:
        return written_at(path) - timedelta(microseconds=container.duration or 0)
    return recorded if recorded.tzinfo else recorded.replace(tzinfo=UTC)
