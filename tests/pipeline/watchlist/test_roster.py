"""The store keeps what it was given, changes in whole steps, and forgets what is removed."""

import sqlite3
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from datetime import UTC, datetime, timedelta
from pathlib import Path

import numpy as np
import pytest

from pipeline.errors import ConfigError, InputError, OutsideError
from pipeline.testing import FakeCodec
from pipeline.testing.contracts import HolderContract
from pipeline.watchlist.changes import Remove
from pipeline.watchlist.records import Identity, NewPicture, NewText
from pipeline.watchlist.roster import WatchlistStore
from pipeline.watchlist.sqlite_roster import SqliteRoster
from tests.support.pictures import BLUE, GREEN, RED, person
from tests.tools.byte_search import traces

NOW = datetime(2026, 11, 21, 7, tzinfo=UTC)
PICTURES = [NewPicture(FakeCodec().encode(person(60, shirt)), NOW) for shirt in (RED, GREEN, BLUE)]


def someone(id_: str = "p1", **facts: object) -> Identity:
    values = {"name": None, "purpose": None, "valid_until": None, "created_at": NOW} | facts
    return Identity(id_, **values)  # type: ignore[arg-type]


@pytest.fixture
def store(tmp_path: Path) -> Iterator[WatchlistStore]:
    with WatchlistStore.in_folder(tmp_path / "data") as opened:
        yield opened


def test_a_new_store_is_empty_at_version_0(store: WatchlistStore) -> None:
    assert store.version == 0
    assert store.identities() == []


def test_what_was_added_is_there_after_opening_again(tmp_path: Path) -> None:
    identity = someone(name="Zoé", purpose="lost child", valid_until=NOW + timedelta(days=1))
    with WatchlistStore(tmp_path / "w.db") as store:
        ids = store.add(identity, PICTURES[:2])
    with WatchlistStore(tmp_path / "w.db") as store:
        assert store.identities() == [identity]
        assert [found.id for found in store.enrolments("p1")] == ids
        assert store.pictures(ids) == dict(zip(ids, (p.picture for p in PICTURES), strict=False))
        assert [found.sha256 for found in store.enrolments()] == [p.sha256 for p in PICTURES[:2]]


def test_every_change_counts_once(store: WatchlistStore) -> None:
    store.add(someone("p1"), PICTURES)
    store.add(someone("p1"), PICTURES[:1])
    assert store.version == 2
    assert store.remove("p1")
    assert store.version == 3
    assert not store.remove("p1")
    assert store.version == 3


def test_adding_to_somebody_known_keeps_what_is_not_said(store: WatchlistStore) -> None:
    store.add(someone(name="Ann", purpose="visitor"), PICTURES[:1])
    store.add(someone(purpose="staff", created_at=NOW + timedelta(days=9)), PICTURES[1:])
    assert store.identity("p1") == someone(name="Ann", purpose="staff")
    assert len(store.enrolments("p1")) == 3


def test_a_failed_change_leaves_nothing(store: WatchlistStore) -> None:
    def entries() -> Iterator[tuple[Identity, list[NewPicture]]]:
        yield someone("p1"), PICTURES
        raise InputError("the second is damaged")

    with pytest.raises(InputError, match="second"):
        store.replace(entries())
    assert store.version == 0
    assert store.enrolments() == []


def test_removal_leaves_no_byte_of_picture_or_vector_on_the_disk(tmp_path: Path) -> None:
    picture = NewPicture(b"FACE" * 5000, NOW, "sha256:a", np.full(64, 0.125, np.float32))
    vector = np.full(64, 0.125, "<f2").tobytes()

    def on_disk() -> bytes:
        return b"".join(path.read_bytes() for path in tmp_path.iterdir())

    with WatchlistStore(tmp_path / "w.db") as store:
        store.add(someone("p1", name="Somebody Special"), [picture])
        store.add(someone("p2"), PICTURES[:1])
        assert b"FACEFACE" in on_disk()
        assert vector in on_disk()
        store.remove("p1")
        for gone in (b"FACEFACE", vector, b"Somebody Special"):
            assert gone not in on_disk()
        assert [identity.id for identity in store.identities()] == ["p2"]


def test_of_what_was_replaced_no_byte_is_left_either(tmp_path: Path) -> None:
    with WatchlistStore.in_folder(tmp_path) as store:
        store.add(someone(), [NewText("all in vermilion", NOW)])
        assert any(traces(tmp_path, {"text": b"vermilion"}).values())
        store.replace([(someone(), [NewText("all in red", NOW)])])
        assert traces(tmp_path, {"text": b"vermilion"}) == {"text": []}


