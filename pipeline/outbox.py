"""The durable queue in front of the sinks, in SQLite.

An event is in the file before anybody publishes it, and a sink's row goes only after that sink has
acknowledged it: delivery is at least once, in the order of `append`. Beside the queue stands a ledger of the
hits that are open, kept in the same transactions, so that a crash leaves none open for ever.
"""

import fcntl
import json
import logging
import sqlite3
import threading
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any, NamedTuple, TextIO

from pipeline.config import PluginChoice
from pipeline.errors import ConfigError, OutboxError, OutboxFullError
from pipeline.events import encode, interrupted
from pipeline.messages import HitState

logger = logging.getLogger(__name__)

MIGRATIONS: tuple[tuple[str, ...], ...] = (
    (
        "CREATE TABLE events (seq INTEGER PRIMARY KEY AUTOINCREMENT, id TEXT UNIQUE, body BLOB NOT NULL)",
        "CREATE TABLE pending (sink TEXT, seq INTEGER, PRIMARY KEY (sink, seq)) WITHOUT ROWID",
        "CREATE INDEX pending_seq ON pending (seq)",
        "CREATE TABLE open_hits (hit_id TEXT PRIMARY KEY, body BLOB NOT NULL)",
    ),
)
"""Statements from each version (its place in the tuple) to the next."""

_NO_ROOM = (sqlite3.SQLITE_FULL, sqlite3.SQLITE_IOERR_SHMSIZE)  # the second: no room for the index of the log


class Waiting(NamedTuple):
    """An event that a sink has not acknowledged."""

    seq: int
    event: dict[str, Any]


def sink_names(choices: Sequence[PluginChoice]) -> tuple[str, ...]:
    """Names that stay the same between runs: the plugin, numbered from its second use on.

    A changed address keeps the name, so what waits goes to the new one.

    >>> from pipeline.config import choose
    >>> sink_names([choose("jsonl"), choose("kafka"), choose("jsonl")])
    ('jsonl', 'kafka', 'jsonl-2')
    """
    seen: Counter[str] = Counter()
    names = []
    for choice in choices:
        seen[choice.use] += 1
        names.append(choice.use if seen[choice.use] == 1 else f"{choice.use}-{seen[choice.use]}")
    return tuple(names)


