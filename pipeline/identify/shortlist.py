"""The shortlist: the nearest identities of the watchlist for each tracklet."""

import logging
from collections.abc import Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from pipeline.identify.calibration import Cuts
from pipeline.messages import Candidate, Tracklet
from pipeline.plugged import PluggedIndex
from pipeline.watchlist.snapshot import WatchlistSnapshot

logger = logging.getLogger("musewatch.matcher")


@dataclass(frozen=True, slots=True)
class _Shelf:
    """The rows of one kind: `rows` (R,) of the snapshot, at most `per_identity` of them of one identity.

    `index` is None where it could not be built of their `vectors` (R, D).
    """

    index: PluggedIndex | None
    vectors: NDArray[np.float16]
    rows: NDArray[np.int64]
    per_identity: int
    is_text: bool


class Matcher:
    """Shortlists by the nearest enrolment of each identity.

    Pictures and texts are searched each on their own; who is nearer is told by the excess over their cuts. While an
    index does not work, all rows are compared without it, which takes longer.

    Args:
        index: Searches the rows of pictures; rebuilt when the watchlist's version changes.
        top_c: Identities kept per tracklet.
        cuts: Of pictures and of texts.
        texts: Searches the rows of texts; None = nobody is compared with texts.
    """

    def __init__(
        self, index: PluggedIndex, top_c: int, cuts: Cuts, *, texts: PluggedIndex | None = None
    ) -> None:
        self._pictures, self._texts = index, texts
        self._top_c = top_c
        self._cuts = self._all_cuts = cuts
        self._snapshot: WatchlistSnapshot | None = None
        self._shelves: list[_Shelf] = []

    def use(self, snapshot: WatchlistSnapshot) -> None:
        """Searches this watchlist from now on."""
        self._cuts = self._all_cuts.at(snapshot.identity_ids, snapshot.is_text)
        pictures, texts = np.flatnonzero(~snapshot.is_text), np.flatnonzero(snapshot.is_text)
        if len(texts) and self._texts is None:
            logger.warning(
                "%d texts are not compared: set decision.max_distance_text, or calibrate texts", len(texts)
            )
        kinds = (self._pictures, pictures, False), (self._texts, texts, True)
        self._shelves = [
            _shelf(snapshot, index, rows, is_text=is_text)
            for index, rows, is_text in kinds
            if index is not None and len(rows)
        ]
        self._snapshot = snapshot

    def shortlist(self, tracklets: Sequence[Tracklet]) -> list[list[Candidate]]:
        """Candidates of each tracklet, nearest first; exact when the index is. Empty for an empty watchlist."""
        if self._snapshot is None or not tracklets:
            return [[] for _ in tracklets]
        queries = np.stack([tracklet.embedding for tracklet in tracklets])
        found: list[list[Candidate]] = [[] for _ in tracklets]
        for shelf in self._shelves:
            k = min(len(shelf.rows), self._top_c * shelf.per_identity)
            for i, (distances, rows) in enumerate(zip(*_search(shelf, queries, k), strict=True)):
                found[i] += self._per_identity(self._snapshot, shelf, distances, rows)
        return [self._ranked(candidates) for candidates in found]

    def _per_identity(
        self, snapshot: WatchlistSnapshot, shelf: _Shelf, distances: Sequence[float], rows: Sequence[int]
    ) -> Iterator[Candidate]:
        """The nearest of each identity on one shelf, not ranked yet."""
        seen: set[str] = set()
        for distance, place in zip(distances, rows, strict=True):
            row = shelf.rows[place]
            identity_id = snapshot.identity_ids[row]
            if identity_id not in seen and len(seen) < self._top_c:
                seen.add(identity_id)
                enrolment_id = int(snapshot.enrolment_ids[row])
                yield Candidate(identity_id, enrolment_id, float(distance), 0, shelf.is_text)

    def _ranked(self, candidates: Sequence[Candidate]) -> list[Candidate]:
        nearest: dict[str, Candidate] = {}
        for each in sorted(candidates, key=lambda candidate: candidate.distance - self._cuts.of(candidate)):
            nearest.setdefault(each.identity_id, each)
        kept = list(nearest.values())[: self._top_c]
        return [replace(each, rank=rank) for rank, each in enumerate(kept, start=1)]


def _shelf(
    snapshot: WatchlistSnapshot, index: PluggedIndex, rows: NDArray[np.int64], *, is_text: bool
) -> _Shelf:
    whole = len(rows) == len(snapshot.vectors)
    vectors = snapshot.vectors if whole else snapshot.vectors[rows]
    ids = snapshot.identity_ids if whole else [snapshot.identity_ids[row] for row in rows]
    per_identity = int(np.unique(ids, return_counts=True)[1].max())
    try:
        index.build(vectors)
    except Exception:  # the door has told
        return _Shelf(None, vectors, rows, per_identity, is_text)
    return _Shelf(index, vectors, rows, per_identity, is_text)


def _search(
    shelf: _Shelf, queries: NDArray[np.float32], k: int
) -> tuple[NDArray[np.float32], NDArray[np.int64]]:
    """Distances (Q, k) and places on the shelf (Q, k), nearest first."""
    if shelf.index is not None:
        with suppress(Exception):  # the door has told
            return shelf.index.search(queries, k, of=len(shelf.rows))
    distances = np.sqrt(np.clip(2 - 2 * (queries @ shelf.vectors.astype(np.float32).T), 0, 4))
    nearest = np.argsort(distances, axis=1, kind="stable")[:, :k]
    return np.take_along_axis(distances, nearest, axis=1), nearest
