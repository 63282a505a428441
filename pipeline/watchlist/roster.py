"""The watchlist's store: identities, pictures, texts and vectors, in the file that is the truth."""

import sqlite3
import uuid
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from datetime import UTC, datetime
from functools import partial
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from pipeline.store.room import keep_reserve, make_room
from pipeline.store.sqlite import Database
from pipeline.watchlist.contents import Contents, Verdict, judge
from pipeline.watchlist.migrations import WATCHLIST
from pipeline.watchlist.records import PICTURE, TEXT, Enrolment, Identity, NewEnrolment, Origin
from pipeline.watchlist.vectors import to_blob

FILE_NAME = "watchlist.db"


class WatchlistStore:
    """Reads and changes the watchlist; any number of processes and threads may do so at once.

    `version` grows by one with every change of who is enrolled, and from what. Vectors follow from that
    and from engines, and do not count.

    Args:
        path: The SQLite file, `data_dir/watchlist.db`.
        make_room: Called on a full disk, by what cannot wait: whether it has freed anything.

    Raises:
        ConfigError: The file has a newer format.
        InputError: It is damaged, or no watchlist.
        OutsideError: It cannot be opened or written.
    """

    def __init__(self, path: Path, make_room: Callable[[], bool] = lambda: False) -> None:
        self._database = Database(path, WATCHLIST, make_room)

    @classmethod
    def in_folder(cls, data_dir: Path) -> "WatchlistStore":
        """The store of a config's `data_dir`; what else is there gives way on a full disk."""
        store = cls(data_dir / FILE_NAME, partial(make_room, data_dir))
        keep_reserve(data_dir)
        return store

    def __enter__(self) -> "WatchlistStore":
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """Closes the file; safe to call twice."""
        self._database.close()

    @contextmanager
    def view(self) -> Iterator[None]:
        """Everything read inside belongs to one version, whatever others change meanwhile."""
        with self._database.reading():
            yield

    @property
    def version(self) -> int:
        """Number of changes so far."""
        with self._database.reading() as connection:
            return _version(connection)

    def state(self) -> tuple[int, int]:
        """Differs from an earlier call when anything, vectors included, may have changed; cheap.

        Own changes to vectors alone do not show.
        """
        return self._database.data_version(), self.version

    def identities(self) -> list[Identity]:
        """All, valid or not, by id."""
        with self._database.reading() as connection:
            rows = connection.execute(f"SELECT {_IDENTITY} FROM identity ORDER BY id").fetchall()
        return [_identity(row) for row in rows]

    def identity(self, identity_id: str) -> Identity | None:
        """One, or None."""
        with self._database.reading() as connection:
            return _find(connection, identity_id)

    def enrolments(self, identity_id: str | None = None) -> list[Enrolment]:
        """Of one identity, or of all; oldest first."""
        where = "" if identity_id is None else "WHERE identity_id = ?"
        with self._database.reading() as connection:
            rows = connection.execute(
                "SELECT id, identity_id, kind, sha256, length(content), added_at, "
                f"CASE kind WHEN 'text' THEN CAST(content AS TEXT) END FROM enrolment {where} ORDER BY id",
                () if identity_id is None else (identity_id,),
            ).fetchall()
        return [_enrolment(row) for row in rows]

    def pictures(self, enrolment_ids: Iterable[int]) -> dict[int, bytes]:
        """The stored file bytes by enrolment id; removed ones and texts are missing."""
        return self._contents(enrolment_ids, PICTURE)

    def texts(self, enrolment_ids: Iterable[int]) -> dict[int, str]:
        """The descriptions by enrolment id; removed ones and pictures are missing."""
        found = self._contents(enrolment_ids, TEXT)
        return {id_: content.decode() for id_, content in found.items()}

    def add(self, identity: Identity, enrolments: Sequence[NewEnrolment]) -> list[int]:
        """Enrols pictures and texts, all or none; returns their enrolment ids.

        Where the identity exists, what `identity` leaves at None stays as it was.
        """
        with self._changing() as connection:
            return _add(connection, identity, enrolments)

    def replace(self, entries: Iterable[tuple[Identity, Sequence[NewEnrolment]]]) -> int:
        """Puts identities in, each in place of one of the same id, all or none; returns how many."""
        count = 0
        with self._changing() as connection:
            for identity, enrolments in entries:
                connection.execute("DELETE FROM identity WHERE id = ?", (identity.id,))
                _add(connection, identity, enrolments)
                count += 1
        self._database.forget_deleted()
        return count

    def mirror(
        self, identity: Identity, enrolments: Sequence[NewEnrolment], version: int, watchlist_id: str | None
    ) -> None:
        """Puts an identity of another store in place of one of the same id; `version` grows to that store's.

        Args:
            identity: Whom.
            enrolments: All they are enrolled from.
            version: Of the row that brings them.
            watchlist_id: Whose row that is, None where it does not say; only of the watchlist followed here does
                its version count against later contents rows.
        """
        with self._database.changing() as connection:
            connection.execute("DELETE FROM identity WHERE id = ?", (identity.id,))
            _add(connection, identity, enrolments)
            if watchlist_id is not None and watchlist_id == _origin(connection).follows_id:
                connection.execute("UPDATE identity SET listed_at = ? WHERE id = ?", (version, identity.id))
            connection.execute("UPDATE watchlist SET version = max(version, ?)", (version,))
        self._database.forget_deleted()

    def origin(self) -> Origin:
        """How this store stands to the watchlist that all processes share."""
        with self._database.reading() as connection:
            return _origin(connection)

    def own(self) -> Origin:
        """The same, with an id of its own: the first call makes it."""
        with self._database.changing() as connection:
            fresh = uuid.uuid4().hex
            connection.execute(
                "UPDATE watchlist SET own_id = coalesce(own_id, ?), follows_id = coalesce(follows_id, own_id, ?)",
                (fresh, fresh),
            )
            return _origin(connection)

    def published(self, contents: Contents) -> None:
        """Notes that rows of all these people and this contents row are on the shared table."""
        with self._database.changing() as connection:
            connection.execute("UPDATE watchlist SET follows_id = ?", (contents.watchlist,))
            _note_listed(connection, contents)

    def take_over(self, contents: Contents) -> tuple[Verdict, list[str]]:
        """Lets those go whom a newer contents row of the watchlist followed here no longer names.

        People stay who came here otherwise, or after that version; where another watchlist is followed from now
        on, everybody does.

        Returns:
            What became of the row, and who has left, from the disk too.
        """
        with self._database.changing() as connection:
            origin = _origin(connection)
            verdict = judge(contents, origin)
            if verdict is not Verdict.TAKEN:
                return verdict, []
            if contents.watchlist != origin.follows_id:
                connection.execute("UPDATE identity SET listed_at = NULL")
                connection.execute("UPDATE watchlist SET follows_id = ?", (contents.watchlist,))
            listed = connection.execute("SELECT id FROM identity WHERE listed_at < ?", (contents.version,))
            gone = sorted({id_ for (id_,) in listed} - set(contents.identities))
            connection.executemany("DELETE FROM identity WHERE id = ?", [(id_,) for id_ in gone])
            _note_listed(connection, contents)
        if gone:
            self._database.forget_deleted()
        return Verdict.TAKEN, gone

    def remove(self, identity_id: str) -> bool:
        """Erases an identity and all it was enrolled from, from the disk too; False when there is none."""
        with self._database.reading() as connection:
            known = _find(connection, identity_id) is not None
        if known:
            self._database.with_room(lambda: self._delete(identity_id))
            self._database.forget_deleted()
        return known

    def vectors(self, enrolment_ids: Iterable[int]) -> dict[int, dict[str, bytes]]:
        """Little-endian float16 vectors by enrolment id and engine digest."""
        query = "SELECT engine_digest, float16 FROM vector WHERE enrolment_id = ? ORDER BY engine_digest"
        with self._database.reading() as connection:
            return {id_: dict(connection.execute(query, (id_,)).fetchall()) for id_ in enrolment_ids}

    def lacking_vectors(self, engine_digest: str, dimension: int) -> list[Enrolment]:
        """Enrolments without a usable vector of that engine, oldest first."""
        with self._database.reading() as connection:
            rows = connection.execute(
                "SELECT id FROM enrolment WHERE NOT EXISTS (SELECT 1 FROM vector WHERE enrolment_id = id "
                "AND engine_digest = ? AND length(float16) = ?)",
                (engine_digest, 2 * dimension),
            ).fetchall()
            lacking = {row[0] for row in rows}
            return [found for found in self.enrolments() if found.id in lacking] if lacking else []

    def add_vectors(self, engine_digest: str, vectors: Mapping[int, NDArray[np.float32]]) -> None:
        """Keeps vectors by enrolment id; those of enrolments removed meanwhile are dropped."""
        with self._database.changing() as connection:
            connection.executemany(
                "INSERT OR REPLACE INTO vector SELECT id, ?, ? FROM enrolment WHERE id = ?",
                [(engine_digest, to_blob(vector), id_) for id_, vector in vectors.items()],
            )

    def read_rows(
        self, engine_digest: str, dimension: int
    ) -> tuple[int, list[Identity], list[tuple[int, str, str, bytes]]]:
        """Version, identities, and (enrolment id, identity id, kind, float16 vector) by id; one view."""
        with self._database.reading() as connection:
            rows = connection.execute(
                "SELECT enrolment.id, identity_id, kind, float16 FROM enrolment "
                "JOIN vector ON enrolment_id = enrolment.id AND engine_digest = ? "
                "WHERE length(float16) = ? ORDER BY enrolment.id",
                (engine_digest, 2 * dimension),
            ).fetchall()
            return _version(connection), self.identities(), rows

    def backup(self, target: Path) -> None:
        """Writes a consistent copy of everything while others go on working.

        Raises:
            OutsideError: It cannot be written.
        """
        self._database.backup(target)

    def restore(self, source: Path) -> None:
        """Takes over a backup; `version` goes on growing, so running pipelines see it.

        Raises:
            ConfigError: The backup has a newer format.
            InputError: It is missing, damaged, or no watchlist.
        """
        before = self.version
        self._database.restore(source)
        with self._database.changing() as connection:
            newest = max(before, _version(connection)) + 1
            connection.execute("UPDATE watchlist SET version = ?", (newest,))
        self._database.forget_deleted()

    def _contents(self, enrolment_ids: Iterable[int], kind: str) -> dict[int, bytes]:
        query = "SELECT id, content FROM enrolment WHERE id = ? AND kind = ?"
        with self._database.reading() as connection:
            rows = [connection.execute(query, (id_, kind)).fetchone() for id_ in enrolment_ids]
        return {row[0]: bytes(row[1]) for row in rows if row is not None}

    def _delete(self, identity_id: str) -> None:
        with self._changing() as connection:
            connection.execute("DELETE FROM identity WHERE id = ?", (identity_id,))

    @contextmanager
    def _changing(self) -> Iterator[sqlite3.Connection]:
        with self._database.changing() as connection:
            yield connection
            connection.execute("UPDATE watchlist SET version = version + 1")


