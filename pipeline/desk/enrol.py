"""Enrols people from picture files and texts, and says what is odd about it."""

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from pipeline.desk.portrait import Portrait, PortraitMaker, RefusedError
from pipeline.plugged import PluggedEmbedder
from pipeline.watchlist.follower import ensure_vectors
from pipeline.watchlist.records import Identity, NewEnrolment, NewPicture, NewText
from pipeline.watchlist.roster import WatchlistStore
from pipeline.watchlist.snapshot import WatchlistSnapshot, take_snapshot

NEAR_SHARE = 0.2  # of the cut: two pictures nearer than this teach the same
NEAR = 0.02  # where there is no cut


@dataclass(frozen=True, slots=True)
class Refused:
    """A picture that was not enrolled."""

    image: Path
    error: RefusedError


@dataclass(slots=True)
class EnrolReport:
    """What came of it: pictures and texts enrolled, pictures refused, and what to look at."""

    pictures: int = 0
    texts: int = 0
    refused: list[Refused] = field(default_factory=list)
    warnings: list[str] = field(default_factory=list)

    @property
    def enrolled(self) -> int:
        """Pictures and texts together."""
        return self.pictures + self.texts


def enrol(
    store: WatchlistStore,
    identity: Identity,
    images: Sequence[Path],
    maker: PortraitMaker,
    embedder: PluggedEmbedder,
    *,
    max_distance: float | None,
    now: datetime,
    texts: Sequence[str] = (),
) -> EnrolReport:
    """Enrols every picture that passes and all texts, in one change of the watchlist; the others are reported.

    Where nothing passes, nothing is changed.

    Args:
        store: The watchlist.
        identity: New, or known: then what it leaves at None stays as it was.
        images: Picture files.
        maker: Cuts the person out.
        embedder: Makes the vectors.
        max_distance: Two people nearer than this look alike; None = not looked at.
        now: Aware.
        texts: Descriptions of the person.

    Raises:
        ConfigError: The embedder gave no unit vectors or reads no texts, or a box lies outside its picture.
        InputError: A text is empty, or longer than the embedder reads.
    """
    report = EnrolReport()
    described = _embed_texts(embedder, texts, now)
    portraits: list[tuple[Path, Portrait]] = []
    for image in images:
        try:
            portraits.append((image, maker.read(image)))
        except RefusedError as error:
            report.refused.append(Refused(image, error))
    if not portraits and not described:
        return report
    ensure_vectors(store, embedder, maker.codec)
    vectors = embedder.embed([portrait.image for _, portrait in portraits])
    paths = [path for path, _ in portraits]
    known = take_snapshot(store, embedder, None)
    near = NEAR if max_distance is None else NEAR_SHARE * max_distance
    report.warnings += _repeats(known, identity.id, paths, vectors, near=near)
    if max_distance is not None:
        report.warnings += _lookalikes(known, identity.id, paths, vectors, max_distance)
    here = {enrolment.text for enrolment in store.enrolments(identity.id)}
    report.warnings += [f"already enrolled: {new.text}" for new in described if new.text in here]
    digest = embedder.digest
    pictures = [
        NewPicture(portrait.picture, now, digest, vector)
        for (_, portrait), vector in zip(portraits, vectors, strict=True)
    ]
    entries: list[NewEnrolment] = [*pictures, *described]
    store.add(identity, entries)
    report.pictures, report.texts = len(pictures), len(described)
    return report


def _embed_texts(embedder: PluggedEmbedder, texts: Sequence[str], now: datetime) -> list[NewText]:
    if not texts:
        return []
    described = [NewText(text.strip(), now) for text in texts]
    vectors = embedder.embed_text([new.text for new in described])
    digest = embedder.digest
    return [
        replace(new, engine_digest=digest, vector=row) for new, row in zip(described, vectors, strict=True)
    ]


def _repeats(
    known: WatchlistSnapshot,
    identity_id: str,
    images: Sequence[Path],
    vectors: NDArray[np.float32],
    *,
    near: float,
) -> list[str]:
    """Pictures that add nothing to what is enrolled, or to one given before them."""
    mine = np.array([id_ == identity_id for id_ in known.identity_ids], np.bool_) & ~known.is_text
    own = known.vectors[mine].astype(np.float32)
    to_own, to_each_other = _distances(vectors, own), _distances(vectors, vectors)
    warnings = []
    for i, image in enumerate(images):
        before = np.flatnonzero(to_each_other[i, :i] < near)
        if len(before):
            warnings.append(f"{image} is almost the same picture as {images[before[0]]}")
        elif (to_own[i] < near).any():
            warnings.append(f"{image} is almost a picture already enrolled for {identity_id}")
    return warnings


def _lookalikes(
    known: WatchlistSnapshot,
    identity_id: str,
    images: Sequence[Path],
    vectors: NDArray[np.float32],
    max_distance: float,
) -> list[str]:
    """Pictures that would be taken for somebody else."""
    ids = enumerate(known.identity_ids)
    others = [row for row, id_ in ids if id_ != identity_id and not known.is_text[row]]
    if not others:
        return []
    distances = _distances(vectors, known.vectors[others].astype(np.float32))
    return [
        f"{image} looks like {known.identity_ids[others[int(row.argmin())]]}, who is enrolled too "
        f"(distance {row.min():.2f}, the cut is {max_distance:.2f})"
        for image, row in zip(images, distances, strict=True)
        if row.min() <= max_distance
    ]


def _distances(a: NDArray[np.float32], b: NDArray[np.float32]) -> NDArray[np.float32]:
    """Euclidean (N, M) between unit rows."""
    squared = 2 - 2 * (a @ b.T)
    distances: NDArray[np.float32] = np.sqrt(np.clip(squared, 0, None))
    return distances
