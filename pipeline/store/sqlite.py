"""One way to a SQLite file of ours: opened safely, brought to its newest format, changed in transactions.

`PRAGMA user_version` counts the steps that a file has seen. A step, once released, is never changed: add another.
"""

import sqlite3
import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import TypeVar

from pipeline.errors import ConfigError, DiskFullError, InputError, MusewatchError, OutsideError
from pipeline.files import make_folder, make_private

T = TypeVar("T")

BUSY_S = 5.0
_NO_ROOM = (sqlite3.SQLITE_FULL, sqlite3.SQLITE_IOERR_SHMSIZE)  # the second: no room for the index of the log


@dataclass(frozen=True, slots=True)
class Format:
    """What is in a kind of file, and how its troubles are called.

    Attributes:
        name: In messages, as in "the watchlist PATH is damaged".
        steps: SQL statements from each format to the next.
        mark: `PRAGMA application_id`; 0 where files of this kind carry none.
        outlives_power: Every commit is on the disk before it returns; else the last ones may be lost with the power.
        unusable: Raised when the file cannot be opened or written, or stays locked.
        full: The same, for want of room on the disk.
        damaged: Raised when it is no database.
        cure: What to do about a damaged file.
    """

    name: str
    steps: Sequence[Sequence[str]]
    mark: int = 0
    outlives_power: bool = False
    unusable: type[MusewatchError] = OutsideError
    full: type[MusewatchError] = DiskFullError
    damaged: type[MusewatchError] = InputError
    cure: str = "restore a backup"


class Database:
    """One connection, shared by the threads of a process under a lock.

    The file, its log and its backups are for this user alone. What is deleted is overwritten.

    Args:
        path: Made, with its folder, when missing; an older format is migrated.
        form: What is in it.
        make_room: Called while the disk is full: whether it has freed anything. A file cannot even be read without
            some room for the index of its log.

    Raises:
        ConfigError: The file has a newer format.
        InputError: It is a database of something else.
        MusewatchError: What `form` raises for a damaged file or one that cannot be used.
    """

    def __init__(self, path: Path, form: Format, make_room: Callable[[], bool] = lambda: False) -> None:
        self.path = path
        self._form = form
        self._make_room = make_room
        self._lock = threading.RLock()
        make_folder(path.parent)
        self._connection = self.with_room(self._open)

    def with_room(self, work: Callable[[], T]) -> T:
        """Does some work on the file, again and again as long as the disk is full and something gives way.

        Raises:
            MusewatchError: What `form` raises on a full disk; nothing is left to give way.
        """
        while True:
            try:
                return work()
            except self._form.full:
                if not self._make_room():
                    raise

    def _open(self) -> sqlite3.Connection:
        with self.reported(), _writing(self.path):
            for file in (self.path, *_beside(self.path)):
                make_private(file, missing=file == self.path)
            connection = sqlite3.connect(
                self.path, timeout=BUSY_S, isolation_level=None, check_same_thread=False
            )
            try:
                connection.execute("PRAGMA journal_mode = WAL")
                connection.execute(
                    f"PRAGMA synchronous = {'FULL' if self._form.outlives_power else 'NORMAL'}"
                )
                connection.execute("PRAGMA foreign_keys = ON")
                connection.execute("PRAGMA secure_delete = ON")
                migrate(connection, self.path, self._form)
            except BaseException:
                connection.close()
                raise
            return connection

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
                self._connection.execute("COMMIT")
            except BaseException:
                if self._connection.in_transaction:
                    self._connection.execute("ROLLBACK")
                raise

    def data_version(self) -> int:
        """Differs from the last call when another connection has changed the file; costs microseconds."""
        with self._lock, self.reported():
            return self._number("data_version")

    def used_bytes(self) -> int:
        """What the rows take in the file."""
        with self.reading():
            return self._number("page_size") * (self._number("page_count") - self._number("freelist_count"))

    def limit(self, max_mb: float) -> None:
        """Beyond so many megabytes (10^6 bytes) the disk counts as full."""
        with self._lock, self.reported():
            pages = int(max_mb * 1e6 / self._number("page_size"))
            self._connection.execute(f"PRAGMA max_page_count = {max(1, pages)}")

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
        self._refuse_itself(target)
        part = target.with_name(target.name + ".part")
        with self._lock, self.reported(target), _writing(target):
            part.unlink(missing_ok=True)
            make_private(part)
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
            InputError: It is missing, damaged, or of another kind.
        """
        if not source.is_file():
            raise InputError(f"there is no file {source}")
        self._refuse_itself(source)
        with self._lock, self.reported(source):
            backup = sqlite3.connect(f"{source.resolve().as_uri()}?mode=ro", uri=True)
            try:
                self._check_backup(backup, source)
                backup.backup(self._connection)
            finally:
                backup.close()
            migrate(self._connection, self.path, self._form)

    @contextmanager
    def reported(self, path: Path | None = None) -> Iterator[None]:
        """Turns the library's errors into those of the format."""
        form, where = self._form, path or self.path
        try:
            yield
        except sqlite3.IntegrityError:
            raise
        except (sqlite3.OperationalError, sqlite3.ProgrammingError) as error:
            kind = form.full if getattr(error, "sqlite_errorcode", None) in _NO_ROOM else form.unusable
            raise kind(f"the {form.name} {where} cannot be used: {error}", _fix(error, where)) from error
        except sqlite3.DatabaseError as error:
            raise form.damaged(f"{where} is damaged or no {form.name}: {error}", form.cure) from error

    def _number(self, pragma: str) -> int:
        return int(self._connection.execute(f"PRAGMA {pragma}").fetchone()[0])

    def _refuse_itself(self, other: Path) -> None:
        if other.exists() and other.samefile(self.path):
            raise ConfigError(f"{other} is the {self._form.name} itself", "give another file")

    def _check_backup(self, backup: sqlite3.Connection, source: Path) -> None:
        name = self._form.name
        if check_version(backup, source, self._form) == 0:
            raise InputError(f"{source} is not a {name}", f"give a file that '{name} backup' wrote")
        (verdict,) = backup.execute("PRAGMA quick_check(1)").fetchone()
        if verdict != "ok":
            raise InputError(f"{source} is damaged: {verdict}", "give another backup")