_IDENTITY = "id, name, purpose, valid_until, created_at"


def _version(connection: sqlite3.Connection) -> int:
    (number,) = connection.execute("SELECT version FROM watchlist").fetchone()
    return int(number)


def _origin(connection: sqlite3.Connection) -> Origin:
    return Origin(*connection.execute("SELECT own_id, follows_id, listed_version FROM watchlist").fetchone())


def _note_listed(connection: sqlite3.Connection, contents: Contents) -> None:
    version = contents.version
    connection.executemany(
        "UPDATE identity SET listed_at = max(coalesce(listed_at, 0), ?) WHERE id = ?",
        [(version, id_) for id_ in contents.identities],
    )
    connection.execute(
        "UPDATE watchlist SET listed_version = ?, version = max(version, ?)", (version, version)
    )


def _find(connection: sqlite3.Connection, identity_id: str) -> Identity | None:
    row = connection.execute(f"SELECT {_IDENTITY} FROM identity WHERE id = ?", (identity_id,)).fetchone()
    return None if row is None else _identity(row)


def _identity(row: tuple[str, str | None, str | None, str | None, str]) -> Identity:
    until = None if row[3] is None else datetime.fromisoformat(row[3])
    return Identity(row[0], row[1], row[2], until, datetime.fromisoformat(row[4]))


