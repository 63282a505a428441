"""Frames of a clip, as the `file` source sees them: all, some a second, or single ones."""

from collections.abc import Iterable, Iterator
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from pipeline.messages import Frame
from pipeline.registry import build
from pipeline.settings import choose


@dataclass(frozen=True, slots=True)
class Thinning:
    """Which frames of a clip are shown.

    Attributes:
        fps: At most so many a second, evenly; None = all.
        drop: Share of these that is left out at random, in [0, 1).
        seed: Of the draw.
    """

    fps: float | None = None
    drop: float = 0.0
    seed: int = 0

    def __call__(self, frames: Iterable[Frame]) -> Iterator[Frame]:
        """Those that are left."""
        rng = np.random.default_rng(self.seed)
        last_tick = -1.0
        for frame in frames:
            if self.fps is not None:
                tick = np.floor(frame.pts_s * self.fps + 1e-6)
                if tick <= last_tick:
                    continue
                last_tick = tick
            if rng.random() >= self.drop:
                yield frame


ALL = Thinning()


def play(clip: Path) -> Iterator[Frame]:
    """Every frame, as fast as possible.

    Raises:
        InputError: The file is no video, or damaged.
    """
    choice = choose("file", path=str(clip.resolve()), pace="fast")
    source: Any = build("source", choice, clip.parent, str(clip))
    with closing(source.frames()) as frames:
        yield from frames


def frames_at(clip: Path, times_s: Iterable[float]) -> dict[float, Frame]:
    """The frame nearest to each of the times, the last one for times behind the end.

    Raises:
        InputError: The file is no video, or damaged.
    """
    wanted = sorted(set(times_s))
    found: dict[float, Frame] = {}
    before: Frame | None = None
    for frame in play(clip) if wanted else ():
        while wanted and frame.pts_s >= wanted[0]:
            time_s = wanted.pop(0)
            nearer = before is not None and time_s - before.pts_s <= frame.pts_s - time_s
            found[time_s] = before if nearer and before is not None else frame
        if not wanted:
            return found
        before = frame
    return found | ({time_s: before for time_s in wanted} if before is not None else {})
