"""The watchlist's store: six verbs that a database needs to know, and what is said with them."""

import uuid
from collections.abc import Hashable, Iterable, Mapping, Sequence
from pathlib import Path
from typing import Protocol, runtime_checkable

import numpy as np
from numpy.typing import NDArray

from pipeline.errors import ConfigError
from pipeline.watchlist.changes import (
    Add,
    Applied,
    Change,
    MakeOwn,
    Mirror,
    Published,
    Remove,
    Replace,
    Roll,
    TakeOver,
)  # fmt: skip
from pipeline.watchlist.contents import Contents, Verdict
from pipeline.watchlist.records import PICTURE, TEXT, Enrolment, Identity, NewEnrolment, Origin
from pipeline.watchlist.sqlite_roster import SqliteRoster, SqliteStore


@runtime_checkable
class Roster(Protocol):
    """Keeps one watchlist; any number of processes and threads may use it at once.

    Raises in every method: OutsideError where the store cannot be reached or written, InputError where it is
    damaged.
    """

    def state(self) -> Hashable:
        """Differs from an earlier call when anything, vectors included, may have changed; asked several times a second.

        Own changes to vectors alone need not show.
        """
        ...

    def read(self, identity_ids: Iterable[str] | None = None) -> Roll:
        """These people, or everybody, at one version; who is unknown is missing."""
        ...

    def contents(self, enrolment_ids: Iterable[int], kind: str) -> dict[int, bytes]:
        """File bytes of pictures or UTF-8 of texts, by enrolment id; removed ones and others are missing."""
        ...

    def apply(self, changes: Iterable[Change]) -> Applied:
        """Makes changes, all or none, also where taking the next one raises.

        The version grows by one when people were added, replaced or removed, by however many changes. Enrolment ids
        grow and are never given twice. What is removed is to be found nowhere on the disk.
        """
        ...

    def vectors(
        self, engine_digest: str | None = None, enrolment_ids: Iterable[int] | None = None
    ) -> dict[int, dict[str, bytes]]:
        """Little-endian float16 vectors by enrolment id and engine digest; of an engine, of some enrolments, or all."""
        ...

    def put_vectors(self, engine_digest: str, vectors: Mapping[int, NDArray[np.float32]]) -> None:
        """Keeps vectors by enrolment id; those of enrolments removed meanwhile are dropped. The version stays."""
        ...

    def close(self) -> None:
        """Lets the store go; safe to call twice."""
        ...


@runtime_checkable
class Store(Protocol):
    """Where everything is kept that outlives a process; entry-point group `musewatch.store`."""

    def roster(self, data_dir: Path) -> Roster:
        """The watchlist.

        Args:
            data_dir: The config's, for those that keep files.
        """
        ...


@runtime_checkable
class Backups(Protocol):
    """A roster that copies itself to one file and back; others are backed up by their own means."""

    def backup(self, target: Path) -> None:
        """Writes a consistent copy while others go on working."""
        ...

    def restore(self, source: Path) -> None:
        """Takes over a copy; the version goes on growing."""
        ...


