"""The watchlist at one moment, as a running pipeline compares with it."""

from collections.abc import Iterable
from dataclasses import dataclass, field, replace
from datetime import datetime

import numpy as np
from numpy.typing import NDArray

from pipeline.plugged import PluggedEmbedder
from pipeline.protocols import Enrolled
from pipeline.watchlist.records import TEXT, Identity
from pipeline.watchlist.roster import WatchlistStore
from pipeline.watchlist.vectors import from_blobs


@dataclass(frozen=True, slots=True)
class WatchlistSnapshot:
    """Everyone valid at one moment, row by row.

    Attributes:
        version: The store's version.
        identities: By id; the valid ones, rows or not.
        enrolment_ids: (R,) int64, ascending.
        identity_ids: Identity of each row.
        is_text: (R,) bool, whether the row was enrolled by a text.
        vectors: (R, D) float16 unit vectors, read-only.
        engine_digest: The engine that made them.
        next_change: When the first of the identities stops being valid, or None.
    """

    version: int
    identities: dict[str, Identity]
    enrolment_ids: NDArray[np.int64]
    identity_ids: tuple[str, ...]
    is_text: NDArray[np.bool_]
    vectors: NDArray[np.float16]
    engine_digest: str
    next_change: datetime | None
    _store: WatchlistStore = field(repr=False, compare=False)

    def __len__(self) -> int:
        return len(self.identity_ids)

    def look_up(self, enrolment_ids: Iterable[int], *, pictures: bool = True) -> dict[int, Enrolled]:
        """Pictures, texts and vectors by enrolment id; pictures and texts fetched from the store or left out.

        What the snapshot does not hold is missing; so is, where they are fetched, what was erased since.
        """
        rows = {id_: row for id_ in enrolment_ids if (row := self._row(id_)) is not None}
        known = {
            id_: Enrolled(self.identity_ids[row], id_, None, self.vectors[row].astype(np.float32))
            for id_, row in rows.items()
        }
        if not pictures:
            return known
        shown = self._store.pictures(id_ for id_, row in rows.items() if not self.is_text[row])
        texts = self._store.texts(id_ for id_, row in rows.items() if self.is_text[row])
        return {
            id_: replace(known[id_], picture=shown.get(id_), text=texts.get(id_))
            for id_ in rows
            if id_ in shown or id_ in texts
        }

    def _row(self, enrolment_id: int) -> int | None:
        row = int(np.searchsorted(self.enrolment_ids, enrolment_id))
        return row if row < len(self) and self.enrolment_ids[row] == enrolment_id else None


def take_snapshot(
    store: WatchlistStore, embedder: PluggedEmbedder, now: datetime | None
) -> WatchlistSnapshot:
    """The watchlist as it is; enrolments without a vector of this embedder are left out.

    Args:
        store: The truth.
        embedder: Whose vectors to read.
        now: Identities no longer valid at that time are left out; None = nobody is.
    """
    digest = embedder.digest
    roll, made = store.read(), store.vectors(digest)
    identities = {each.id: each for each in roll.identities if now is None or each.is_valid(now)}
    blobs = {id_: by_engine[digest] for id_, by_engine in made.items()}
    rows = [
        enrolment
        for enrolment in roll.enrolments
        if enrolment.identity_id in identities and len(blobs.get(enrolment.id, b"")) == 2 * embedder.dimension
    ]
    vectors = from_blobs([blobs[row.id] for row in rows], embedder.dimension)
    vectors.setflags(write=False)
    ends = [identity.valid_until for identity in identities.values() if identity.valid_until is not None]
    return WatchlistSnapshot(
        version=roll.version,
        identities=identities,
        enrolment_ids=np.array([row.id for row in rows], np.int64),
        identity_ids=tuple(row.identity_id for row in rows),
        is_text=np.array([row.kind == TEXT for row in rows], np.bool_),
        vectors=vectors,
        engine_digest=digest,
        next_change=min(ends, default=None),
        _store=store,
    )
