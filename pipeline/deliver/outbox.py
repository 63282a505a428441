"""The durable queue in front of the sinks, in SQLite.

An event is in the file before anybody publishes it, and a sink's row goes only after that sink has
acknowledged it: delivery is at least once, in the order of `append`. An event that a sink refuses for good is marked
so and stays, out of the others' way. Beside the queue stands a ledger of the hits that are open, kept in the same
transactions, so that a crash leaves none open for ever.
"""

import fcntl
import json
import logging
import sqlite3
from collections import Counter
from collections.abc import Mapping, Sequence
from contextlib import closing
from functools import partial
from pathlib import Path
from typing import Any, NamedTuple, TextIO

from pipeline.deliver.events import encode, interrupted
from pipeline.errors import ConfigError, OutboxError, OutboxFullError
from pipeline.files import make_folder, open_private
from pipeline.messages import HitState
from pipeline.settings import PluginChoice
from pipeline.store.room import EVIDENCE, make_room
from pipeline.store.sqlite import Database, Format

logger = logging.getLogger(__name__)

OUTBOX = Format(
    "outbox",
    (
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
        (  # whom pictures in the evidence folder were kept for
            "CREATE TABLE shown (identity_id TEXT, sha256 TEXT, PRIMARY KEY (identity_id, sha256)) WITHOUT ROWID",
        ),
    ),
    outlives_power=True,
    unusable=OutboxError,
    full=OutboxFullError,
    damaged=ConfigError,
    cure="move it away; what waited in it is lost",
)


class Waiting(NamedTuple):
    """An event that a sink has not acknowledged."""

    seq: int
    event: dict[str, Any]


class Refused(NamedTuple):
    """An event that a sink has refused for good, and what it said."""

    sink: str
    event: dict[str, Any]
    reason: str


class Progress(NamedTuple):
    """Places in the order of `append`: of the last event taken, and before which no sink has anything waiting."""

    taken: int
    confirmed: int


