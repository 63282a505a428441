"""Single frames of a clip, as the `file` source sees them."""

from collections.abc import Iterable, Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

from pipeline.messages import Frame
from pipeline.registry import build
from pipeline.settings import choose


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
