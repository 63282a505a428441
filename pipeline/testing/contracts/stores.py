"""What outlives a process: rosters, archives, and whoever else keeps a trace of a person."""

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from typing import Any

import numpy as np
import pytest

from pipeline.store.archive import Archive, Query, Sighting, Where
from pipeline.store.holder import Holder
from pipeline.testing.contracts.wanted import wanted
from pipeline.watchlist.changes import Add, MakeOwn, Mirror, Published, Remove, Replace, TakeOver
from pipeline.watchlist.contents import Contents, Verdict
from pipeline.watchlist.records import PICTURE, TEXT, Identity, NewEnrolment, NewPicture, NewText
from pipeline.watchlist.roster import Roster

NOW = datetime(2026, 11, 30, 12, 0, 0, 120_003, tzinfo=UTC)
ENGINE = "sha256:contract"
VECTOR = np.array([0.6, 0.8], np.float32)
W1, W2 = "1" * 32, "2" * 32


def _person(id_: str, **facts: Any) -> Identity:
    return Identity(id_, **{"name": None, "purpose": None, "valid_until": None, "created_at": NOW} | facts)


def _picture(content: bytes = b"a picture") -> NewPicture:
    return NewPicture(content, NOW, ENGINE, VECTOR)


class RosterContract:
    """Give `roster`."""

    @pytest.fixture
    def roster(self) -> Any:
        """An empty one."""
        wanted("roster")

    def test_it_has_the_six_verbs(self, roster: Any) -> None:
        """All methods are there."""
        assert isinstance(roster, Roster)

    def test_an_empty_one_is_of_version_0(self, roster: Roster) -> None:
        """Nobody in it, and it follows no shared watchlist."""
        roll = roster.read()
        assert (roll.version, roll.entries, roster.vectors()) == (0, (), {})
        assert (roll.origin.own_id, roll.origin.follows_id, roll.origin.listed_version) == (None, None, 0)

    def test_what_was_added_is_read_as_it_was_by_id_and_oldest_first(self, roster: Roster) -> None:
        """Facts, pictures and texts, whatever the order of adding."""
        anna = _person("anna", name="Zoé", purpose="lost", valid_until=NOW + timedelta(days=1))
        text = NewText("a red coat", NOW)
        made = roster.apply([Add(_person("ben"), []), Add(anna, [_picture(), text])]).enrolment_ids
        roll = roster.read()
        assert roll.version == 1, "one call is one change"
        assert roll.identities == [anna, _person("ben")]
        assert [each.id for each in roll.enrolments] == made
        assert [(each.kind, each.text) for each in roll.enrolments] == [(PICTURE, None), (TEXT, "a red coat")]
        assert [each.sha256 for each in roll.enrolments] == [_picture().sha256, text.sha256]
        assert roster.contents([*made, 999], PICTURE) == {made[0]: b"a picture"}
        assert roster.contents(made, TEXT) == {made[1]: b"a red coat"}
        assert [each.identity.id for each in roster.read(["anna", "nobody"]).entries] == ["anna"]
        assert roster.read([]).version == 1

    def test_adding_keeps_what_is_not_said_and_replacing_does_not(self, roster: Roster) -> None:
        """None says nothing when people are added to."""
        roster.apply([Add(_person("anna", name="Anna"), [_picture()])])
        roster.apply([Add(_person("anna", purpose="lost"), [_picture(b"another")])])
        (entry,) = roster.read().entries
        assert (entry.identity.name, entry.identity.purpose, len(entry.enrolments)) == ("Anna", "lost", 2)
        roster.apply([Replace(_person("anna"), [_picture(b"third")])])
        (replaced,) = roster.read().entries
        assert (replaced.identity.name, len(replaced.enrolments)) == (None, 1)
        assert replaced.enrolments[0].id > entry.enrolments[-1].id, "ids are never given twice"
        assert roster.read().version == 3

    def test_changes_are_made_all_or_none(self, roster: Roster) -> None:
        """An error between two changes leaves none of them."""

        def changes() -> Iterator[Add]:
            yield Add(_person("anna"), [_picture()])
            raise ZeroDivisionError

        with pytest.raises(ZeroDivisionError):
            roster.apply(changes())
        assert (roster.read().version, roster.read().entries) == (0, ())

    def test_who_is_removed_is_gone_with_pictures_and_vectors(self, roster: Roster) -> None:
        """And removing nobody is no change."""
        (id_,) = roster.apply([Add(_person("anna"), [_picture()])]).enrolment_ids
        assert roster.apply([Remove("anna"), Remove("nobody")]).removed == ["anna"]
        assert roster.read().version == 2
        assert (roster.contents([id_], PICTURE), roster.vectors()) == ({}, {})
        assert roster.apply([Remove("anna")]).removed == []
        assert roster.read().version == 2, "nothing was changed"

    def test_vectors_are_kept_by_enrolment_and_engine(self, roster: Roster) -> None:
        """Of enrolments that there are."""
        one, two = roster.apply([Add(_person("anna"), [_picture(), NewPicture(b"b", NOW)])]).enrolment_ids
        blob = VECTOR.astype("<f2").tobytes()
        assert roster.vectors() == {one: {ENGINE: blob}}
        roster.put_vectors("sha256:other", {one: VECTOR, two: VECTOR, 999: VECTOR})
        assert roster.vectors("sha256:other") == {id_: {"sha256:other": blob} for id_ in (one, two)}
        assert roster.vectors(enrolment_ids=[one]) == {one: {ENGINE: blob, "sha256:other": blob}}
        assert roster.read().version == 1, "vectors follow from engines"

    def test_its_state_shows_changes(self, roster: Roster) -> None:
        """So that followers read again when they must, and only then."""
        before = roster.state()
        assert roster.state() == before
        roster.apply([Add(_person("anna"), [])])
        assert roster.state() != before

    def test_a_mirrored_row_brings_its_version(self, roster: Roster) -> None:
        """And an older row takes none back."""
        roster.apply([Mirror(_person("anna"), [_picture()], 7, None)])
        roster.apply([Mirror(_person("ben"), [], 5, None)])
        assert roster.read().version == 7

    def test_it_has_one_id_of_its_own(self, roster: Roster) -> None:
        """The first one given stays."""
        roster.apply([MakeOwn(W1)])
        roster.apply([MakeOwn(W2)])
        origin = roster.read().origin
        assert (origin.own_id, origin.follows_id, origin.is_author) == (W1, W1, True)

    def test_whom_a_newer_contents_row_no_longer_names_leaves(self, roster: Roster) -> None:
        """Who came with a later row, another watchlist's, or was enrolled here, stays."""
        rows = [Mirror(_person(id_), [_picture()], 2, W1) for id_ in ("anna", "ben")]
        assert roster.apply([_listing(W1, 2, "anna", "ben"), *rows]).verdict is Verdict.TAKEN
        roster.apply([Mirror(_person("late"), [], 9, W1), Mirror(_person("other"), [], 1, W2)])
        roster.apply([Add(_person("own"), [])])
        done = roster.apply([_listing(W1, 3, "ben")])
        assert (done.verdict, done.removed) == (Verdict.TAKEN, ["anna"])
        assert [each.id for each in roster.read().identities] == ["ben", "late", "other", "own"]
        assert roster.read().origin.listed_version == 3

    @pytest.mark.parametrize(
        ("watchlist", "version", "verdict"), [(W1, 1, Verdict.OLDER), (W2, 9, Verdict.FOREIGN)]
    )
    def test_by_any_other_contents_row_nobody_does(
        self, roster: Roster, watchlist: str, version: int, verdict: Verdict
    ) -> None:
        """An older one's, or another watchlist's."""
        rows: list[NewEnrolment] = [_picture()]
        roster.apply([_listing(W1, 2, "anna"), Mirror(_person("anna"), rows, 2, W1)])
        done = roster.apply([_listing(watchlist, version)])
        assert (done.verdict, done.removed) == (verdict, [])
        assert roster.read().origin.follows_id == W1

    def test_what_was_published_is_listed(self, roster: Roster) -> None:
        """So that a later contents row of the same watchlist speaks for it."""
        roster.apply([Add(_person("anna"), []), MakeOwn(W1)])
        roster.apply([Published(Contents(watchlist=W1, version=1, identities=("anna",)))])
        assert roster.apply([_listing(W1, 2)]).removed == ["anna"]

    def test_closing_twice_is_no_fault(self, roster: Roster) -> None:
        """As in every plugin."""
        roster.close()
        roster.close()