def _enrolment(row: tuple[int, str, str, str, int, str, str | None]) -> Enrolment:
    id_, identity_id, kind, sha256, size_bytes, added_at, text = row
    return Enrolment(id_, identity_id, kind, sha256, size_bytes, datetime.fromisoformat(added_at), text)


def _add(connection: sqlite3.Connection, identity: Identity, enrolments: Sequence[NewEnrolment]) -> list[int]:
    until = None if identity.valid_until is None else _text(identity.valid_until)
    connection.execute(
        f"INSERT INTO identity ({_IDENTITY}) VALUES (?, ?, ?, ?, ?) ON CONFLICT (id) DO UPDATE SET "
        "name = coalesce(excluded.name, name), purpose = coalesce(excluded.purpose, purpose), "
        "valid_until = coalesce(excluded.valid_until, valid_until)",
        (identity.id, identity.name, identity.purpose, until, _text(identity.created_at)),
    )
    return [_add_enrolment(connection, identity.id, enrolment) for enrolment in enrolments]


def _add_enrolment(connection: sqlite3.Connection, identity_id: str, new: NewEnrolment) -> int:
    cursor = connection.execute(
        "INSERT INTO enrolment (identity_id, kind, content, sha256, added_at) "
        "VALUES (?, ?, ?, ?, ?) RETURNING id",
        (identity_id, new.kind, new.content, new.sha256, _text(new.added_at)),
    )
    enrolment_id = int(cursor.fetchone()[0])
    if new.vector is not None and new.engine_digest is not None:
        connection.execute(
            "INSERT INTO vector VALUES (?, ?, ?)", (enrolment_id, new.engine_digest, to_blob(new.vector))
        )
    return enrolment_id


def _text(moment: datetime) -> str:
    return moment.astimezone(UTC).isoformat()