def test_who_was_removed_is_named_and_a_vector_of_no_engine_is_not_kept(tmp_path: Path) -> None:
    vector = np.array([0.6, 0.8], np.float32)
    with (
        WatchlistStore.in_folder(tmp_path) as store,
        closing(SqliteRoster(tmp_path / "watchlist.db")) as roster,
    ):
        store.add(
            someone(), [NewPicture(PICTURES[0].picture, NOW, None, vector), NewText("red", NOW, "sha256:e")]
        )
        assert list(roster.vectors().values()) == []
        assert roster.apply([Remove("p1"), Remove("p2")]).removed == ["p1"]


def test_readers_see_one_version_while_others_write(tmp_path: Path) -> None:
    with WatchlistStore(tmp_path / "w.db") as reader, WatchlistStore(tmp_path / "w.db") as writer:
        writer.add(someone("p1"), PICTURES)
        roll = reader.read()
        writer.add(someone("p2"), PICTURES)
        assert (roll.version, len(roll.enrolments)) == (1, 3)
        roll = reader.read()
        assert (roll.version, len(roll.enrolments)) == (2, 6)


def test_many_writers_lose_nothing(tmp_path: Path) -> None:
    def write(name: str) -> None:
        with WatchlistStore(tmp_path / "w.db") as mine:
            for number in range(10):
                mine.add(someone(f"{name}-{number}"), PICTURES[:1])

    with WatchlistStore(tmp_path / "w.db") as store:
        with ThreadPoolExecutor(4) as pool:
            list(pool.map(write, "abcd"))
        assert store.version == 40
        assert len(store.identities()) == len(store.enrolments()) == 40


def test_threads_may_share_one_store(store: WatchlistStore) -> None:
    def use(number: int) -> int:
        (id_,) = store.add(someone(f"p{number}"), PICTURES[:1])
        return len(store.pictures([id_]))

    with ThreadPoolExecutor(4) as pool:
        assert list(pool.map(use, range(40))) == [1] * 40
    assert store.version == 40


def test_the_file_is_in_wal_mode_with_foreign_keys(store: WatchlistStore, tmp_path: Path) -> None:
    with sqlite3.connect(tmp_path / "data" / "watchlist.db") as plain:
        assert plain.execute("PRAGMA journal_mode").fetchone() == ("wal",)
    plain.close()
    store.add(someone(), PICTURES[:1])
    store.add_vectors("sha256:a", {1: np.ones(4, np.float32), 99: np.ones(4, np.float32)})
    assert [found.id for found in store.lacking_vectors("sha256:a", 4)] == []


