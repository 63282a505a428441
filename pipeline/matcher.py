"""The shortlist: the nearest identities of the watchlist for each tracklet."""

from collections.abc import Sequence

import numpy as np

from pipeline.messages import Candidate, Tracklet
from pipeline.protocols import Index
from pipeline.watchlist.snapshot import WatchlistSnapshot


class Matcher:
    """Shortlists by the nearest enrolment of each identity.

    Args:
        index: Searches the rows; rebuilt when the watchlist's version changes.
        top_c: Identities kept per tracklet.
    """

    def __init__(self, index: Index, top_c: int) -> None:
        self._index = index
        self._top_c = top_c
        self._rows_per_identity = 1
        self._snapshot: WatchlistSnapshot | None = None

    def use(self, snapshot: WatchlistSnapshot) -> None:
        """Searches this watchlist from now on."""
        self._snapshot = snapshot
        if len(snapshot.vectors):
            self._index.build(snapshot.vectors)
            self._rows_per_identity = int(np.unique(snapshot.identity_ids, return_counts=True)[1].max())

    def shortlist(self, tracklets: Sequence[Tracklet]) -> list[list[Candidate]]:
        """Candidates of each tracklet, nearest first; exact when the index is. Empty for an empty watchlist."""
        snapshot = self._snapshot
        if snapshot is None or not len(snapshot.vectors) or not tracklets:
            return [[] for _ in tracklets]
        k = min(len(snapshot.vectors), self._top_c * self._rows_per_identity)
        distances, rows = self._index.search(np.stack([t.embedding for t in tracklets]), k)
        return [self._per_identity(snapshot, *found) for found in zip(distances, rows, strict=True)]

    def _per_identity(
        self, snapshot: WatchlistSnapshot, distances: Sequence[float], rows: Sequence[int]
    ) -> list[Candidate]:
        candidates: dict[str, Candidate] = {}
        for distance, row in zip(distances, rows, strict=True):
            identity_id = str(snapshot.identity_ids[row])
            if identity_id not in candidates and len(candidates) < self._top_c:
                enrolment_id = int(snapshot.enrolment_ids[row])
                rank = len(candidates) + 1
                candidates[identity_id] = Candidate(identity_id, enrolment_id, float(distance), rank)
        return list(candidates.values())
