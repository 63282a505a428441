"""Fakes of the protocols, for tests of the pipeline and of other people's plugins."""

from collections.abc import Iterable, Iterator
from datetime import UTC, datetime, timedelta

import numpy as np
from numpy.typing import NDArray

from pipeline.messages import Clock, Frame

UNDATED = datetime(1970, 1, 1, tzinfo=UTC)


class ListSource:
    """A source that plays a list; an exception in the list is raised in its turn.

    Args:
        items: Frames and errors, in order.
        live: As in the protocol.
    """

    def __init__(self, items: Iterable[Frame | Exception], live: bool = False) -> None:
        self._items = list(items)
        self.live = live

    def frames(self) -> Iterator[Frame]:
        """Yields the frames; goes on behind an error when it is called again."""
        while self._items:
            item = self._items.pop(0)
            if isinstance(item, Exception):
                raise item
            yield item


def frame(
    index: int = 0, image: NDArray[np.uint8] | None = None, fps: float = 10.0, stream_id: str = ""
) -> Frame:
    """A frame of a clip; black 64x48 unless an image is given."""
    pts_s = index / fps
    picture = np.zeros((48, 64, 3), np.uint8) if image is None else image
    return Frame(stream_id, index, picture, pts_s, UNDATED + timedelta(seconds=pts_s), Clock.FILE)
