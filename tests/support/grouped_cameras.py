"""Cameras and networks that a process of a group can import: it is started afresh, and knows no patches of a test."""

import os
import sys
import threading
from collections.abc import Iterator, Sequence
from dataclasses import replace
from pathlib import Path

from pipeline.errors import ConfigError
from pipeline.messages import Clock, Detections, Frame
from pipeline.settings import Settings
from pipeline.testing import frame
from tests.support import pictures
from tests.support.walks import walk

ENTRY_POINTS = """
[musewatch.source]
walking = tests.support.grouped_cameras:WalkingSource

[musewatch.detector]
drawn = tests.support.enrolment_desk:DrawnDetector
broken = tests.support.grouped_cameras:BrokenDetector
"""


class WalkingSource:
    """One person who walks by, as a recording, or over and over as a camera; notes which process plays it."""

    class Config(Settings):
        """What it shows."""

        shirt: str = "RED"
        frames: int = 20
        live: bool = False
        pause_s: float = 0.0
        pids: Path | None = None

    def __init__(self, config: Config) -> None:
        self._config, self.live = config, config.live
        self._closed = threading.Event()

    def frames(self) -> Iterator[Frame]:
        if self._config.pids is not None:
            with self._config.pids.open("a", encoding="utf-8") as file:
                print(os.getpid(), file=file)
        images = list(walk(self._config.frames, getattr(pictures, self._config.shirt)))
        for index, image in enumerate(images):
            self._closed.wait(self._config.pause_s)
            yield self._shown(index, frame(index, image))
        while self.live and not self._closed.wait(self._config.pause_s):
            index += 1
            yield self._shown(index, frame(index, images[index % len(images)]))

    def close(self) -> None:
        self._closed.set()

    def _shown(self, index: int, shown: Frame) -> Frame:
        if self.live:
            return replace(shown, pts_s=index / 10, epoch="", clock=Clock.ARRIVAL)
        return replace(shown, epoch="e1", clock=Clock.FILE)


class BrokenDetector:
    """Cannot start."""

    class Config(Settings):
        """Nothing to set."""

    def __init__(self, config: Config) -> None:
        raise ConfigError("the engine is for another planet", "fetch one for this one")

    def detect(self, frames: Sequence[Frame]) -> list[Detections]:
        raise NotImplementedError


def install(site: Path) -> None:
    """Writes into `site`, which is on the path already, what an installer would."""
    assert str(site) in sys.path
    information = site / "grouped_cameras-1.0.dist-info"
    information.mkdir()
    (information / "METADATA").write_text(
        "Metadata-Version: 2.1\nName: grouped-cameras\nVersion: 1.0\n", encoding="utf-8"
    )
    (information / "entry_points.txt").write_text(ENTRY_POINTS, encoding="utf-8")
