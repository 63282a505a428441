"""Brings changes of the watchlist to a running pipeline."""

from collections.abc import Hashable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime

import numpy as np
from numpy.typing import NDArray

from pipeline.bounds import MAX_PIXELS
from pipeline.errors import ConfigError, InputError
from pipeline.plugged import PluggedEmbedder
from pipeline.protocols import Codec
from pipeline.watchlist.records import PICTURE, TEXT, Enrolment
from pipeline.watchlist.roster import WatchlistStore
from pipeline.watchlist.snapshot import WatchlistSnapshot, take_snapshot

_BATCH = 32


@dataclass(frozen=True, slots=True)
class Unusable:
    """An enrolment that no vector could be made of, and why; nobody is compared with it."""

    enrolment_id: int
    identity_id: str
    problem: str


class WatchlistFollower:
    """Gives a new snapshot when the watchlist was changed, by whatever process, or someone expired.

    It owns no thread and reads no clock: call `refresh` a few times a second, where the embedder may be
    called, since an enrolment made for another engine is embedded there and then.

    Attributes:
        unusable: Enrolments left out of the latest snapshot, and why.
    """

    def __init__(self, store: WatchlistStore, embedder: PluggedEmbedder, codec: Codec) -> None:
        self._store, self._embedder, self._codec = store, embedder, codec
        self._state: Hashable = None
        self._next_change: datetime | None = None
        self._taken_at: datetime | None = None
        self.unusable: tuple[Unusable, ...] = ()

    def refresh(self, now: datetime) -> WatchlistSnapshot | None:
        """The watchlist at `now` (aware), or None when it is as it was; the first call always gives one.

        Costs about 20 microseconds when nothing has changed.

        Raises:
            ConfigError: The embedder gave no unit vectors.
            OutsideError: The store cannot be read.
        """
        state = self._store.state()
        expired = self._next_change is not None and now >= self._next_change
        set_back = self._taken_at is not None and now < self._taken_at  # who seemed to be over may not be
        if state == self._state and not expired and not set_back:
            return None
        if state != self._state:
            self.unusable = ensure_vectors(self._store, self._embedder, self._codec)
        snapshot = take_snapshot(self._store, self._embedder, now)
        self._state, self._next_change, self._taken_at = state, snapshot.next_change, now
        return snapshot


def ensure_vectors(store: WatchlistStore, embedder: PluggedEmbedder, codec: Codec) -> tuple[Unusable, ...]:
    """Makes the vectors that this embedder's engine lacks, from the stored pictures and texts.

    Returns:
        The enrolments whose picture can no longer be read, or whose text this embedder cannot read; and those of
        which it gives no unit vector, while it does of others.

    Raises:
        ConfigError: The embedder gave no unit vectors at all.
    """
    digest = embedder.digest
    lacking = store.lacking_vectors(digest, embedder.dimension)
    unusable: list[Unusable] = []
    pictures = [enrolment for enrolment in lacking if enrolment.kind == PICTURE]
    for start in range(0, len(pictures), _BATCH):
        unusable += _embed_pictures(store, embedder, codec, digest, pictures[start : start + _BATCH])
    unusable += _embed_texts(store, embedder, digest, [each for each in lacking if each.kind == TEXT])
    return tuple(unusable)


def _embed_texts(
    store: WatchlistStore, embedder: PluggedEmbedder, digest: str, texts: Sequence[Enrolment]
) -> list[Unusable]:
    if not embedder.facts.reads_text:
        return [Unusable(each.id, each.identity_id, "this embedder reads no texts") for each in texts]
    vectors, unusable = {}, []
    for each in texts:
        try:
            vectors[each.id] = embedder.embed_text([each.text or ""])[0]
        except InputError as error:
            unusable.append(Unusable(each.id, each.identity_id, str(error)))
    if vectors:
        store.add_vectors(digest, vectors)
    return unusable


def _embed_pictures(
    store: WatchlistStore, embedder: PluggedEmbedder, codec: Codec, digest: str, batch: Sequence[Enrolment]
) -> list[Unusable]:
    """Embeds them together, or in parts where they have so many pixels that they are unpacked in parts."""
    images: dict[int, NDArray[np.uint8]] = {}
    unusable: list[Unusable] = []

    def embed() -> None:
        vectors, failed = _embed_each(embedder, images)
        if failed and not vectors and not store.vectors(digest):
            raise next(iter(failed.values()))
        if vectors:
            store.add_vectors(digest, vectors)
        people = {each.id: each.identity_id for each in batch}
        unusable.extend(Unusable(id_, people[id_], str(error)) for id_, error in failed.items())
        images.clear()

    pictures = store.pictures(enrolment.id for enrolment in batch)
    for enrolment in batch:
        if enrolment.id not in pictures:
            continue
        try:
            images[enrolment.id] = codec.decode(pictures[enrolment.id])
        except InputError as error:
            unusable.append(Unusable(enrolment.id, enrolment.identity_id, str(error)))
        if sum(image.size for image in images.values()) > 3 * MAX_PIXELS:
            embed()
    embed()
    return unusable


def _embed_each(
    embedder: PluggedEmbedder, images: Mapping[int, NDArray[np.uint8]]
) -> tuple[dict[int, NDArray[np.float32]], dict[int, ConfigError]]:
    """Vectors by id, made together; where that fails one by one, and those that fail then."""
    vectors: dict[int, NDArray[np.float32]] = {}
    failed: dict[int, ConfigError] = {}
    try:
        return dict(zip(images, embedder.embed(list(images.values())), strict=True)) if images else {}, failed
    except ConfigError as error:
        if len(images) == 1:
            return vectors, dict.fromkeys(images, error)
    for id_, image in images.items():
        try:
            vectors[id_] = embedder.embed([image])[0]
        except ConfigError as error:
            failed[id_] = error
    return vectors, failed
