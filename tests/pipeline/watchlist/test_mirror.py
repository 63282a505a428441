"""Stores that follow the watchlist that all processes share."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from pipeline.errors import OutsideError
from pipeline.testing import ListBus
from pipeline.watchlist.mirror import WatchlistMirror
from pipeline.watchlist.records import Identity
from pipeline.watchlist.roster import WatchlistStore
from pipeline.watchlist.shared import publish, publish_all
from tests.pipeline.watchlist.office import NOW, anna, people, picture
from tests.support.enrolment_desk import CODEC
from tests.support.pictures import BLUE


@contextmanager
def following(bus: ListBus, data_dir: Path) -> Iterator[tuple[WatchlistMirror, WatchlistStore]]:
    """A mirror, and its store by another connection."""
    with (
        WatchlistMirror(bus, WatchlistStore.in_folder(data_dir)) as mirror,
        WatchlistStore.in_folder(data_dir) as here,
    ):
        yield mirror, here


@pytest.fixture
def bus() -> ListBus:
    return ListBus()


def test_a_mirror_becomes_what_was_published_and_follows(
    office: WatchlistStore, bus: ListBus, tmp_path: Path
) -> None:
    publish(office, bus.watchlist, CODEC, ["anna"])
    with (
        WatchlistMirror(bus, WatchlistStore.in_folder(tmp_path / "gpu")) as mirror,
        WatchlistStore.in_folder(tmp_path / "gpu") as here,
    ):
        mirror.follow()
        assert people(here) == people(office)
        assert here.lacking_vectors("sha256:e", 2) == [], "nothing is embedded again"
        state = here.state()
        publish(office, bus.watchlist, CODEC, ["anna"])
        mirror.follow()
        assert here.state() == state, "what is the same is left alone"
        office.add(Identity("luca", None, None, None, NOW), [picture(BLUE)])
        publish(office, bus.watchlist, CODEC, ["luca"])
        mirror.follow()
        assert people(here) == people(office)
        assert here.state() != state
        office.remove("anna")
        publish(office, bus.watchlist, CODEC, ["anna"])
        mirror.follow()
        assert people(here) == people(office)


def test_a_changed_name_counts_as_a_change(office: WatchlistStore, bus: ListBus, tmp_path: Path) -> None:
    publish(office, bus.watchlist, CODEC, ["anna"])
    with (
        WatchlistMirror(bus, WatchlistStore.in_folder(tmp_path / "gpu")) as mirror,
        WatchlistStore.in_folder(tmp_path / "gpu") as here,
    ):
        mirror.follow()
        office.add(anna(name="Anna"), [])
        publish(office, bus.watchlist, CODEC, ["anna"])
        mirror.follow()
        assert here.identities() == office.identities()
        assert here.version == office.version


def test_nothing_is_believed_before_the_table_has_answered(bus: ListBus, tmp_path: Path) -> None:
    bus.watchlist.down = 1
    with WatchlistMirror(bus, WatchlistStore.in_folder(tmp_path / "gpu")) as mirror:
        with pytest.raises(OutsideError, match="away"):
            mirror.follow()
        mirror.follow()


def test_how_the_table_is_kept_is_mended_whenever_it_is_read_whole(
    bus: ListBus, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    mended: list[bool] = []
    monkeypatch.setattr(bus.watchlist, "faults", lambda *, mend: mended.append(mend) or [])
    with following(bus, tmp_path) as (mirror, _):
        mirror.follow()
        mirror.follow()
        bus.watchlist.cut = True
        mirror.follow()
    assert mended == [True, True]


def test_a_table_that_nobody_has_written_leaves_the_store_alone(
    bus: ListBus, office: WatchlistStore, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    before = people(office)
    with WatchlistMirror(bus, WatchlistStore.in_folder(tmp_path / "office")) as mirror:
        mirror.follow()
    assert people(office) == before
    assert "musewatch watchlist publish" in caplog.text


def test_a_poisoned_row_becomes_a_dead_letter_and_the_others_count(
    office: WatchlistStore, bus: ListBus, tmp_path: Path
) -> None:
    bus.watchlist.write([("luca", b"{")])
    publish(office, bus.watchlist, CODEC, ["anna"])
    with (
        WatchlistMirror(bus, WatchlistStore.in_folder(tmp_path / "gpu")) as mirror,
        WatchlistStore.in_folder(tmp_path / "gpu") as here,
    ):
        mirror.follow()
        assert people(here) == people(office)
    ((message, reason),) = bus.refused
    assert (message.key, message.value) == (b"luca", b"{")
    assert "not an identity" in reason


def test_a_change_behind_one_that_could_not_be_taken_over_is_not_forgotten(
    office: WatchlistStore, bus: ListBus, tmp_path: Path
) -> None:
    with (
        WatchlistMirror(bus, WatchlistStore.in_folder(tmp_path / "gpu")) as mirror,
        WatchlistStore.in_folder(tmp_path / "gpu") as here,
    ):
        mirror.follow()
        bus.watchlist.write([("luca", b"{")])
        publish(office, bus.watchlist, CODEC, ["anna"])
        bus.down = 1
        with pytest.raises(OutsideError, match="dead letters are away"):
            mirror.follow()
        mirror.follow()
        assert people(here) == people(office)


def test_publishing_all_takes_back_who_is_gone(office: WatchlistStore, bus: ListBus) -> None:
    bus.watchlist.write([("ghost", b"{}")])
    assert publish_all(office, bus.watchlist, CODEC) == 2
    assert {m.key: m.value is None for m in bus.watchlist.log[1:]} == {
        b"anna": False,
        b"ghost": True,
        b".contents": False,
    }
