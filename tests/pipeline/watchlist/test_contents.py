"""Who leaves a store by the contents row of the shared watchlist, and who stays whatever is missing there."""

import json
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import jsonschema
import pytest

from pipeline.errors import InputError
from pipeline.remote_bus import TableFault
from pipeline.testing import ListBus
from pipeline.watchlist.contents import KEY, Contents, from_row
from pipeline.watchlist.mirror import WatchlistMirror
from pipeline.watchlist.records import Identity, NewPicture
from pipeline.watchlist.roster import WatchlistStore
from pipeline.watchlist.schemas import contents_schema, watchlist_schema
from pipeline.watchlist.shared import publish, publish_all, read_row, read_table, to_row
from pipeline.watchlist.standing import remarks
from tests.pipeline.watchlist.office import NOW, picture
from tests.support.enrolment_desk import CODEC
from tests.support.pictures import BLUE, GREEN


class Site:
    """An office that publishes, and a member with a store of its own that follows."""

    def __init__(self, folder: Path) -> None:
        self.folder, self.bus = folder, ListBus()
        self.office = WatchlistStore.in_folder(folder / "office")
        self.here = WatchlistStore.in_folder(folder / "gpu")

    def enrol(self, *names: str, told: bool = True) -> None:
        for name in names:
            self.office.add(Identity(name, None, None, None, NOW), [picture(BLUE)])
            if told:
                publish(self.office, self.bus.watchlist, CODEC, [name])

    def remove(self, name: str) -> None:
        self.office.remove(name)
        publish(self.office, self.bus.watchlist, CODEC, [name])

    def lose(self, *keys: str) -> None:
        """The topic forgets every record under these keys."""
        gone = [key.encode() for key in keys]
        self.bus.watchlist.log = [row for row in self.bus.watchlist.log if row.key not in gone]

    def contents(self) -> dict[str, Any]:
        """The last contents row."""
        rows = [row.value for row in self.bus.watchlist.log if row.key == KEY.encode()]
        document: dict[str, Any] = json.loads(rows[-1] or b"")
        return document

    def relist(self, **changes: Any) -> None:
        """Writes the last contents row again, changed."""
        body = json.dumps(self.contents() | changes).encode()
        self.bus.watchlist.write([(KEY, body)])

    def start(self) -> list[str]:
        """A member starts and ends; who is in its store, after what it has said."""
        with WatchlistMirror(self.bus, WatchlistStore.in_folder(self.folder / "gpu")) as mirror:
            mirror.follow()
            self.said = " / ".join(mirror.remarks)
        return self.ids()

    def ids(self) -> list[str]:
        return [identity.id for identity in self.here.identities()]


@pytest.fixture
def site(tmp_path: Path) -> Iterator[Site]:
    made = Site(tmp_path)
    with made.office, made.here:
        yield made


def test_every_change_is_followed_by_a_contents_row(site: Site) -> None:
    site.enrol("anna", "ben")
    first = site.contents()
    jsonschema.validate(first, contents_schema())
    assert (first["version"], first["identities"]) == (2, ["anna", "ben"])
    site.remove("anna")
    assert site.contents() == first | {"version": 3, "identities": ["ben"]}
    assert site.start() == ["ben"]
    assert site.said == ""


def test_one_schema_has_everything_that_is_on_the_topic(site: Site) -> None:
    site.enrol("anna")
    rows = [json.loads(row.value or b"") for row in site.bus.watchlist.log]
    assert [row["schema"] for row in rows] == ["musewatch.identity/1", "musewatch.contents/1"]
    for row in rows:
        jsonschema.validate(row, watchlist_schema())
        del row["schema"]
        with pytest.raises(jsonschema.ValidationError):
            jsonschema.validate(row, watchlist_schema())


