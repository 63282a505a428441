"""A network camera over RTSP: fetched from it, or pushed by it to an address of ours."""

import errno
import logging
import math
import threading
from collections.abc import Callable, Iterator
from contextlib import closing
from datetime import UTC, datetime
from typing import Literal, Self
from urllib.parse import SplitResult, quote, urlsplit

import av
from av.container import InputContainer
from pydantic import Field, SecretStr, model_validator

from pipeline.errors import StreamError
from pipeline.messages import Clock, Frame, RawFrame
from pipeline.secrets import redact
from pipeline.settings import LONG_S, Settings
from plugins.sources.challenge import wanted_digest
from plugins.sources.hardware import HardwareName, hardware
from plugins.sources.video import Decoder, NoDecoderError, SilentTrackError, TimeLine, converter

_log = logging.getLogger("musewatch.source")
_NOTABLE_SKEW_S = 5.0
# Without these, opening reads seconds of video to guess a rate that the timestamps give anyway.
_OPEN_FAST = {"fpsprobesize": "0", "analyzeduration": "1"}
_REFUSALS: tuple[tuple[type[Exception], str, str], ...] = (
    (av.error.HTTPUnauthorizedError, "it refused the credentials (401)", "correct user and password"),
    (av.error.HTTPForbiddenError, "it forbids access (403)", "give this user the right to view"),
    (av.error.HTTPNotFoundError, "it has no such stream (404)", "correct the path in the URL"),
    (av.error.HTTPError, "it answered with an error", "look into the camera's own log"),
    (
        av.error.ConnectionRefusedError,
        "the connection was refused",
        "check address and port, and that it is on",
    ),
    (av.error.ExitError, "it did not answer in time", "check address, network and firewall"),
    (av.error.TimeoutError, "it did not answer in time", "check address, network and firewall"),
    (
        av.error.InvalidDataError,
        "it gave no RTSP answer in time, or a broken one",
        "check address, port and path",
    ),
)


