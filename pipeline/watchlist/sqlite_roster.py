"""The watchlist in a SQLite file, which is the truth of a machine."""

import sqlite3
from collections.abc import Callable, Iterable, Mapping, Sequence
from datetime import UTC, datetime
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from pipeline.settings import Settings
from pipeline.store.room import keep_reserve, make_room
from pipeline.store.sqlite import Database
from pipeline.watchlist.changes import (
    Add,
    Applied,
    Change,
    Entry,
    MakeOwn,
    Mirror,
    Published,
    Remove,
    Replace,
    Roll,
    TakeOver,
)  # fmt: skip
from pipeline.watchlist.contents import Contents, Verdict, judge
from pipeline.watchlist.migrations import WATCHLIST
from pipeline.watchlist.records import Enrolment, Identity, NewEnrolment, Origin
from pipeline.watchlist.vectors import to_blob

FILE_NAME = "watchlist.db"
_LEAVING = (Remove, TakeOver)
_COUNTED = (Add, Replace, Remove)  # changes made here; the others follow somebody else's count


class SqliteStore:
    """Everything that outlives a process in SQLite files of the data folder."""

    class Config(Settings):
        """Nothing to set."""

    def __init__(self, config: Config) -> None:
        del config

    def roster(self, data_dir: Path) -> "SqliteRoster":
        """The watchlist, `data_dir/watchlist.db`; what else is there gives way on a full disk.

        Raises:
            ConfigError: The file has a newer format.
            InputError: It is damaged, or no watchlist.
            OutsideError: It cannot be opened or written.
        """
        roster = SqliteRoster(data_dir / FILE_NAME, partial(make_room, data_dir))
        keep_reserve(data_dir)
        return roster


class SqliteRoster:
    """A `Roster`; any number of processes and threads may read and change one file at once.

    Args:
        path: The file.
        make_room: Called on a full disk, by what cannot wait: whether it has freed anything.

    Raises:
        ConfigError: The file has a newer format.
        InputError: It is damaged, or no watchlist.
        OutsideError: It cannot be opened or written.
    """

    def __init__(self, path: Path, make_room: Callable[[], bool] = lambda: False) -> None:
        self._database = Database(path, WATCHLIST, make_room)

    def close(self) -> None:
        """Closes the file; safe to call twice."""
        self._database.close()

    def state(self) -> tuple[int, int]:
        """As the protocol says; about 20 microseconds."""
        changed = self._database.data_version()
        with self._database.reading() as connection:
            return changed, _version(connection)

    def read(self, identity_ids: Iterable[str] | None = None) -> Roll:
        """As the protocol says."""
        wanted = None if identity_ids is None else sorted(set(identity_ids))
        with self._database.reading() as connection:
            everyone = _rows(connection, f"SELECT {_IDENTITY}, listed_at FROM identity", "id", wanted)
            enrolments: dict[str, list[Enrolment]] = {}
            for row in _rows(connection, f"SELECT {_ENROLMENT} FROM enrolment", "identity_id", wanted):
                enrolments.setdefault(row[1], []).append(_enrolment(row))
            entries = [
                Entry(
                    _identity(row[:5]), tuple(sorted(enrolments.get(row[0], ()), key=lambda e: e.id)), row[5]
                )
                for row in sorted(everyone)
            ]
            return Roll(_version(connection), _origin(connection), tuple(entries))

    def contents(self, enrolment_ids: Iterable[int], kind: str) -> dict[int, bytes]:
        """As the protocol says."""
        query = "SELECT id, content FROM enrolment WHERE id = ? AND kind = ?"
        with self._database.reading() as connection:
            rows = [connection.execute(query, (id_, kind)).fetchone() for id_ in enrolment_ids]
        return {row[0]: bytes(row[1]) for row in rows if row is not None}

    def apply(self, changes: Iterable[Change]) -> Applied:
        """As the protocol says; what only removes is done on a full disk, too."""
        if not isinstance(changes, Sequence) or not all(isinstance(each, _LEAVING) for each in changes):
            return self._apply(changes)
        return self._database.with_room(lambda: self._apply(changes))

    def _apply(self, changes: Iterable[Change]) -> Applied:
        done, counts, replaced = Applied(), False, False
        with self._database.changing() as connection:
            for change in changes:
                before = connection.total_changes
                _apply(connection, change, done)
                counts |= isinstance(change, _COUNTED) and connection.total_changes > before
                replaced |= isinstance(change, (Replace, Mirror))
            if counts:
                connection.execute("UPDATE watchlist SET version = version + 1")
        if replaced or done.removed:
            self._database.forget_deleted()
        return done

    def vectors(
        self, engine_digest: str | None = None, enrolment_ids: Iterable[int] | None = None
    ) -> dict[int, dict[str, bytes]]:
        """As the protocol says."""
        query = "SELECT enrolment_id, engine_digest, float16 FROM vector"
        wanted = None if enrolment_ids is None else list(enrolment_ids)
        found: dict[int, dict[str, bytes]] = {} if wanted is None else {id_: {} for id_ in wanted}
        with self._database.reading() as connection:
            for enrolment_id, digest, blob in sorted(_rows(connection, query, "enrolment_id", wanted)):
                if engine_digest in (None, digest):
                    found.setdefault(enrolment_id, {})[digest] = bytes(blob)
        return found

    def put_vectors(self, engine_digest: str, vectors: Mapping[int, NDArray[np.float32]]) -> None:
        """As the protocol says."""
        with self._database.changing() as connection:
            connection.executemany(
                "INSERT OR REPLACE INTO vector SELECT id, ?, ? FROM enrolment WHERE id = ?",
                [(engine_digest, to_blob(vector), id_) for id_, vector in vectors.items()],
            )

    def traces(self, identity_id: str) -> list[str]:
        """What the file has of somebody."""
        return [
            f"{self._database.path.name}: {kind}"
            for entry in self.read([identity_id]).entries
            for kind in ("identity", *(f"{each.kind} {each.id}" for each in entry.enrolments))
        ]

    def forget(self, identity_id: str) -> None:
        """Erases all of it, from the log, too.

        Raises:
            OutsideError: The file cannot be written.
        """
        self.apply([Remove(identity_id)])

    def backup(self, target: Path) -> None:
        """Writes a consistent copy of everything while others go on working.

        Raises:
            OutsideError: It cannot be written.
        """
        self._database.backup(target)

    def restore(self, source: Path) -> None:
        """Takes over a backup; the version goes on growing, so running pipelines see it.

        Raises:
            ConfigError: The backup has a newer format.
            InputError: It is missing, damaged, or no watchlist.
        """
        _, before = self.state()
        self._database.restore(source)
        with self._database.changing() as connection:
            newest = max(before, _version(connection)) + 1
            connection.execute("UPDATE watchlist SET version = ?", (newest,))
        self._database.forget_deleted()