def test_a_locked_store_says_so(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("pipeline.store.sqlite.BUSY_S", 0.05)
    with WatchlistStore(tmp_path / "w.db") as store:
        other = sqlite3.connect(tmp_path / "w.db", isolation_level=None)
        other.execute("BEGIN IMMEDIATE")
        with pytest.raises(OutsideError, match=r"locked.*try again"):
            store.add(someone(), PICTURES)
        other.close()
        assert store.add(someone(), PICTURES)


def test_a_damaged_file_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "w.db"
    path.write_bytes(b"not a database, but long enough to be read as one" * 100)
    with pytest.raises(InputError, match=r"damaged.*restore a backup"):
        WatchlistStore(path)


def test_a_folder_that_cannot_be_made_is_reported(tmp_path: Path) -> None:
    (tmp_path / "data").write_text("a file")
    with pytest.raises(OutsideError, match="cannot be made"):
        WatchlistStore.in_folder(tmp_path / "data")


@pytest.mark.parametrize("id_", ["", ".x", "-x", "a b", "a/b", "ä", "x" * 64, "x\n"])
def test_an_id_is_checked(id_: str) -> None:
    with pytest.raises(ConfigError, match="cannot be the id"):
        someone(id_)


def test_ids_in_other_forms_are_fine() -> None:
    assert {someone(id_).id for id_ in ("a", "7", "P-3_x.y", "x" * 63)}


class TestTraces(HolderContract):
    @pytest.fixture
    def holder(self, tmp_path: Path) -> Iterator[SqliteRoster]:
        with WatchlistStore.in_folder(tmp_path) as store:
            for id_ in ("anna", "ben"):
                store.add(someone(id_), [*PICTURES[:1], NewText("all in red", NOW)])
        with closing(SqliteRoster(tmp_path / "watchlist.db")) as roster:
            assert roster.traces("ben") == [
                f"watchlist.db: {kind}" for kind in ("identity", "picture 3", "text 4")
            ]
            yield roster


def test_a_store_of_another_kind_says_how_it_is_backed_up(tmp_path: Path) -> None:
    class Elsewhere:
        """A roster that is backed up by its own means."""

        def close(self) -> None:
            pass

    with WatchlistStore(Elsewhere()) as store, pytest.raises(ConfigError, match="no backups") as refused:  # type: ignore[arg-type]
        store.backup(tmp_path / "copy.db")
    assert refused.value.fix == "use its database's, or watchlist export"


class TestBackup:
    def test_a_backup_holds_everything_and_can_be_restored(
        self, store: WatchlistStore, tmp_path: Path
    ) -> None:
        store.add(someone("p1"), PICTURES)
        store.backup(tmp_path / "b.db")
        store.remove("p1")
        store.add(someone("p2"), PICTURES)
        store.restore(tmp_path / "b.db")
        assert [identity.id for identity in store.identities()] == ["p1"]
        assert store.pictures([1]) == {1: PICTURES[0].picture}

    def test_the_version_goes_on_growing(self, store: WatchlistStore, tmp_path: Path) -> None:
        store.add(someone("p1"), PICTURES)
        store.backup(tmp_path / "b.db")
        store.remove("p1")
        store.restore(tmp_path / "b.db")
        assert store.version == 3

    def test_a_backup_of_a_larger_watchlist_restores_into_a_new_one(
        self, store: WatchlistStore, tmp_path: Path
    ) -> None:
        store.add(someone("p1"), PICTURES)
        store.add(someone("p1"), PICTURES)
        store.backup(tmp_path / "b.db")
        with WatchlistStore(tmp_path / "elsewhere.db") as other:
            other.restore(tmp_path / "b.db")
            assert len(other.enrolments("p1")) == 6
            assert other.version == 3
            other.add(someone("p2"), PICTURES)

    def test_others_see_the_restored_watchlist(self, store: WatchlistStore, tmp_path: Path) -> None:
        store.add(someone("p1"), PICTURES)
        store.backup(tmp_path / "b.db")
        with WatchlistStore.in_folder(tmp_path / "data") as other:
            state = other.state()
            store.restore(tmp_path / "b.db")
            assert other.state() != state

    def test_nothing_else_is_restored(self, store: WatchlistStore, tmp_path: Path) -> None:
        store.add(someone("p1"), PICTURES)
        with pytest.raises(InputError, match="no file"):
            store.restore(tmp_path / "missing.db")
        (tmp_path / "text.db").write_text("hello" * 1000)
        with pytest.raises(InputError, match="damaged"):
            store.restore(tmp_path / "text.db")
        sqlite3.connect(tmp_path / "empty.db").close()
        with pytest.raises(InputError, match="not a watchlist"):
            store.restore(tmp_path / "empty.db")
        other = sqlite3.connect(tmp_path / "other.db")
        other.execute("CREATE TABLE t (x)")
        other.close()
        with pytest.raises(InputError, match="not a watchlist"):
            store.restore(tmp_path / "other.db")
        assert len(store.enrolments("p1")) == 3

    def test_a_torn_backup_is_refused(self, store: WatchlistStore, tmp_path: Path) -> None:
        for number in range(20):
            store.add(someone(f"p{number}"), PICTURES)
        store.backup(tmp_path / "b.db")
        whole = (tmp_path / "b.db").read_bytes()
        (tmp_path / "b.db").write_bytes(whole[: len(whole) // 2])
        with pytest.raises(InputError, match="damaged"):
            store.restore(tmp_path / "b.db")
        assert len(store.identities()) == 20

    def test_the_file_itself_is_no_backup(self, store: WatchlistStore, tmp_path: Path) -> None:
        itself = tmp_path / "data" / "watchlist.db"
        with pytest.raises(ConfigError, match="the watchlist itself"):
            store.backup(itself)
        with pytest.raises(ConfigError, match="the watchlist itself"):
            store.restore(itself)

    def test_a_place_that_cannot_be_written(self, store: WatchlistStore, tmp_path: Path) -> None:
        with pytest.raises(OutsideError):
            store.backup(tmp_path / "no" / "folder" / "b.db")
