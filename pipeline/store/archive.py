"""The interface of an archive: everybody who was seen, for some time, to be searched by how they look."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Protocol, runtime_checkable

import numpy as np
from numpy.typing import NDArray

Box = tuple[float, float, float, float]


@dataclass(frozen=True, slots=True, eq=False)
class Sighting:
    """One person once in view.

    Attributes:
        id: Names it; the same when it is put in again.
        stream_id: Where.
        epoch: Which run of the stream.
        track_id: Which track of it.
        captured_at: When the picture was taken, aware.
        pts_s: The same on the stream's clock.
        box: xyxy in source pixels.
        engine_digest: Whose vector it is.
        vector: (D,) unit vector.
        crop: JPEG of the person.
        identity_ids: Who was recognised in it.
    """

    id: str
    stream_id: str
    epoch: str
    track_id: int
    captured_at: datetime
    pts_s: float
    box: Box
    engine_digest: str
    vector: NDArray[np.float32]
    crop: bytes
    identity_ids: frozenset[str] = frozenset()


@dataclass(frozen=True, slots=True)
class Where:
    """Which sightings are looked through; None = all.

    Attributes:
        stream_ids: On these streams.
        since: Captured then or later, aware.
        until: Captured before then, aware.
    """

    stream_ids: frozenset[str] | None = None
    since: datetime | None = None
    until: datetime | None = None

    def has(self, sighting: Sighting) -> bool:
        """Whether it is one of them."""
        return (
            (self.stream_ids is None or sighting.stream_id in self.stream_ids)
            and (self.since is None or sighting.captured_at >= self.since)
            and (self.until is None or sighting.captured_at < self.until)
        )


EVERYWHERE = Where()


@dataclass(frozen=True, slots=True)
class Found:
    """A sighting and its Euclidean distance to what was looked for, in [0, 2]; None where nothing was."""

    sighting: Sighting
    distance: float | None


@dataclass(frozen=True, slots=True)
class Query:
    """What is looked for: a unit vector (D,), and whose it is; others are never compared with it."""

    engine_digest: str
    vector: NDArray[np.float32]


@runtime_checkable
class Archive(Protocol):
    """Keeps sightings; one writes, any number of threads search.

    Raises in every method: OutsideError where it cannot be reached or written.
    """

    def add(self, sightings: Sequence[Sighting]) -> None:
        """Returns when they are safe; one of a known id takes its place."""
        ...

    def search(self, query: Query | None, k: int, where: Where = EVERYWHERE) -> list[Found]:
        """The nearest `k` at most, nearest first; without a query the newest, newest first."""
        ...

    def get(self, sighting_id: str) -> Sighting | None:
        """One, or None."""
        ...

    def expire(self, before: datetime) -> int:
        """Erases what was captured before that time (aware); how many."""
        ...