def sink_names(choices: Sequence[PluginChoice]) -> tuple[str, ...]:
    """Names that stay the same between runs: the plugin, numbered from its second use on.

    A changed address keeps the name, so what waits goes to the new one.

    >>> from pipeline.settings import choose
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
    """One file, one process, any number of threads; at its start the evidence beside it gives way on a full disk.

    Args:
        path: The database; made when missing, migrated when older.
        sinks: Names of the configured sinks. What waits for others is dropped with a warning; new ones get
            new events only.
        max_mb: Largest size of the file, in 10^6 bytes; beyond it the disk counts as full. None = the disk's own.

    Raises:
        ConfigError: Another process uses the file, or it is newer than this program or damaged.
        OutboxError: It cannot be written.
    """

    def __init__(self, path: Path, sinks: Sequence[str], max_mb: float | None = None) -> None:
        self._sinks = tuple(sinks)
        self._delivered = False
        self._claim = _claim(path)
        try:
            self._file = Database(path, OUTBOX, partial(make_room, path.parent))
            if max_mb is not None:
                self._file.limit(max_mb)
            self._file.with_room(self._drop_strangers)
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
        with self._file.changing() as db:
            for event in events:
                self._insert(db, event)

    def take(self, sink: str, n: int) -> list[Waiting]:
        """Up to `n` events that the sink has neither acknowledged nor refused, oldest first; they stay until `done`.

        Raises:
            OutboxError: The file cannot be read.
        """
        query = (
            "SELECT seq, body FROM pending JOIN events USING (seq) WHERE sink = ? AND refused IS NULL "
            "ORDER BY seq LIMIT ?"
        )
        with self._file.reading() as db:
            return [Waiting(seq, json.loads(body)) for seq, body in db.execute(query, (sink, n))]

    def done(self, sink: str, seqs: Sequence[int]) -> None:
        """Forgets what the sink has acknowledged.

        Raises:
            OutboxError: Nothing was forgotten; publishing again is harmless, ids repeat.
        """
        with self._file.changing() as db:
            db.executemany("DELETE FROM pending WHERE sink = ? AND seq = ?", [(sink, seq) for seq in seqs])
            _drop_delivered(db, seqs)
        self._delivered = True

    def refuse(self, sink: str, seq: int, reason: str) -> None:
        """Sets an event aside for a sink: it stays here, and those behind it go on.

        Raises:
            OutboxError: It was not set aside.
        """
        with self._file.changing() as db:
            db.execute("UPDATE pending SET refused = ? WHERE sink = ? AND seq = ?", (reason, sink, seq))

    def refused(self) -> dict[str, int]:
        """How many events each sink has refused for good; sinks without any are missing.

        Raises:
            OutboxError: The file cannot be read.
        """
        query = "SELECT sink, count(*) FROM pending WHERE refused IS NOT NULL GROUP BY sink"
        with self._file.reading() as db:
            return dict(db.execute(query).fetchall())

    def progress(self) -> Progress:
        """How far the sinks are; what they have refused counts as done.

        Raises:
            OutboxError: The file cannot be read.
        """
        with self._file.reading() as db:
            taken = (
                db.execute("SELECT max(seq) FROM sqlite_sequence WHERE name = 'events'").fetchone()[0] or 0
            )
            oldest = db.execute("SELECT min(seq) FROM pending WHERE refused IS NULL").fetchone()[0]
            return Progress(taken, taken if oldest is None else oldest - 1)

    def after(self, seq: int, n: int) -> list[Waiting]:
        """Up to `n` events behind a place, whoever they wait for.

        Raises:
            OutboxError: The file cannot be read.
        """
        with self._file.reading() as db:
            rows = db.execute("SELECT seq, body FROM events WHERE seq > ? ORDER BY seq LIMIT ?", (seq, n))
            return [Waiting(place, json.loads(body)) for place, body in rows]

    def replace(self, rows: Sequence[Waiting]) -> None:
        """Puts other events in the place of some that still wait; ids stay.

        Raises:
            OutboxError: All are as they were.
        """
        with self._file.changing() as db:
            changed = [(encode(row.event), row.seq) for row in rows]
            db.executemany("UPDATE events SET body = ? WHERE seq = ?", changed)

    def size_bytes(self) -> int:
        """What the events take in the file.

        Raises:
            OutboxError: The file cannot be read.
        """
        return self._file.used_bytes()

    def waiting(self, sink: str | None = None) -> int:
        """Events that the sink, or any sink, has not acknowledged; those it has refused among them.

        Raises:
            OutboxError: The file cannot be read.
        """
        with self._file.reading() as db:
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
        return self._file.with_room(self._close_interrupted)

    def leave_open_hits(self) -> int:
        """Forgets the hits that a crash left open, where somebody else goes on with them; how many.

        Raises:
            OutboxError: Nothing was forgotten.
        """
        return self._file.with_room(self._leave_open_hits)

    def forget_delivered(self) -> None:
        """Leaves nothing of what was delivered in the file's log; now and then, for it costs a write to the disk.

        Raises:
            OutboxError: The file cannot be used.
        """
        if self._delivered:
            self._delivered = False
            self._file.forget_deleted()

    def close(self) -> None:
        """Gives the file back."""
        self._file.close()
        self._claim.close()

    def _close_interrupted(self) -> list[dict[str, Any]]:
        with self._file.changing() as db:
            rows = db.execute("SELECT body FROM open_hits ORDER BY rowid").fetchall()
            closes = [interrupted(json.loads(body)) for (body,) in rows]
            for event in closes:
                self._insert(db, event)
        return closes

    def _leave_open_hits(self) -> int:
        with self._file.changing() as db:
            return db.execute("DELETE FROM open_hits").rowcount

    def _insert(self, db: sqlite3.Connection, event: Mapping[str, Any]) -> None:
        body = encode(event)
        self._note_open_hit(db, event, body)
        _note_pictures(db, event)
        if not self._sinks:
            return
        row = db.execute(
            "INSERT INTO events (id, body) VALUES (?, ?) ON CONFLICT DO NOTHING RETURNING seq",
            (event["id"], body),
        ).fetchone()
        if row:
            db.executemany(
                "INSERT INTO pending (sink, seq) VALUES (?, ?)", [(sink, row[0]) for sink in self._sinks]
            )

    @staticmethod
    def _note_open_hit(db: sqlite3.Connection, event: Mapping[str, Any], body: bytes) -> None:
        state, hit_id = event["data"].get("state"), event["data"].get("hit_id")
        if state in (HitState.CLOSED, HitState.RETRACTED):
            db.execute("DELETE FROM open_hits WHERE hit_id = ?", (hit_id,))
        elif hit_id:
            db.execute(
                "INSERT INTO open_hits VALUES (?, ?) ON CONFLICT DO UPDATE SET body = excluded.body",
                (hit_id, body),
            )

    def _drop_strangers(self) -> None:
        with self._file.changing() as db:
            counts = db.execute("SELECT sink, count(*) FROM pending GROUP BY sink").fetchall()
            for sink, count in counts:
                if sink not in self._sinks:
                    logger.warning(
                        "%d events waited for sink %s, which is not configured: dropped", count, sink
                    )
                    db.execute("DELETE FROM pending WHERE sink = ?", (sink,))
            db.execute("DELETE FROM events WHERE seq NOT IN (SELECT seq FROM pending)")
            there = {picture.stem for picture in (self._file.path.parent / EVIDENCE).glob("*.jpg")}
            known = {digest for (digest,) in db.execute("SELECT DISTINCT sha256 FROM shown")}
            db.executemany("DELETE FROM shown WHERE sha256 = ?", [(digest,) for digest in known - there])


def refused(path: Path) -> list[Refused]:
    """Events set aside, oldest first; told beside a run, too.

    Args:
        path: The outbox; without a file nothing was.

    Raises:
        ConfigError: The file is newer than this program, or damaged.
        OutboxError: It cannot be read.
    """
    query = "SELECT sink, body, refused FROM pending JOIN events USING (seq) WHERE refused IS NOT NULL ORDER BY seq"
    if not path.exists():
        return []
    with closing(Database(path, OUTBOX)) as file, file.reading() as db:
        return [Refused(sink, json.loads(body), reason) for sink, body, reason in db.execute(query)]


def send_again(path: Path) -> int:
    """Has the sinks asked again, at once by a run that goes on, else by the next one; how many events.

    They come behind events of their streams that were delivered meanwhile. The file is not claimed: one short
    statement does not disturb who has it.

    Args:
        path: The outbox.

    Raises:
        ConfigError: The file is newer than this program, or damaged.
        OutboxError: Nothing was changed.
    """
    if not path.exists():
        return 0
    with closing(Database(path, OUTBOX)) as file, file.changing() as db:
        return db.execute("UPDATE pending SET refused = NULL WHERE refused IS NOT NULL").rowcount


def _claim(path: Path) -> TextIO:
    """Holds the outbox for this process; the system lets go when the process dies."""
    make_folder(path.parent)
    try:
        file = open(path.with_suffix(".lock"), "w", opener=open_private)  # noqa: SIM115
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


def _note_pictures(db: sqlite3.Connection, event: Mapping[str, Any]) -> None:
    """Keeps in mind whom a hit's pictures are of, for as long as they are there."""
    identity, best = event["data"].get("identity"), event["data"].get("best")
    pictures = [best.get(name) for name in ("crop", "frame")] if identity and best else []
    db.executemany(
        "INSERT OR IGNORE INTO shown VALUES (?, ?)",
        [(identity["id"], picture["sha256"]) for picture in pictures if picture],
    )


def _drop_delivered(db: sqlite3.Connection, seqs: Sequence[int]) -> None:
    query = "DELETE FROM events WHERE seq = ?1 AND NOT EXISTS (SELECT 1 FROM pending WHERE seq = ?1)"
    db.executemany(query, [(seq,) for seq in seqs])
