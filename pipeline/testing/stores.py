"""An archive in memory."""

from collections.abc import Sequence
from datetime import datetime

import numpy as np

from pipeline.store.archive import EVERYWHERE, Found, Query, Sighting, Where


class ListArchive:
    """An `Archive` and `Holder` for tests: every search looks at every sighting."""

    def __init__(self) -> None:
        self._sightings: dict[str, Sighting] = {}

    def add(self, sightings: Sequence[Sighting]) -> None:
        """Keeps them; one of a known id takes its place."""
        self._sightings |= {sighting.id: sighting for sighting in sightings}

    def search(self, query: Query | None, k: int, where: Where = EVERYWHERE) -> list[Found]:
        """The nearest, or without a query the newest."""
        there = [sighting for sighting in self._sightings.values() if where.has(sighting)]
        if query is None:
            there.sort(key=lambda sighting: sighting.captured_at, reverse=True)
            return [Found(sighting, None) for sighting in there[:k]]
        comparable = [each for each in there if each.engine_digest == query.engine_digest]
        found = [Found(each, float(np.linalg.norm(each.vector - query.vector))) for each in comparable]
        return sorted(found, key=lambda each: each.distance or 0.0)[:k]

    def get(self, sighting_id: str) -> Sighting | None:
        """One, or None."""
        return self._sightings.get(sighting_id)

    def expire(self, before: datetime) -> int:
        """Erases the older ones; how many."""
        old = [id_ for id_, sighting in self._sightings.items() if sighting.captured_at < before]
        for id_ in old:
            del self._sightings[id_]
        return len(old)

    def traces(self, identity_id: str) -> list[str]:
        """The sightings in which somebody was recognised."""
        return [
            f"sighting {id_}" for id_, each in self._sightings.items() if identity_id in each.identity_ids
        ]

    def forget(self, identity_id: str) -> None:
        """Erases them."""
        kept = {id_: s for id_, s in self._sightings.items() if identity_id not in s.identity_ids}
        self._sightings = kept
