"""A camera of this machine, through OpenCV."""

import sys
import threading
import time
from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from typing import Annotated

import cv2
from pydantic import Field

from pipeline.bounds import Side
from pipeline.errors import StreamError
from pipeline.messages import Clock, Frame
from pipeline.settings import Settings


def open_device(device: int | str) -> cv2.VideoCapture:
    """The camera of that number or path, through the system's own driver."""
    cv2.utils.logging.setLogLevel(cv2.utils.logging.LOG_LEVEL_SILENT)  # a missing camera is told by our error
    return cv2.VideoCapture(device, cv2.CAP_V4L2 if sys.platform == "linux" else cv2.CAP_ANY)


class CameraSource:
    """Frames of a local camera, timed by their arrival.

    Args:
        config: The settings.
        capture: Opens a device; anything that behaves like `cv2.VideoCapture`.
        clock: Monotonic seconds, for `pts_s`.
        now: Wall clock, for `captured_at`.

    Attributes:
        live: Always True.
        opening_s: What a driver takes to start a device, at worst.
    """

    live = True
    opening_s = 10.0

    class Config(Settings):
        """Settings of a local camera; what the camera cannot do it replaces by the nearest it can."""

        device: Annotated[int, Field(ge=0, le=1000)] | str = Field(
            default=0, description="Number or path of the device."
        )
        size: tuple[Side, Side] | None = Field(default=None, description="Width, height asked for.")
        fps: float | None = Field(default=None, gt=0, le=1000, description="Rate asked for.")

    def __init__(
        self,
        config: Config,
        capture: Callable[[int | str], cv2.VideoCapture] = open_device,
        clock: Callable[[], float] = time.monotonic,
        now: Callable[[], datetime] = lambda: datetime.now(UTC),
    ) -> None:
        self._config = config
        self._capture = capture
        self._clock = clock
        self._now = now
        self._closed = threading.Event()

    def close(self) -> None:
        """Ends `frames` at its next picture, from any thread."""
        self._closed.set()

    def frames(self) -> Iterator[Frame]:
        """Yields what the camera sends.

        Raises:
            StreamError: It cannot be opened, or has stopped sending.
        """
        camera = self._open()
        try:
            yield from self._read(camera)
        finally:
            camera.release()

    def _open(self) -> cv2.VideoCapture:
        camera = self._capture(self._config.device)
        if not camera.isOpened():
            camera.release()
            raise StreamError(
                f"the camera {self._config.device} cannot be opened",
                "check that it is plugged in, that no other program uses it, and who may read it",
            )
        if self._config.size:
            camera.set(cv2.CAP_PROP_FRAME_WIDTH, self._config.size[0])
            camera.set(cv2.CAP_PROP_FRAME_HEIGHT, self._config.size[1])
        if self._config.fps:
            camera.set(cv2.CAP_PROP_FPS, self._config.fps)
        return camera

    def _read(self, camera: cv2.VideoCapture) -> Iterator[Frame]:
        index, start_s = 0, None
        while not self._closed.is_set():
            arrived, image = camera.read()
            if not arrived:
                raise StreamError(f"the camera {self._config.device} stopped sending", "check its cable")
            now_s = self._clock()
            start_s = now_s if start_s is None else start_s
            yield Frame("", index, image, now_s - start_s, self._now(), Clock.ARRIVAL)
            index += 1