def test_whatever_a_row_brings_about_ends_with_that_row(site: Site, monkeypatch: pytest.MonkeyPatch) -> None:
    site.enrol("anna")
    site.bus.watchlist.log.insert(0, replace(site.bus.watchlist.log[0], key=b"odd"))

    def read(message: Any) -> Any:
        if message.key == b"odd":
            raise RecursionError("too deep" + 300 * "!")
        return read_row(message)

    monkeypatch.setattr("pipeline.watchlist.mirror.read_row", read)
    assert site.start() == ["anna"]
    assert [(message.key, reason) for message, reason in site.bus.refused] == [
        (b"odd", f"RecursionError: too deep{300 * '!'}"[:300])
    ]


def test_a_row_that_is_missing_removes_nobody(site: Site) -> None:
    site.enrol("anna", "ben")
    site.start()
    pictures = site.here.pictures(e.id for e in site.here.enrolments())
    site.lose("anna")
    assert site.start() == ["anna", "ben"]
    assert site.here.pictures(e.id for e in site.here.enrolments()) == pictures
    assert "1 identity is (anna) in the shared watchlist without a row" in site.said
    site.lose("anna", "ben", KEY)
    assert site.start() == ["anna", "ben"]
    assert "nobody has published a watchlist; the 2 identities here count" in site.said
    publish_all(site.office, site.bus.watchlist, CODEC)
    assert site.start() == ["anna", "ben"]
    assert site.said == ""


def test_who_was_removed_long_ago_leaves_though_nothing_is_left_of_them(site: Site) -> None:
    site.enrol("anna", "ben")
    assert site.start() == ["anna", "ben"]
    site.remove("anna")
    site.enrol("cleo")
    site.lose("anna")
    assert site.start() == ["ben", "cleo"]
    assert site.here.pictures([1]) == {}
    assert site.said == ""


def test_who_came_by_a_row_that_no_contents_row_has_named_yet_leaves_by_a_later_one(site: Site) -> None:
    site.enrol("ben")
    site.start()
    site.enrol("anna", told=False)
    site.bus.watchlist.write([("anna", to_row(site.office, "anna", CODEC))])
    assert site.start() == ["anna", "ben"]
    site.remove("anna")
    site.lose("anna")
    assert site.start() == ["ben"]


def test_after_a_failure_of_the_link_the_whole_table_is_held_against_the_contents_row(site: Site) -> None:
    site.enrol("anna", "ben")
    with WatchlistMirror(site.bus, WatchlistStore.in_folder(site.folder / "gpu")) as mirror:
        mirror.follow()
        site.remove("anna")
        site.enrol("cleo")
        mirrored, site.bus.watchlist._read = site.ids(), len(site.bus.watchlist.log)
        site.lose("anna")
        mirror.follow()
        assert site.ids() == mirrored == ["anna", "ben"], "all of it passed by unseen"
        site.bus.watchlist.cut = True
        mirror.follow()
        assert site.ids() == ["ben", "cleo"]


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"version": 1, "identities": []}, "version 1, older than one seen before, so nobody leaves by it"),
        ({"version": 99, "identities": ["zoe"], "watchlist": "0" * 32}, "another watchlist's (" + "0" * 32),
        ({"version": 2, "identities": ["anna"]}, "1 identity is (ben) not"),
    ],
)
def test_a_contents_row_that_is_older_or_anothers_removes_nobody(
    site: Site, changes: dict[str, Any], said: str
) -> None:
    site.enrol("anna", "ben")
    site.start()
    site.relist(**changes)
    assert site.start() == ["anna", "ben"]
    assert said in site.said or changes["version"] == 2
    assert "without a row" not in site.said
    site.relist(watchlist=site.office.origin.own_id, version=3, identities=["ben"])
    assert site.start() == ["ben"], "and a right one counts afterwards"


def test_without_a_contents_row_nobody_leaves_but_by_an_empty_row(
    site: Site, caplog: pytest.LogCaptureFixture
) -> None:
    """As an office of the version before publishes."""
    site.enrol("anna", "ben")
    site.start()
    site.lose("anna", KEY)
    assert site.start() == ["anna", "ben"]
    assert "has no contents row, so nobody leaves by missing there: musewatch watchlist publish" in site.said
    assert "1 identity is (anna) here and not in the shared watchlist" in site.said
    assert "has no contents row" in caplog.text
    site.bus.watchlist.write([("ben", None)])
    assert site.start() == ["anna"]