class Outbox:
    """One file, one process, any number of threads.

    Args:
        path: The database; made when missing, migrated when older.
        sinks: Names of the configured sinks. What waits for others is dropped with a warning; new ones get
            new events only.

    Raises:
        ConfigError: Another process uses the file, or it is newer than this program or damaged.
        OutboxError: It cannot be written.
    """

    def __init__(self, path: Path, sinks: Sequence[str]) -> None:
        self._sinks = tuple(sinks)
        self._lock = threading.Lock()
        self._path = path
        self._claim = _claim(path)
        try:
            self._db = _open(path)
            self._drop_strangers()
        except BaseException:
            self._claim.close()
            raise

    def append(self, events: Sequence[Mapping[str, Any]]) -> None:
        """Takes events, all or none; on return they survive a loss of power.

        An event whose id already waits is not taken twice.

        Raises:
            OutboxError: Nothing was taken; hold the events and try again.
            OutboxFullError: The same, for want of room on the disk.
        """
        with self._transaction() as db:
            for event in events:
                self._insert(db, event)

    def take(self, sink: str, n: int) -> list[Waiting]:
        """Up to `n` events that the sink has not acknowledged, oldest first; they stay until `done`.

        Raises:
            OutboxError: The file cannot be read.
        """
        query = "SELECT seq, body FROM pending JOIN events USING (seq) WHERE sink = ? ORDER BY seq LIMIT ?"
        with self._transaction() as db:
            return [Waiting(seq, json.loads(body)) for seq, body in db.execute(query, (sink, n))]

    def done(self, sink: str, seqs: Sequence[int]) -> None:
        """Forgets what the sink has acknowledged.

        Raises:
            OutboxError: Nothing was forgotten; publishing again is harmless, ids repeat.
        """
        with self._transaction() as db:
            db.executemany("DELETE FROM pending WHERE sink = ? AND seq = ?", [(sink, seq) for seq in seqs])
            _drop_delivered(db, seqs)

    def waiting(self, sink: str | None = None) -> int:
        """Events that the sink, or any sink, has not acknowledged.

        Raises:
            OutboxError: The file cannot be read.
        """
        with self._transaction() as db:
            if sink is None:
                rows = db.execute("SELECT count(*) FROM events")
            else:
                rows = db.execute("SELECT count(*) FROM pending WHERE sink = ?", (sink,))
            return int(rows.fetchone()[0])

    def close_interrupted(self) -> list[dict[str, Any]]:
        """Closes the hits that a crash left open, as `interrupted`; to be called once, at start.

        Returns:
            The events that were appended.

        Raises:
            OutboxError: Nothing was closed.
        """
        with self._transaction() as db:
            rows = db.execute("SELECT body FROM open_hits ORDER BY rowid").fetchall()
            closes = [interrupted(json.loads(body)) for (body,) in rows]
            for event in closes:
                self._insert(db, event)
        return closes

    def leave_open_hits(self) -> int:
        """Forgets the hits that a crash left open, where somebody else goes on with them; how many.

        Raises:
            OutboxError: Nothing was forgotten.
        """
        with self._transaction() as db:
            return db.execute("DELETE FROM open_hits").rowcount

    def close(self) -> None:
        """Gives the file back."""
        with self._lock:
            self._db.close()
            self._claim.close()

    def _insert(self, db: sqlite3.Connection, event: Mapping[str, Any]) -> None:
        body = encode(event)
        self._note_open_hit(db, event, body)
        if not self._sinks:
            return
        row = db.execute(
            "INSERT INTO events (id, body) VALUES (?, ?) ON CONFLICT DO NOTHING RETURNING seq",
            (event["id"], body),
        ).fetchone()
        if row:
            db.executemany("INSERT INTO pending VALUES (?, ?)", [(sink, row[0]) for sink in self._sinks])

    @staticmethod
    def _note_open_hit(db: sqlite3.Connection, event: Mapping[str, Any], body: bytes) -> None:
        state, hit_id = event["data"].get("state"), event["data"].get("hit_id")
        if state == HitState.CLOSED:
            db.execute("DELETE FROM open_hits WHERE hit_id = ?", (hit_id,))
        elif hit_id:
            db.execute(
                "INSERT INTO open_hits VALUES (?, ?) ON CONFLICT DO UPDATE SET body = excluded.body",
                (hit_id, body),
            )

    def _drop_strangers(self) -> None:
        with self._transaction() as db:
            counts = db.execute("SELECT sink, count(*) FROM pending GROUP BY sink").fetchall()
            for sink, count in counts:
                if sink not in self._sinks:
                    logger.warning(
                        "%d events waited for sink %s, which is not configured: dropped", count, sink
                    )
                    db.execute("DELETE FROM pending WHERE sink = ?", (sink,))
            db.execute("DELETE FROM events WHERE seq NOT IN (SELECT seq FROM pending)")

    @contextmanager
    def _transaction(self) -> Iterator[sqlite3.Connection]:
        with self._lock, _as_outbox_error(self._path):
            self._db.execute("BEGIN IMMEDIATE")
            try:
                yield self._db
                self._db.execute("COMMIT")
            except BaseException:
                if self._db.in_transaction:
                    self._db.execute("ROLLBACK")
                raise


def _drop_delivered(db: sqlite3.Connection, seqs: Sequence[int]) -> None:
    query = "DELETE FROM events WHERE seq = ?1 AND NOT EXISTS (SELECT 1 FROM pending WHERE seq = ?1)"
    db.executemany(query, [(seq,) for seq in seqs])


def _claim(path: Path) -> TextIO:
    """Holds the file for this process; the system lets go when the process dies."""
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


def _open(path: Path) -> sqlite3.Connection:
    with _as_outbox_error(path):
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
def _as_outbox_error(path: Path) -> Iterator[None]:
    try:
        yield
    except (sqlite3.OperationalError, sqlite3.ProgrammingError) as error:
        kind = OutboxFullError if getattr(error, "sqlite_errorcode", None) in _NO_ROOM else OutboxError
        raise kind(f"the outbox {path} cannot be used: {error}") from error
    except sqlite3.DatabaseError as error:
        raise ConfigError(
            f"{path} is damaged or no outbox: {error}", "move it away; what waited in it is lost"
        ) from error
