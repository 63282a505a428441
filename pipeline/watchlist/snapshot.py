"""The watchlist at one moment, as a running pipeline compares with it."""

from collections.abc import Iterable
from dataclasses import dataclass, field
from datetime import datetime

import numpy as np
from numpy.typing import NDArray

from pipeline.protocols import Embedder, Enrolled
from pipeline.watchlist.records import Identity
from pipeline.watchlist.store import WatchlistStore
from pipeline.watchlist.vectors import digest_of, from_blobs


@dataclass(frozen=True, slots=True)
class WatchlistSnapshot:
    """Everyone valid at one moment, row by row.

    Attributes:
        version: The store's version.
        identities: By id; the valid ones, rows or not.
        enrolment_ids: (R,) int64, ascending.
        identity_ids: Identity of each row.
        vectors: (R, D) float16 unit vectors, read-only.
        engine_digest: The engine that made them.
        next_change: When the first of the identities stops being valid, or None.
    """

    version: int
    identities: dict[str, Identity]
    enrolment_ids: NDArray[np.int64]
    identity_ids: tuple[str, ...]
    vectors: NDArray[np.float16]
    engine_digest: str
    next_change: datetime | None
    _store: WatchlistStore = field(repr=False, compare=False)

    def __len__(self) -> int:
        return len(self.identity_ids)

    def look_up(self, enrolment_ids: Iterable[int]) -> dict[int, Enrolled]:
        """Pictures and vectors by enrolment id, the pictures fetched from the store.

        What the snapshot does not hold, or was erased since it was taken, is missing.
        """
        rows = {id_: row for id_ in enrolment_ids if (row := self._row(id_)) is not None}
        return {
            id_: Enrolled(
                self.identity_ids[rows[id_]], id_, picture, self.vectors[rows[id_]].astype(np.float32)
            )
            for id_, picture in self._store.pictures(rows).items()
        }

    def _row(self, enrolment_id: int) -> int | None:
        row = int(np.searchsorted(self.enrolment_ids, enrolment_id))
        return row if row < len(self) and self.enrolment_ids[row] == enrolment_id else None


def take_snapshot(store: WatchlistStore, embedder: Embedder, now: datetime | None) -> WatchlistSnapshot:
    """The watchlist as it is; enrolments without a vector of this embedder are left out.

    Args:
        store: The truth.
        embedder: Whose vectors to read.
        now: Identities no longer valid at that time are left out; None = nobody is.
    """
    digest = digest_of(embedder)
    version, everyone, rows = store.read_rows(digest, embedder.dimension)
    identities = {identity.id: identity for identity in everyone if now is None or identity.is_valid(now)}
    rows = [row for row in rows if row[1] in identities]
    vectors = from_blobs([row[2] for row in rows], embedder.dimension)
    vectors.setflags(write=False)
    ends = [identity.valid_until for identity in identities.values() if identity.valid_until is not None]
    return WatchlistSnapshot(
        version=version,
        identities=identities,
        enrolment_ids=np.array([row[0] for row in rows], np.int64),
        identity_ids=tuple(row[1] for row in rows),
        vectors=vectors,
        engine_digest=digest,
        next_change=min(ends, default=None),
        _store=store,
    )