def test_people_enrolled_here_stay_until_somebody_removes_them(site: Site) -> None:
    site.enrol("anna")
    site.start()
    site.here.add(Identity("own", None, None, None, NOW), [picture(GREEN)])
    site.enrol("ben")
    assert site.start() == ["anna", "ben", "own"]
    assert "1 identity is (own) here and not in the shared watchlist" in site.said
    before = site.contents()
    publish(site.here, site.bus.watchlist, CODEC, ["own"])
    assert site.contents() == before, "a copy does not speak for the whole"
    assert site.start() == ["anna", "ben", "own"]


def test_rows_of_a_format_without_a_watchlist_are_taken_and_no_contents_row_speaks_for_them(
    site: Site,
) -> None:
    site.enrol("anna", "ben")
    row = json.loads(next(r.value for r in site.bus.watchlist.log if r.key == b"ben") or b"")
    del row["watchlist"]
    site.lose("ben")
    site.bus.watchlist.write([("ben", json.dumps(row).encode())])
    site.relist(version=3, identities=["anna"])
    assert site.start() == ["anna", "ben"]


def test_publishing_all_puts_another_watchlist_in_place_of_the_one_before(site: Site, tmp_path: Path) -> None:
    site.enrol("anna", "ben")
    site.start()
    old = site.contents()["watchlist"]
    with WatchlistStore.in_folder(tmp_path / "new") as new:
        new.add(Identity("ben", None, None, None, NOW), [picture(GREEN)])
        publish(new, site.bus.watchlist, CODEC, ["ben"])
        assert site.start() == ["anna", "ben"]
        assert "another watchlist's" in site.said
        publish_all(new, site.bus.watchlist, CODEC)
        assert site.start() == ["ben"]
        assert site.said == ""
        assert site.here.origin.follows_id == new.origin.own_id != old
        new.add(Identity("cleo", None, None, None, NOW), [picture(GREEN)])
        publish(new, site.bus.watchlist, CODEC, ["cleo"])
        assert site.start() == ["ben", "cleo"]


def test_what_was_removed_or_changed_at_the_office_does_not_come_back_to_it(site: Site) -> None:
    """The office's own member reads what the office could not yet take back."""
    site.enrol("anna", "ben")
    site.office.remove("anna")
    site.office.add(Identity("ben", "Ben", None, None, NOW), [picture(GREEN)])
    before = site.office.enrolments()
    with WatchlistMirror(site.bus, WatchlistStore.in_folder(site.folder / "office")) as mirror:
        mirror.follow()
        assert site.office.enrolments() == before
        assert site.office.identity("anna") is None
        assert mirror.remarks == (
            "1 identity is (anna) not here and still in the shared watchlist: musewatch watchlist publish",
        )


def test_an_office_put_back_from_an_old_copy_takes_over_what_it_has_missed(
    site: Site, tmp_path: Path
) -> None:
    site.enrol("anna", "ben")
    (tmp_path / "copy").mkdir()
    site.office.backup(tmp_path / "copy" / "watchlist.db")
    site.remove("anna")
    site.enrol("cleo", "dora")
    with (
        WatchlistMirror(site.bus, WatchlistStore.in_folder(tmp_path / "copy")) as mirror,
        WatchlistStore.in_folder(tmp_path / "copy") as put_back,
    ):
        mirror.follow()
        assert [identity.id for identity in put_back.identities()] == ["ben", "cleo", "dora"]


def test_the_last_contents_row_stands_when_two_publish_at_once(site: Site) -> None:
    """The second change comes between the first one's look at the store and its row."""
    write, rest = site.bus.watchlist.write, ["ben"]

    def write_late(rows: Any) -> None:
        if rows[0][0] == KEY and rest:
            site.enrol(rest.pop(), told=False)
        write(rows)

    site.bus.watchlist.write = write_late  # type: ignore[method-assign]
    site.enrol("anna")
    assert site.contents()["identities"] == ["anna", "ben"]


