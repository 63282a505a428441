"""The SQLite file under the watchlist: opened safely, changed in transactions, errors in plain words."""

import sqlite3
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from pipeline.errors import ConfigError, InputError, OutsideError
from pipeline.watchlist.migrations import check_version, migrate

BUSY_S = 5.0


class Database:
    """One connection, shared by the threads of a process under a lock.

    Args:
        path: Made, with its folder, when missing; an older format is migrated.

    Raises:
        ConfigError: The file has a newer format.
        InputError: It is damaged, or no watchlist.
        OutsideError: It cannot be opened or written, or stays locked.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self._lock = threading.RLock()
        with _writing(path):
            path.parent.mkdir(parents=True, exist_ok=True)
        with self.reported():
            self._connection = _connect(path)
            try:
                self._connection.execute("PRAGMA journal_mode = WAL")
                self._connection.execute("PRAGMA synchronous = NORMAL")
                self._connection.execute("PRAGMA foreign_keys = ON")
                self._connection.execute("PRAGMA secure_delete = ON")
                migrate(self._connection, str(path))
            except BaseException:
                self._connection.close()
                raise

    def close(self) -> None:
        """Closes the connection; safe to call twice."""
        with self._lock:
            self._connection.close()

    @contextmanager
    def reading(self) -> Iterator[sqlite3.Connection]:
        """The connection, in one consistent view of the file."""
        with self._lock, self.reported():
            if self._connection.in_transaction:
                yield self._connection
                return
            self._connection.execute("BEGIN")
            try:
                yield self._connection
            finally:
                self._connection.execute("COMMIT")

    @contextmanager
    def changing(self) -> Iterator[sqlite3.Connection]:
        """The connection, in a transaction that is kept whole or not at all."""
        with self._lock, self.reported():
            self._connection.execute("BEGIN IMMEDIATE")
            try:
                yield self._connection
            except BaseException:
                self._connection.execute("ROLLBACK")
                raise
            self._connection.execute("COMMIT")

    def data_version(self) -> int:
        """Differs from the last call when another connection has changed the file; costs microseconds."""
        with self._lock, self.reported():
            (number,) = self._connection.execute("PRAGMA data_version").fetchone()
            return int(number)

    def forget_deleted(self) -> None:
        """Leaves nothing of deleted rows in the write-ahead log, as far as readers allow it."""
        with self._lock, self.reported(), suppress(sqlite3.OperationalError):
            self._connection.execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchall()

    def backup(self, target: Path) -> None:
        """Writes a consistent copy while others go on working; `target` is replaced in one step.

        Raises:
            ConfigError: `target` is this file.
            OutsideError: It cannot be written.
        """
        if _same(target, self.path):
            raise ConfigError(f"{target} is the watchlist itself", "give another file")
        part = target.with_name(target.name + ".part")
        with self._lock, self.reported(target), _writing(target):
            part.unlink(missing_ok=True)
            copy = sqlite3.connect(part)
            try:
                self._connection.backup(copy)
                copy.execute("PRAGMA journal_mode = DELETE")
            finally:
                copy.close()
            part.replace(target)

    def restore(self, source: Path) -> None:
        """Takes over the content of a backup; an older format is migrated.

        Raises:
            ConfigError: The backup has a newer format, or is this file.
            InputError: It is missing, damaged, or no watchlist.
        """
        if not source.is_file():
            raise InputError(f"there is no file {source}")
        if _same(source, self.path):
            raise ConfigError(f"{source} is the watchlist itself", "give another file")
        with self._lock, self.reported(source):
            backup = sqlite3.connect(f"{source.resolve().as_uri()}?mode=ro", uri=True)
            try:
                _check_backup(backup, source)
                backup.backup(self._connection)
            finally:
                backup.close()
            migrate(self._connection, str(self.path))

    @contextmanager
    def reported(self, path: Path | None = None) -> Iterator[None]:
        """Turns the library's errors into ours.

        Raises:
            InputError: The file is damaged.
            OutsideError: It cannot be opened, is locked, or the disk is full.
        """
        where = path or self.path
        try:
            yield
        except (sqlite3.ProgrammingError, sqlite3.IntegrityError):
            raise
        except sqlite3.OperationalError as error:
            raise OutsideError(f"the watchlist {where} cannot be used: {error}", _fix(error)) from error
        except sqlite3.DatabaseError as error:
            raise InputError(f"the watchlist {where} is damaged: {error}", "restore a backup") from error


def _connect(path: Path) -> sqlite3.Connection:
    return sqlite3.connect(path, timeout=BUSY_S, isolation_level=None, check_same_thread=False)


def _same(one: Path, other: Path) -> bool:
    return one.exists() and one.samefile(other)


def _check_backup(backup: sqlite3.Connection, source: Path) -> None:
    if check_version(backup, str(source)) == 0:
        raise InputError(f"{source} is not a watchlist", "give a file that 'watchlist backup' wrote")
    (verdict,) = backup.execute("PRAGMA quick_check(1)").fetchone()
    if verdict != "ok":
        raise InputError(f"{source} is damaged: {verdict}", "give another backup")


@contextmanager
def _writing(path: Path) -> Iterator[None]:
    try:
        yield
    except OSError as error:
        raise OutsideError(f"{path} cannot be written: {error.strerror or error}") from error


def _fix(error: sqlite3.OperationalError) -> str:
    if "locked" in str(error):
        return f"another process has kept it locked for {BUSY_S:.0f} s: try again"
    return "check that data_dir can be written and the disk has room"
