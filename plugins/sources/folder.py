"""The pictures of a folder as a stream, in natural order of their names."""

import logging
import re
import threading
import time
from collections.abc import Callable, Iterator
from datetime import timedelta
from pathlib import Path

from pydantic import Field

from pipeline.errors import InputError
from pipeline.messages import Clock, Frame
from pipeline.settings import ConfigPath, Settings
from plugins.codec_opencv import OpenCVCodec
from plugins.sources.file_content import content_name, written_at
from plugins.sources.pace import LONGEST_WAIT_S, Pace, PaceName

_log = logging.getLogger("musewatch.source")
_SUFFIXES = frozenset({".bmp", ".jpeg", ".jpg", ".png", ".webp"})


class FolderSource:
    """One frame a picture, at a fixed rate; sizes may differ, unreadable pictures are skipped.

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
        """Settings of a folder stream."""

        path: ConfigPath
        fps: float = Field(default=25.0, gt=0, le=1000, description="Pictures per second of stream time.")
        pace: PaceName = Field(default="fast", description="real = at `fps`; fast = no waiting.")

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
        """Yields the pictures; an unreadable one leaves its place empty.

        Raises:
            InputError: The folder cannot be read, or holds no picture.
        """
        paths = self._pictures()
        epoch, start = f"{content_name(paths)}-1", written_at(paths[0])
        longest_s = max(LONGEST_WAIT_S, 2 / self._config.fps)
        pace = Pace(self._wait, self._clock, str(self._config.path), longest_s)
        codec = OpenCVCodec(OpenCVCodec.Config())
        for index, path in enumerate(paths):
            pts_s = index / self._config.fps
            if self.live:
                pace.hold(pts_s)
            if self._closed.is_set():
                return
            try:
                image = codec.decode(path.read_bytes())
            except (OSError, InputError) as error:
                _log.warning("%s skipped: %s", path, error)
                continue
            yield Frame("", index, image, pts_s, start + timedelta(seconds=pts_s), Clock.FILE, epoch)

    def _pictures(self) -> list[Path]:
        folder = self._config.path
        try:
            paths = [path for path in folder.iterdir() if path.suffix.lower() in _SUFFIXES]
        except OSError as error:
            raise InputError(
                f"the folder {folder} cannot be read: {error.strerror}", "correct the path"
            ) from None
        if not paths:
            known = ", ".join(sorted(_SUFFIXES))
            raise InputError(f"there is no picture in {folder}", f"pictures end in {known}")
        return sorted(paths, key=lambda path: _natural(path.name))


def _natural(name: str) -> list[tuple[int, str]]:
    """Sorts 2.jpg before 10.jpg."""
    return [(int(part or 0), "") if part.isdigit() else (0, part) for part in re.split(r"(\d+)", name)]
