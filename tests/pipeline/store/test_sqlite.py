"""What all our SQLite files have in common."""

import sqlite3
from collections.abc import Iterator
from pathlib import Path

import pytest

from pipeline.errors import InputError, OutsideError
from pipeline.store.sqlite import Database, Format

NOTES = Format("notebook", (("CREATE TABLE note (id INTEGER PRIMARY KEY, text TEXT)",),))


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "made" / "here" / "notes.db"


@pytest.fixture
def notes(path: Path) -> Iterator[Database]:
    database = Database(path, NOTES)
    yield database
    database.close()


def write(database: Database, text: str) -> None:
    with database.changing() as db:
        db.execute("INSERT INTO note (text) VALUES (?)", (text,))


def modes(folder: Path) -> dict[str, int]:
    return {file.name: file.stat().st_mode & 0o777 for file in folder.iterdir()}


def test_the_file_its_log_and_its_backup_are_private(notes: Database, path: Path) -> None:
    write(notes, "a secret")
    notes.backup(path.parent / "copy.db")
    assert modes(path.parent) == dict.fromkeys(("notes.db", "notes.db-wal", "notes.db-shm", "copy.db"), 0o600)
    assert [folder.stat().st_mode & 0o777 for folder in (path.parent, path.parent.parent)] == [0o700, 0o700]


def test_a_file_from_before_becomes_private_and_its_folder_stays_as_it_was(tmp_path: Path) -> None:
    tmp_path.chmod(0o755)
    plain = sqlite3.connect(tmp_path / "notes.db")
    plain.execute("PRAGMA journal_mode = WAL")
    plain.execute("CREATE TABLE note (id INTEGER PRIMARY KEY, text TEXT)")
    (tmp_path / "notes.db").chmod(0o644)
    (tmp_path / "notes.db-wal").chmod(0o666)
    Database(tmp_path / "notes.db", Format("notebook", ())).close()
    assert set(modes(tmp_path).values()) <= {0o600}
    assert tmp_path.stat().st_mode & 0o777 == 0o755
    plain.close()


def test_a_change_is_kept_whole_or_not_at_all(notes: Database) -> None:
    def half() -> None:
        with notes.changing() as db:
            db.execute("INSERT INTO note (text) VALUES ('half')")
            raise ValueError("the rest is missing")

    with pytest.raises(ValueError, match="the rest"):
        half()
    write(notes, "whole")
    with notes.reading() as db:
        assert db.execute("SELECT text FROM note").fetchall() == [("whole",)]


def test_nothing_of_what_was_deleted_is_left_in_the_file_or_its_log(notes: Database, path: Path) -> None:
    write(notes, "a secret " * 5000)
    with notes.changing() as db:
        db.execute("DELETE FROM note")
    notes.forget_deleted()
    assert all(b"secret" not in file.read_bytes() for file in path.parent.iterdir())


def test_a_closed_file_says_so(notes: Database) -> None:
    notes.close()
    notes.close()
    with pytest.raises(OutsideError, match=r"the notebook .*notes\.db cannot be used: .*closed"):
        write(notes, "late")


def test_another_kind_of_database_is_refused(notes: Database, path: Path) -> None:
    with pytest.raises(InputError, match="but not a diary"):
        Database(path, Format("diary", (), mark=7))


def test_a_file_has_no_more_than_it_may(notes: Database) -> None:
    notes.limit(0.1)
    with pytest.raises(OutsideError, match="full"):
        write(notes, "long " * 100_000)
    write(notes, "short")
    assert 0 < notes.used_bytes() <= 100_000