def _listing(watchlist: str, version: int, *ids: str) -> TakeOver:
    return TakeOver(Contents(watchlist=watchlist, version=version, identities=ids))


class ArchiveContract:
    """Give `archive`."""

    @pytest.fixture
    def archive(self) -> Any:
        """An empty one."""
        wanted("archive")

    def test_it_has_the_verbs(self, archive: Any) -> None:
        """All methods are there."""
        assert isinstance(archive, Archive)

    def test_the_nearest_come_first_and_only_of_one_engine(self, archive: Archive) -> None:
        """With their Euclidean distance."""
        archive.add([_sighting("a", 0.9), _sighting("b", 0.1), _sighting("c", 0.5)])
        archive.add([_sighting("d", 0.1, engine="sha256:other")])
        query = Query(ENGINE, _unit(0.0))
        found = archive.search(query, 2)
        assert [each.sighting.id for each in found] == ["b", "c"]
        distance = found[0].distance
        assert distance == pytest.approx(float(np.linalg.norm(_unit(0.1) - _unit(0.0))), abs=1e-3)
        assert len(archive.search(query, 10)) == 3

    def test_only_what_is_asked_for_is_looked_through(self, archive: Archive) -> None:
        """Before the nearest are taken, not after."""
        archive.add([_sighting("a", 0.1, stream="door"), _sighting("b", 0.2, stream="hall", age_s=60)])
        query = Query(ENGINE, _unit(0.0))

        def ids(where: Where) -> list[str]:
            return [each.sighting.id for each in archive.search(query, 1, where)]

        assert ids(Where(stream_ids=frozenset({"hall"}))) == ["b"], "left out before the k nearest are taken"
        assert ids(Where(until=NOW)) == ["b"]
        assert ids(Where(since=NOW)) == ["a"]
        assert ids(Where(stream_ids=frozenset())) == []

    def test_without_a_query_the_newest_come_first(self, archive: Archive) -> None:
        """Without a distance."""
        archive.add([_sighting("old", 0.1, age_s=60), _sighting("new", 0.9)])
        found = archive.search(None, 5)
        assert [(each.sighting.id, each.distance) for each in found] == [("new", None), ("old", None)]

    def test_a_sighting_is_got_as_it_was_put_and_once(self, archive: Archive) -> None:
        """One of a known id takes its place."""
        archive.add([_sighting("a", 0.9)])
        archive.add([_sighting("a", 0.1)])
        put, got = _sighting("a", 0.1), archive.get("a")
        assert got is not None
        assert (got.box, got.captured_at, got.crop, got.identity_ids) == (
            put.box, put.captured_at, put.crop, put.identity_ids,
        )  # fmt: skip
        np.testing.assert_allclose(got.vector, put.vector, atol=1e-3)
        assert archive.get("b") is None
        assert len(archive.search(None, 5)) == 1

    def test_what_is_older_expires(self, archive: Archive) -> None:
        """And nothing else."""
        archive.add([_sighting("old", 0.1, age_s=60), _sighting("new", 0.9)])
        assert archive.expire(NOW) == 1
        assert archive.get("old") is None
        assert archive.get("new") is not None


