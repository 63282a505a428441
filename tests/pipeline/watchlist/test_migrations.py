"""Older files are brought up to date, newer ones are left alone."""

import sqlite3
import threading
from collections.abc import Iterator
from contextlib import closing
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path

import numpy as np
import pytest

from pipeline.errors import ConfigError, InputError
from pipeline.store.sqlite import migrate
from pipeline.watchlist.migrations import STEPS, WATCHLIST
from pipeline.watchlist.records import Identity, NewText
from pipeline.watchlist.roster import WatchlistStore

PATH = Path("w.db")
NEXT = (*STEPS, ("ALTER TABLE identity ADD COLUMN colour TEXT", "UPDATE identity SET colour = 'red'"))

FIRST_FORMAT = """
CREATE TABLE watchlist (one INTEGER PRIMARY KEY CHECK (one = 1), version INTEGER NOT NULL) STRICT;
INSERT INTO watchlist VALUES (1, 12);
CREATE TABLE identity (id TEXT PRIMARY KEY, name TEXT, purpose TEXT, valid_until TEXT, created_at TEXT NOT NULL)
    STRICT;
INSERT INTO identity VALUES ('p3', 'Ann', NULL, NULL, '2026-11-21T07:00:00+00:00');
CREATE TABLE enrolment (id INTEGER PRIMARY KEY AUTOINCREMENT,
    identity_id TEXT NOT NULL REFERENCES identity ON DELETE CASCADE, kind TEXT NOT NULL, picture BLOB NOT NULL,
    sha256 TEXT NOT NULL, added_at TEXT NOT NULL) STRICT;
INSERT INTO enrolment VALUES (5, 'p3', 'picture', x'ffd8', 'ab', '2026-11-21T07:00:00+00:00');
CREATE TABLE vector (enrolment_id INTEGER NOT NULL REFERENCES enrolment ON DELETE CASCADE,
    engine_digest TEXT NOT NULL, float16 BLOB NOT NULL, PRIMARY KEY (enrolment_id, engine_digest))
    STRICT, WITHOUT ROWID;
PRAGMA application_id = 0x6D757365;
PRAGMA user_version = 1;
"""


@pytest.fixture
def old(tmp_path: Path) -> Iterator[sqlite3.Connection]:
    connection = sqlite3.connect(tmp_path / "w.db", isolation_level=None, check_same_thread=False)
    connection.executescript(FIRST_FORMAT)
    with closing(connection):
        yield connection


def test_a_file_of_the_first_format_opens_as_it_is(old: sqlite3.Connection, tmp_path: Path) -> None:
    with WatchlistStore(tmp_path / "w.db") as store:
        assert store.version == 12
        assert [(i.id, i.name) for i in store.identities()] == [("p3", "Ann")]
        assert store.pictures([5]) == {5: b"\xff\xd8"}


def test_texts_come_in_and_everything_else_stays(old: sqlite3.Connection, tmp_path: Path) -> None:
    now = datetime(2026, 11, 21, tzinfo=UTC)
    old.execute("INSERT INTO vector VALUES (5, 'sha256:e', x'003c')")
    old.execute("INSERT INTO enrolment VALUES (9, 'p3', 'picture', x'00', 'cd', '2026-11-21T07:00:00+00:00')")
    old.execute("DELETE FROM enrolment WHERE id = 9")
    with WatchlistStore(tmp_path / "w.db") as store:
        assert store.vectors(enrolment_ids=[5]) == {5: {"sha256:e": b"\x00\x3c"}}
        text = NewText("a red coat", now, "sha256:e", np.ones(1, np.float32))
        assert store.add(Identity("p3", None, None, None, now), [text]) == [10], "no id comes twice"
        assert [(e.kind, e.text) for e in store.enrolments("p3")] == [
            ("picture", None),
            ("text", "a red coat"),
        ]
        assert store.remove("p3")
    with closing(sqlite3.connect(tmp_path / "w.db")) as after:
        assert after.execute("SELECT count(*) FROM vector").fetchone() == (0,)
        assert after.execute("PRAGMA foreign_key_check").fetchall() == []


def test_the_first_text_of_an_empty_watchlist_gets_an_id(tmp_path: Path) -> None:
    with closing(sqlite3.connect(tmp_path / "w.db", isolation_level=None)) as first:
        migrate(first, PATH, replace(WATCHLIST, steps=STEPS[:1]))
    now = datetime(2026, 11, 21, tzinfo=UTC)
    with WatchlistStore(tmp_path / "w.db") as store:
        assert store.add(Identity("p1", None, None, None, now), [NewText("a red coat", now)]) == [1]


def test_an_empty_file_becomes_a_watchlist(tmp_path: Path) -> None:
    (tmp_path / "w.db").touch()
    with WatchlistStore(tmp_path / "w.db") as store:
        assert store.version == 0


def test_an_older_file_is_migrated_with_its_content(old: sqlite3.Connection) -> None:
    migrate(old, PATH, replace(WATCHLIST, steps=NEXT))
    assert old.execute("SELECT id, colour FROM identity").fetchall() == [("p3", "red")]
    assert old.execute("PRAGMA user_version").fetchone() == (len(NEXT),)
    migrate(old, PATH, replace(WATCHLIST, steps=NEXT))


def test_a_step_that_fails_leaves_the_file_as_it_was(old: sqlite3.Connection) -> None:
    broken = (*NEXT, ("CREATE TABLE half (x)", "CREATE TABLE half (x)"))
    with pytest.raises(sqlite3.OperationalError):
        migrate(old, PATH, replace(WATCHLIST, steps=broken))
    assert old.execute("PRAGMA user_version").fetchone() == (1,)
    assert old.execute("SELECT * FROM identity").fetchall()[0][0] == "p3"
    assert old.execute("SELECT count(*) FROM sqlite_master WHERE name = 'half'").fetchone() == (0,)


def test_a_newer_file_is_refused_with_both_formats(old: sqlite3.Connection, tmp_path: Path) -> None:
    old.execute("PRAGMA user_version = 7")
    with pytest.raises(ConfigError, match=r"w\.db has watchlist format 7.*formats up to 3"):
        WatchlistStore(tmp_path / "w.db")
    assert old.execute("SELECT version FROM watchlist").fetchone() == (12,)


def test_a_newer_backup_is_refused_and_changes_nothing(old: sqlite3.Connection, tmp_path: Path) -> None:
    old.execute("PRAGMA user_version = 7")
    with WatchlistStore(tmp_path / "here.db") as store:
        with pytest.raises(ConfigError, match="watchlist format 7"):
            store.restore(tmp_path / "w.db")
        assert store.version == 0


def test_a_database_of_something_else_is_refused(tmp_path: Path) -> None:
    with closing(sqlite3.connect(tmp_path / "w.db")) as other:
        other.execute("CREATE TABLE t (x)")
    with pytest.raises(InputError, match="not a watchlist"):
        WatchlistStore(tmp_path / "w.db")


def test_many_may_open_a_new_file_at_once(tmp_path: Path) -> None:
    stores: list[WatchlistStore] = []
    start = threading.Barrier(6)

    def open_it() -> None:
        start.wait()
        stores.append(WatchlistStore(tmp_path / "w.db"))

    threads = [threading.Thread(target=open_it) for _ in range(6)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert [store.version for store in stores] == [0] * 6
    for store in stores:
        store.close()