class RtspSource:
    """Frames of one connection to a camera; a connection that ends is a `StreamError`.

    `pts_s` counts from the first frame of the connection. `captured_at` is the camera's wall clock as soon as
    it has told it (RTCP), before that the arrival; the frame says which.

    Args:
        config: The settings.
        now: Wall clock.

    Attributes:
        live: Always True.
        finite: Whether the end of the connection is the end of the stream.
        opening_s: The longest that opening takes by its own limits.
    """

    live = True

    class Config(Settings):
        """Settings of a network camera."""

        url: str = Field(pattern=r"^rtsps?://[^/]", repr=False, description="rtsp://HOST[:PORT]/PATH")
        user: str | None = Field(default=None, description="Instead of USER:PASSWORD@ in the URL...")
        password: SecretStr | None = Field(default=None, description="...and as it is, nothing to escape.")
        transport: Literal["tcp", "udp"] = "tcp"
        listen: bool = Field(default=False, description="The camera pushes to this address of ours.")
        listen_s: float = Field(default=60.0, gt=0, le=LONG_S, description="Longest wait for it to connect.")
        finite: bool = Field(default=False, description="The end of the connection is the end of the stream.")
        open_s: float = Field(default=5.0, gt=0, le=LONG_S, description="Limit of each call while opening.")
        read_s: float = Field(
            default=2.0,
            gt=0,
            le=LONG_S,
            description="Silence allowed; a lost stream is noticed after one or two of these.",
        )
        hwaccel: HardwareName = Field(
            default="none", description="Decoder; software where it does not start."
        )
        max_clock_skew_s: float = Field(
            default=10.0, ge=0, le=LONG_S, description="A camera clock that is off by more is not believed."
        )

        @model_validator(mode="after")
        def _credentials_once(self) -> Self:
            in_url = "@" in _parts(self.url).netloc
            if (self.user is None) != (self.password is None):
                raise ValueError("user and password belong together")
            if in_url and self.user is not None:
                raise ValueError("credentials both in the URL and in user and password: leave out one")
            return self

    def __init__(self, config: Config, now: Callable[[], datetime] = lambda: datetime.now(UTC)) -> None:
        self._config = config
        self._now = now
        self._closed = threading.Event()
        self._skew_told = False
        self.note: str | None = None
        self._hardware = hardware(config.hwaccel)
        self.finite = config.finite
        self.opening_s = config.listen_s if config.listen else 2 * config.open_s  # to answer, to send
        parts = _parts(config.url)
        credentials, at, address = parts.netloc.rpartition("@")
        if config.user is not None and config.password is not None:
            at, credentials = (
                "@",
                ":".join(quote(x, "") for x in (config.user, config.password.get_secret_value())),
            )
        self._url = parts._replace(netloc=credentials + at + address).geturl()
        self._shown = redact(parts._replace(netloc=("***@" if at else "") + address).geturl())

    def close(self) -> None:
        """Ends `frames` at its next frame or limit, from any thread."""
        self._closed.set()

    def frames(self) -> Iterator[Frame]:
        """Yields the frames of one connection.

        Raises:
            StreamError: It cannot be opened, is lost, fell silent, or was ended by the camera.
        """
        yield from map(RawFrame.converted, self.raw_frames())

    def raw_frames(self) -> Iterator[RawFrame]:
        """As `frames`, with pictures as they were decoded."""
        try:
            yield from self._connection()
        except StreamError:
            if not self._closed.is_set():
                raise

    def _connection(self) -> Iterator[RawFrame]:
        container = self._accept() if self._config.listen else self._fetch()
        with closing(container):
            yield from self._read(container)
        if not self.finite:
            raise StreamError(f"{self._shown}: the stream ended: the camera closed the connection")

    def _fetch(self) -> InputContainer:
        try:
            return self._open(rtsp_transport=self._config.transport, allowed_media_types="video")
        except _NoTcpError:
            container = self._open(rtsp_transport="udp", allowed_media_types="video")
        self.note = f"{self._shown}: the camera gives no video over TCP, so UDP is used: set transport: udp"
        _log.warning("%s", self.note)
        return container

    def _open(self, **options: str) -> InputContainer:
        container: InputContainer
        try:
            container = av.open(
                self._url,
                timeout=(self._config.open_s, self._config.read_s),
                options=_OPEN_FAST | options,
                hwaccel=self._hardware,
            )
        except (av.error.FFmpegError, OSError) as error:
            raise self._unopened(error) from None
        if not container.streams.video:
            container.close()
            raise StreamError(
                f"{self._shown}: there is no video in the stream", "correct the path in the URL"
            )
        return container

    def _accept(self) -> InputContainer:
        """The connection of the camera that pushes to us; we listen in short turns, so as to see a close."""
        for _ in range(math.ceil(self._config.listen_s)):
            if self._closed.is_set():
                break
            try:
                return self._open(rtsp_flags="listen", listen_timeout="1")
            except _NobodyCameError:
                continue
        raise StreamError(
            f"{self._shown}: no camera has connected in {self._config.listen_s:g} s",
            "make the camera push to this address",
        )

    def _read(self, container: InputContainer) -> Iterator[RawFrame]:
        decoder = self._decoder(container)
        times = TimeLine(decoder.frame_s)
        try:
            for index, picture in enumerate(decoder.frames()):
                if self._closed.is_set():
                    return
                captured_at, clock = self._captured(decoder.wall_s(picture))
                yield RawFrame(
                    "", index, converter(picture), times.place(picture.time), captured_at, clock,
                    pixel_aspect=decoder.pixel_aspect(picture),
                )  # fmt: skip
        except (av.error.ExitError, av.error.TimeoutError, SilentTrackError):
            raise StreamError(
                f"{self._shown}: no picture for {self._config.read_s:g} s or more",
                "look at the camera and the network; read_s must be longer than from one picture to the next",
            ) from None
        except av.error.FFmpegError as error:
            raise StreamError(f"{self._shown}: the stream broke off: {error.strerror}") from None
        finally:
            if decoder.damaged:
                _log.warning("%s: damaged packets skipped: %d", self._shown, decoder.damaged)

    def _decoder(self, container: InputContainer) -> Decoder:
        try:
            return Decoder(container, threads="SLICE", silent_s=self._config.read_s)
        except NoDecoderError:
            raise StreamError(
                f"{self._shown}: the codec of its video cannot be decoded here",
                "set the camera to H.264 or H.265, without a vendor's own additions (smart, plus)",
            ) from None

    def _captured(self, wall_s: float | None) -> tuple[datetime, Clock]:
        now = self._now()
        if wall_s is None:
            return now, Clock.ARRIVAL
        taken = datetime.fromtimestamp(wall_s, UTC)
        skew_s = (taken - now).total_seconds()
        if abs(skew_s) > _NOTABLE_SKEW_S and not self._skew_told:
            self._skew_told = True
            _log.warning("%s: the camera's clock is off by %+.0f s: set it by NTP", self._shown, skew_s)
        if abs(skew_s) > self._config.max_clock_skew_s:
            return now, Clock.ARRIVAL
        return taken, Clock.CAMERA

    def _unopened(self, error: Exception) -> StreamError:
        if self._config.listen and isinstance(error, av.error.TimeoutError | av.error.ExitError):
            return _NobodyCameError(self._shown)
        if isinstance(error, OSError) and error.errno == errno.EPROTONOSUPPORT:
            kind_of = (
                _NoTcpError if self._config.transport == "tcp" and not self._config.listen else StreamError
            )
            return kind_of(f"{self._shown}: it refuses this transport (461)", "set transport: tcp or udp")
        if isinstance(error, av.error.HTTPUnauthorizedError) and "@" in _parts(self._url).netloc:
            digest = wanted_digest(self._url, self._config.open_s)
            if digest is not None:
                return StreamError(
                    f"{self._shown}: it asks for digest {digest}, which cannot be answered",
                    "set the camera's RTSP authentication to digest MD5, or to basic over rtsps",
                )
        for kind, problem, fix in _REFUSALS:
            if isinstance(error, kind):
                return StreamError(f"{self._shown}: {problem}", fix)
        reason = getattr(error, "strerror", None) or type(error).__name__
        return StreamError(f"{self._shown} cannot be opened: {reason}", "check the address")


class _NoTcpError(StreamError):
    """The camera refuses to send over the connection itself."""


class _NobodyCameError(StreamError):
    """Nobody has connected while we listened."""


def _parts(url: str) -> SplitResult:
    """The URL taken apart.

    Raises:
        ValueError: It is no URL; a password with signs of its own can look like that.
    """
    try:
        parts = urlsplit(url)
        _ = parts.port
    except ValueError:
        raise ValueError("host or port cannot be read; put the password into 'user' and 'password'") from None
    return parts