def test_a_contents_row_has_room_for_one_message(monkeypatch: pytest.MonkeyPatch) -> None:
    row = Contents(watchlist="0" * 32, version=1, identities=("anna", "ben"))
    size = len(row.to_row())
    monkeypatch.setattr("pipeline.watchlist.contents.MAX_BYTES", size)
    assert from_row(row.to_row()) == row
    monkeypatch.setattr("pipeline.watchlist.contents.MAX_BYTES", size - 1)
    with pytest.raises(InputError, match="2 identities are too many for one contents row"):
        row.to_row()


def test_a_contents_row_that_is_taken_back_speaks_for_nobody(site: Site) -> None:
    site.enrol("anna")
    with WatchlistMirror(site.bus, WatchlistStore.in_folder(site.folder / "gpu")) as mirror:
        mirror.follow()
        site.bus.watchlist.write([(KEY, None)])
        mirror.follow()
        assert site.ids() == ["anna"]
        assert [remark.split(",")[0] for remark in mirror.remarks] == [
            "the shared watchlist has no contents row"
        ]


def test_many_ids_are_shown_by_the_first_five(site: Site) -> None:
    names = [f"p{number}" for number in range(6)]
    site.enrol(*names)
    site.lose(*names)
    site.start()
    assert "6 identities are (p0, p1, p2, p3, p4, ...) in the shared watchlist without a row" in site.said


def test_who_is_about_to_leave_is_no_fault(site: Site) -> None:
    """As `check` looks at a member that has not been started since."""
    site.enrol("anna", "ben")
    site.start()
    site.remove("anna")
    site.here.add(Identity("own", None, None, None, NOW), [])
    (remark,) = remarks(site.here.read(), *read_table(site.bus.watchlist))
    assert "1 identity is (own) here and not in the shared watchlist" in remark.problem


def test_how_the_table_is_kept_is_said(site: Site) -> None:
    site.bus.watchlist.wrong = [TableFault("topic w has cleanup.policy=delete", "set it to compact")]
    site.enrol("anna")
    site.start()
    assert site.said == "topic w has cleanup.policy=delete: set it to compact"


@pytest.mark.parametrize(
    "value",
    [b"{", b"[]", b'{"schema": "musewatch.contents/1"}',
     b'{"schema":"musewatch.contents/1","watchlist":"' + b"0" * 32 + b'","version":1e30,"identities":[]}',
     b'{"schema":"musewatch.contents/1","watchlist":"' + b"0" * 32 + b'","version":1,"identities":[".contents"]}'],
)  # fmt: skip
def test_a_contents_row_that_is_none_is_a_dead_letter_and_nobody_leaves(site: Site, value: bytes) -> None:
    with pytest.raises(InputError, match="not a contents row"):
        from_row(value)
    site.enrol("anna")
    site.start()
    site.bus.watchlist.write([(KEY, value)])
    assert site.start() == ["anna"]
    ((message, reason),) = site.bus.refused
    assert message.value == value
    assert "not a contents row" in reason


def test_a_watchlist_too_large_for_one_row_is_refused() -> None:
    with pytest.raises(InputError, match="20000 identities are too many"):
        Contents(watchlist="0" * 32, version=1, identities=tuple(f"{n:060}" for n in range(20_000))).to_row()


def test_new_pictures_of_somebody_are_an_enrolment_that_contents_rows_know(site: Site) -> None:
    site.enrol("anna")
    site.start()
    site.office.add(Identity("anna", None, None, None, NOW), [NewPicture(picture(GREEN).picture, NOW)])
    publish(site.office, site.bus.watchlist, CODEC, ["anna"])
    site.start()
    assert len(site.here.enrolments("anna")) == 2
    site.remove("anna")
    site.lose("anna")
    assert site.start() == []
