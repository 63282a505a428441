"""The outbox's file: held by one process, migrated when older, and its errors in our words."""

import fcntl
import sqlite3
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TextIO

from pipeline.errors import ConfigError, OutboxError, OutboxFullError

MIGRATIONS: tuple[tuple[str, ...], ...] = (
    (
        "CREATE TABLE events (seq INTEGER PRIMARY KEY AUTOINCREMENT, id TEXT UNIQUE, body BLOB NOT NULL)",
        "CREATE TABLE pending (sink TEXT, seq INTEGER, PRIMARY KEY (sink, seq)) WITHOUT ROWID",
        "CREATE INDEX pending_seq ON pending (seq)",
        "CREATE TABLE open_hits (hit_id TEXT PRIMARY KEY, body BLOB NOT NULL)",
    ),
    (
        "ALTER TABLE pending ADD COLUMN refused TEXT",  # why; null = it waits
        "CREATE INDEX pending_refused ON pending (sink) WHERE refused IS NOT NULL",
    ),
)
"""Statements from each version (its place in the tuple) to the next."""

_NO_ROOM = (sqlite3.SQLITE_FULL, sqlite3.SQLITE_IOERR_SHMSIZE)  # the second: no room for the index of the log


def claim(path: Path) -> TextIO:
    """Holds the file for this process; the system lets go when the process dies.

    Raises:
        ConfigError: Another process holds it.
        OutboxError: The folder cannot be written.
    """
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        file = path.with_suffix(".lock").open("w")
    except OSError as error:
        raise OutboxError(f"{path.parent} cannot be written: {error.strerror}") from error
    try:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError:
        file.close()
        raise ConfigError(
            f"another musewatch is running on {path.parent}", "stop it, or give this one another data_dir"
        ) from None
    return file


def open_file(path: Path) -> sqlite3.Connection:
    """The database, migrated; to be shared by threads under a lock.

    Raises:
        ConfigError: It is newer than this program, or damaged.
        OutboxError: It cannot be opened or written.
    """
    with in_our_words(path):
        db = sqlite3.connect(path, timeout=5.0, isolation_level=None, check_same_thread=False)
        try:
            db.execute("PRAGMA journal_mode = WAL")
            db.execute("PRAGMA synchronous = FULL")
            _migrate(db, path)
        except BaseException:
            db.close()
            raise
    return db


def _migrate(db: sqlite3.Connection, path: Path) -> None:
    version = db.execute("PRAGMA user_version").fetchone()[0]
    if version > len(MIGRATIONS):
        raise ConfigError(
            f"{path} is of version {version}, newer than this program knows ({len(MIGRATIONS)})",
            "use the newer musewatch, or give another data_dir",
        )
    for number in range(version, len(MIGRATIONS)):
        db.execute("BEGIN IMMEDIATE")
        for statement in MIGRATIONS[number]:
            db.execute(statement)
        db.execute(f"PRAGMA user_version = {number + 1}")
        db.execute("COMMIT")


@contextmanager
def in_our_words(path: Path) -> Iterator[None]:
    """Turns errors of SQLite into `OutboxError`, or `ConfigError` where the file is none of ours."""
    try:
        yield
    except (sqlite3.OperationalError, sqlite3.ProgrammingError) as error:
        kind = OutboxFullError if getattr(error, "sqlite_errorcode", None) in _NO_ROOM else OutboxError
        raise kind(f"the outbox {path} cannot be used: {error}") from error
    except sqlite3.DatabaseError as error:
        raise ConfigError(
            f"{path} is damaged or no outbox: {error}", "move it away; what waited in it is lost"
        ) from error