def _unit(angle: float) -> np.ndarray[Any, np.dtype[np.float32]]:
    return np.array([np.cos(angle), np.sin(angle)], np.float32)


def _sighting(
    id_: str, angle: float, *, stream: str = "door", age_s: float = 0, engine: str = ENGINE
) -> Sighting:
    at, box = NOW - timedelta(seconds=age_s), (1.0, 2.0, 3.0, 4.0)
    who = frozenset({"anna"})
    return Sighting(id_, stream, "e1", 7, at, 1.5, box, engine, _unit(angle), b"\xff\xd8 crop", who)


class HolderContract:
    """Give `holder`: whatever keeps a trace of people."""

    @pytest.fixture
    def holder(self) -> Any:
        """With traces of `anna` and of `ben`."""
        wanted("holder")

    def test_it_says_what_it_has_and_forgets_it_and_nothing_else(self, holder: Any) -> None:
        """What is left of others is as it was."""
        assert isinstance(holder, Holder)
        others = holder.traces("ben")
        assert holder.traces("anna")
        assert others
        assert holder.traces("nobody") == []
        holder.forget("anna")
        assert holder.traces("anna") == []
        assert holder.traces("ben") == others

    def test_forgetting_somebody_unknown_or_twice_is_no_fault(self, holder: Holder) -> None:
        """Erasing is repeated until it has succeeded everywhere."""
        holder.forget("nobody")
        holder.forget("anna")
        holder.forget("anna")
        assert holder.traces("anna") == []