def check_version(connection: sqlite3.Connection, where: Path, form: Format) -> int:
    """The steps that a file has seen.

    Raises:
        ConfigError: A newer program wrote it.
        InputError: It is a database of something else.
    """
    (version,) = connection.execute("PRAGMA user_version").fetchone()
    (mark,) = connection.execute("PRAGMA application_id").fetchone()
    (tables,) = connection.execute("SELECT count(*) FROM sqlite_master").fetchone()
    if tables and mark != form.mark:
        raise InputError(f"{where} is a database, but not a {form.name}", "give another file or data_dir")
    if version > len(form.steps):
        raise ConfigError(
            f"{where} has {form.name} format {version}; this musewatch knows formats up to {len(form.steps)}",
            "use the newer musewatch, or restore a backup made by this one",
        )
    return int(version)


def migrate(connection: sqlite3.Connection, where: Path, form: Format) -> None:
    """Brings a file to the newest format, all steps or none; several processes may try at once.

    Args:
        connection: In autocommit mode.
        where: Path of the file, for messages.
        form: The newest format.

    Raises:
        ConfigError: A newer program wrote it.
        InputError: It is a database of something else.
    """
    if check_version(connection, where, form) == len(form.steps):
        return
    connection.execute("BEGIN IMMEDIATE")
    try:
        for step in form.steps[check_version(connection, where, form) :]:
            for statement in step:
                connection.execute(statement)
        connection.execute(f"PRAGMA application_id = {form.mark}")
        connection.execute(f"PRAGMA user_version = {len(form.steps)}")
        connection.execute("COMMIT")
    except BaseException:
        connection.execute("ROLLBACK")
        raise


def _beside(path: Path) -> list[Path]:
    """The log of a SQLite file and its index."""
    return [path.with_name(path.name + ending) for ending in ("-wal", "-shm")]


@contextmanager
def _writing(path: Path) -> Iterator[None]:
    try:
        yield
    except OSError as error:
        raise OutsideError(f"{path} cannot be written: {error.strerror or error}") from error


def _fix(error: sqlite3.Error, where: Path) -> str:
    if "locked" in str(error):
        return f"another process has kept it locked for {BUSY_S:.0f} s: try again"
    return f"check that {where.parent} can be written and the disk has room"