class WatchlistStore:
    """Reads and changes the watchlist, in the words of those who use it.

    `version` grows by one with every change of who is enrolled, and from what. Vectors follow from that
    and from engines, and do not count.

    Args:
        roster: Keeps it; a path means the SQLite file there.

    Raises:
        ConfigError: The file has a newer format.
        InputError: It is damaged, or no watchlist.
        OutsideError: It cannot be opened or written.
    """

    def __init__(self, roster: Roster | Path) -> None:
        self._roster: Roster = SqliteRoster(roster) if isinstance(roster, Path) else roster

    @classmethod
    def in_folder(cls, data_dir: Path) -> "WatchlistStore":
        """The SQLite file of a `data_dir`."""
        return cls(SqliteStore(SqliteStore.Config()).roster(data_dir))

    def __enter__(self) -> "WatchlistStore":
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """Lets the store go; safe to call twice."""
        self._roster.close()

    def state(self) -> Hashable:
        """Differs from an earlier call when anything, vectors included, may have changed; cheap.

        Own changes to vectors alone do not show.
        """
        return self._roster.state()

    def read(self, identity_ids: Iterable[str] | None = None) -> Roll:
        """These people, or everybody, at one version."""
        return self._roster.read(identity_ids)

    @property
    def version(self) -> int:
        """Number of changes so far."""
        return self._roster.read(()).version

    @property
    def origin(self) -> Origin:
        """How this store stands to the watchlist that all processes share."""
        return self._roster.read(()).origin

    def identities(self) -> list[Identity]:
        """All, valid or not, by id."""
        return self._roster.read().identities

    def identity(self, identity_id: str) -> Identity | None:
        """One, or None."""
        return next(iter(self._roster.read([identity_id]).identities), None)

    def enrolments(self, identity_id: str | None = None) -> list[Enrolment]:
        """Of one identity, or of all; oldest first."""
        return self._roster.read(None if identity_id is None else [identity_id]).enrolments

    def pictures(self, enrolment_ids: Iterable[int]) -> dict[int, bytes]:
        """The stored file bytes by enrolment id, of pictures; removed ones are missing."""
        return self._roster.contents(enrolment_ids, PICTURE)

    def texts(self, enrolment_ids: Iterable[int]) -> dict[int, str]:
        """The descriptions by enrolment id, of texts; removed ones are missing."""
        return {id_: content.decode() for id_, content in self._roster.contents(enrolment_ids, TEXT).items()}

    def add(self, identity: Identity, enrolments: Sequence[NewEnrolment]) -> list[int]:
        """Enrols pictures and texts, all or none; returns their enrolment ids.

        Where the identity exists, what `identity` leaves at None stays as it was.
        """
        return self._roster.apply([Add(identity, enrolments)]).enrolment_ids

    def replace(self, entries: Iterable[tuple[Identity, Sequence[NewEnrolment]]]) -> None:
        """Puts identities in, each in place of one of the same id, all or none."""
        self._roster.apply(Replace(identity, enrolments) for identity, enrolments in entries)

    def mirror(
        self, identity: Identity, enrolments: Sequence[NewEnrolment], version: int, watchlist_id: str | None
    ) -> None:
        """Puts an identity in as a row of the shared watchlist has it, see `Mirror`."""
        self._roster.apply([Mirror(identity, enrolments, version, watchlist_id)])

    def own(self) -> Origin:
        """The origin, with an id of its own: the first call makes it."""
        self._roster.apply([MakeOwn(uuid.uuid4().hex)])
        return self.origin

    def published(self, contents: Contents) -> None:
        """Notes that rows of all these people and this contents row are on the shared table."""
        self._roster.apply([Published(contents)])

    def take_over(self, contents: Contents) -> tuple[Verdict, list[str]]:
        """Lets those go whom a contents row no longer names, see `TakeOver`.

        Returns:
            What became of the row, and who has left.
        """
        done = self._roster.apply([TakeOver(contents)])
        assert done.verdict is not None
        return done.verdict, done.removed

    def remove(self, identity_id: str) -> bool:
        """Erases an identity and all it was enrolled from, from the disk too; False when there is none."""
        return bool(self._roster.apply([Remove(identity_id)]).removed)

    def vectors(
        self, engine_digest: str | None = None, enrolment_ids: Iterable[int] | None = None
    ) -> dict[int, dict[str, bytes]]:
        """Little-endian float16 vectors by enrolment id and engine digest."""
        return self._roster.vectors(engine_digest, enrolment_ids)

    def lacking_vectors(self, engine_digest: str, dimension: int) -> list[Enrolment]:
        """Enrolments without a usable vector of that engine, oldest first."""
        made = self._roster.vectors(engine_digest)
        usable = {id_ for id_, by_engine in made.items() if len(by_engine[engine_digest]) == 2 * dimension}
        return [each for each in self._roster.read().enrolments if each.id not in usable]

    def add_vectors(self, engine_digest: str, vectors: Mapping[int, NDArray[np.float32]]) -> None:
        """Keeps vectors by enrolment id; those of enrolments removed meanwhile are dropped."""
        self._roster.put_vectors(engine_digest, vectors)

    def backup(self, target: Path) -> None:
        """Writes a consistent copy of everything while others go on working.

        Raises:
            ConfigError: The store is backed up by its own means.
            OutsideError: It cannot be written.
        """
        self._backups().backup(target)

    def restore(self, source: Path) -> None:
        """Takes over a backup; `version` goes on growing, so running pipelines see it.

        Raises:
            ConfigError: The backup has a newer format, or the store is backed up by its own means.
            InputError: It is missing, damaged, or no watchlist.
        """
        self._backups().restore(source)

    def _backups(self) -> Backups:
        if not isinstance(self._roster, Backups):
            raise ConfigError(
                "this store makes no backups of its own", "use its database's, or watchlist export"
            )
        return self._roster