def _apply(connection: sqlite3.Connection, change: Change, done: Applied) -> None:
    match change:
        case Add(identity, enrolments):
            done.enrolment_ids += _add(connection, identity, enrolments)
        case Replace(identity, enrolments):
            connection.execute("DELETE FROM identity WHERE id = ?", (identity.id,))
            done.enrolment_ids += _add(connection, identity, enrolments)
        case Mirror():
            done.enrolment_ids += _mirror(connection, change)
        case Remove(identity_id):
            if connection.execute("DELETE FROM identity WHERE id = ?", (identity_id,)).rowcount:
                done.removed.append(identity_id)
        case MakeOwn(fresh):
            connection.execute(
                "UPDATE watchlist SET own_id = coalesce(own_id, ?), follows_id = coalesce(follows_id, own_id, ?)",
                (fresh, fresh),
            )
        case Published(contents):
            connection.execute("UPDATE watchlist SET follows_id = ?", (contents.watchlist,))
            _note_listed(connection, contents)
        case TakeOver(contents):
            _take_over(connection, contents, done)


def _mirror(connection: sqlite3.Connection, change: Mirror) -> list[int]:
    id_, version = change.identity.id, change.version
    connection.execute("DELETE FROM identity WHERE id = ?", (id_,))
    made = _add(connection, change.identity, change.enrolments)
    if change.watchlist_id is not None and change.watchlist_id == _origin(connection).follows_id:
        connection.execute("UPDATE identity SET listed_at = ? WHERE id = ?", (version, id_))
    connection.execute("UPDATE watchlist SET version = max(version, ?)", (version,))
    return made


def _take_over(connection: sqlite3.Connection, contents: Contents, done: Applied) -> None:
    origin = _origin(connection)
    done.verdict = judge(contents, origin)
    if done.verdict is not Verdict.TAKEN:
        return
    if contents.watchlist != origin.follows_id:
        connection.execute("UPDATE identity SET listed_at = NULL")
        connection.execute("UPDATE watchlist SET follows_id = ?", (contents.watchlist,))
    listed = connection.execute("SELECT id FROM identity WHERE listed_at < ?", (contents.version,))
    gone = sorted({id_ for (id_,) in listed} - set(contents.identities))
    connection.executemany("DELETE FROM identity WHERE id = ?", [(id_,) for id_ in gone])
    done.removed += gone
    _note_listed(connection, contents)


_IDENTITY = "id, name, purpose, valid_until, created_at"
_ENROLMENT = (
    "id, identity_id, kind, sha256, length(content), added_at, "
    "CASE kind WHEN 'text' THEN CAST(content AS TEXT) END"
)


def _rows(
    connection: sqlite3.Connection, query: str, column: str, wanted: Sequence[int | str] | None
) -> list[tuple[Any, ...]]:
    """All rows, or those with one of some values in a column."""
    if wanted is None:
        return connection.execute(query).fetchall()
    return [row for value in wanted for row in connection.execute(f"{query} WHERE {column} = ?", (value,))]


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
