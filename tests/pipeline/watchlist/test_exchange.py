"""An archive carries the whole watchlist; nothing that is wrong with one gets in."""

import copy
import json
import zipfile
from collections.abc import Callable, Iterator
from datetime import datetime, timedelta, timezone
from pathlib import Path
from typing import Any

import jsonschema
import numpy as np
import pytest

from pipeline.errors import InputError, OutsideError
from pipeline.plugged import PluggedEmbedder
from pipeline.testing import FakeCodec, FakeEmbedder
from pipeline.watchlist.exchange import _read, export_watchlist, import_watchlist
from pipeline.watchlist.follower import ensure_vectors
from pipeline.watchlist.records import Identity, NewPicture
from pipeline.watchlist.roster import WatchlistStore
from pipeline.watchlist.schemas import watchlist_schema
from tests.support.pictures import BLUE, GREEN, RED, person

NOW = datetime(2026, 11, 21, 7, 0, 0, 123456, tzinfo=timezone(timedelta(hours=1)))
CODEC = FakeCodec()


def picture(shirt: tuple[int, int, int], minutes: int = 0) -> NewPicture:
    return NewPicture(CODEC.encode(person(60, shirt)), NOW + timedelta(minutes=minutes))


@pytest.fixture
def store(tmp_path: Path) -> Iterator[WatchlistStore]:
    """p2 before p1, a picture shared by both, p1's in an order that no digest has."""
    with WatchlistStore(tmp_path / "w.db") as opened:
        opened.add(Identity("p2", None, None, None, NOW), [picture(BLUE)])
        visitor = Identity("p1", "Zoé", "visitor", NOW + timedelta(days=3), NOW)
        opened.add(visitor, [picture(shirt, i) for i, shirt in enumerate((GREEN, BLUE, RED))])
        yield opened


@pytest.fixture
def other(tmp_path: Path) -> Iterator[WatchlistStore]:
    with WatchlistStore(tmp_path / "other.db") as opened:
        yield opened


def content(store: WatchlistStore) -> list[Any]:
    return [
        (
            identity,
            [(e.kind, e.added_at, store.pictures([e.id])[e.id]) for e in store.enrolments(identity.id)],
        )
        for identity in store.identities()
    ]


def test_import_gives_the_same_watchlist(
    store: WatchlistStore, other: WatchlistStore, tmp_path: Path
) -> None:
    export_watchlist(store, tmp_path / "w.zip")
    listing = import_watchlist(other, tmp_path / "w.zip", CODEC)
    assert content(other) == content(store)
    assert [person.id for person in listing.identities] == ["p1", "p2"]
    assert other.version == 1


def test_exports_are_the_same_bytes_also_after_a_round_trip(
    store: WatchlistStore, other: WatchlistStore, tmp_path: Path
) -> None:
    for name in ("a.zip", "b.zip"):
        export_watchlist(store, tmp_path / name)
    import_watchlist(other, tmp_path / "a.zip", CODEC)
    export_watchlist(other, tmp_path / "c.zip")
    assert len({(tmp_path / name).read_bytes() for name in ("a.zip", "b.zip", "c.zip")}) == 1


def test_the_archive_holds_the_listing_and_the_pictures_only(store: WatchlistStore, tmp_path: Path) -> None:
    ensure_vectors(store, PluggedEmbedder.of(FakeEmbedder()), CODEC)
    export_watchlist(store, tmp_path / "w.zip")
    assert (tmp_path / "w.zip").stat().st_mode & 0o777 == 0o600
    with zipfile.ZipFile(tmp_path / "w.zip") as archive:
        names = sorted(archive.namelist())
        document = json.loads(archive.read("watchlist.json"))
    digests = {new.sha256 for new in (picture(RED), picture(GREEN), picture(BLUE))}
    assert names == sorted(["watchlist.json", *(f"pictures/{digest}.jpg" for digest in digests)])
    jsonschema.validate(document, watchlist_schema())
    assert document["identities"][0]["name"] == "Zoé"
    assert document["identities"][0]["valid_until"] == "2026-11-24T06:00:00.123456Z"


def test_the_schema_refuses_what_import_refuses() -> None:
    with pytest.raises(jsonschema.ValidationError):
        jsonschema.validate({"identities": []}, watchlist_schema())
    with pytest.raises(jsonschema.ValidationError):
        jsonschema.validate(
            {"schema": "musewatch.watchlist/1", "identities": [], "more": 1}, watchlist_schema()
        )


def test_pictures_get_the_suffix_of_their_format(tmp_path: Path, store: WatchlistStore) -> None:
    jpeg = b"\xff\xd8\xff" + bytes(50)
    store.add(Identity("p3", None, None, None, NOW), [NewPicture(jpeg, NOW)])
    listing = export_watchlist(store, tmp_path / "w.zip")
    assert listing.identities[2].enrolments[0].file.endswith(".jpg")


def test_a_picture_of_an_unknown_format_travels_as_data(tmp_path: Path, store: WatchlistStore) -> None:
    store.add(Identity("p3", None, None, None, NOW), [NewPicture(b"odd", NOW)])
    listing = export_watchlist(store, tmp_path / "w.zip")
    assert listing.identities[2].pictures[0].file.endswith(".data")


def test_people_can_read_the_listing(store: WatchlistStore, tmp_path: Path) -> None:
    export_watchlist(store, tmp_path / "w.zip")
    with zipfile.ZipFile(tmp_path / "w.zip") as archive:
        lines = archive.read("watchlist.json").decode().splitlines()
    assert '   "name": "Zoé",' in lines


def test_somebody_removed_meanwhile_stops_the_export(
    store: WatchlistStore, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(WatchlistStore, "pictures", lambda *_: {})
    with pytest.raises(OutsideError, match="p1 was removed while the watchlist was written") as failure:
        export_watchlist(store, tmp_path / "w.zip")
    assert failure.value.fix == "try again"


def test_an_empty_watchlist_travels_too(other: WatchlistStore, tmp_path: Path) -> None:
    export_watchlist(other, tmp_path / "w.zip")
    assert import_watchlist(other, tmp_path / "w.zip", CODEC).identities == ()


def test_importing_again_changes_nothing_and_others_stay(
    store: WatchlistStore, other: WatchlistStore, tmp_path: Path
) -> None:
    export_watchlist(store, tmp_path / "w.zip")
    other.add(Identity("p9", None, None, None, NOW), [picture(RED)])
    import_watchlist(other, tmp_path / "w.zip", CODEC)
    before = content(other)
    import_watchlist(other, tmp_path / "w.zip", CODEC)
    assert content(other) == before
    assert [identity.id for identity in other.identities()] == ["p1", "p2", "p9"]


def test_somebody_else_of_the_same_id_is_replaced_only_when_told(
    store: WatchlistStore, other: WatchlistStore, tmp_path: Path
) -> None:
    export_watchlist(store, tmp_path / "w.zip")
    other.add(Identity("p1", "Another", None, None, NOW), [picture(RED)])
    before = content(other)
    with pytest.raises(InputError, match=r"other content: p1\..*--replace"):
        import_watchlist(other, tmp_path / "w.zip", CODEC)
    assert content(other) == before
    import_watchlist(other, tmp_path / "w.zip", CODEC, replace=True)
    assert content(other) == content(store)


@pytest.mark.parametrize(("others", "said"), [(5, "p0, p1, p2, p3, p4"), (6, "p0, p1, p2, p3, p4 ...")])
def test_others_of_the_same_id_are_named(
    store: WatchlistStore, other: WatchlistStore, tmp_path: Path, others: int, said: str
) -> None:
    for id_ in ("p1", "p2"):
        store.remove(id_)
    for number in range(others):
        store.add(Identity(f"p{number}", None, None, None, NOW), [picture(BLUE)])
        other.add(Identity(f"p{number}", None, None, None, NOW), [picture(RED)])
    export_watchlist(store, tmp_path / "w.zip")
    with pytest.raises(InputError) as refused:
        import_watchlist(other, tmp_path / "w.zip", CODEC)
    assert refused.value.problem == f"already enrolled, with other content: {said}"


def test_a_place_that_cannot_be_written(store: WatchlistStore, tmp_path: Path) -> None:
    with pytest.raises(OutsideError, match="cannot be written"):
        export_watchlist(store, tmp_path / "no" / "w.zip")


def rewritten(source: Path, target: Path, change: Callable[[dict[str, bytes]], None]) -> Path:
    with zipfile.ZipFile(source) as archive:
        members = {name: archive.read(name) for name in archive.namelist()}
    change(members)
    with zipfile.ZipFile(target, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, data in members.items():
            archive.writestr(name, data)
    return target


def edited(**facts: Any) -> Callable[[dict[str, bytes]], None]:
    def change(members: dict[str, bytes]) -> None:
        document = json.loads(members["watchlist.json"])
        document["identities"][0] |= facts
        members["watchlist.json"] = json.dumps(document).encode()

    return change


def of_listing(data: bytes) -> Callable[[dict[str, bytes]], None]:
    return lambda members: members.update({"watchlist.json": data})


def swap_pictures(members: dict[str, bytes]) -> None:
    first, second = [name for name in members if name.startswith("pictures/")][:2]
    members[first], members[second] = members[second], members[first]


def not_a_picture(members: dict[str, bytes]) -> None:
    new = NewPicture(b"rubbish", NOW)
    members[f"pictures/{new.sha256}.data"] = new.picture
    entry = {"kind": "picture", "file": f"pictures/{new.sha256}.data", "sha256": new.sha256}
    edited(id="p5", enrolments=[entry | {"added_at": "2026-11-21T07:00:00Z"}])(members)
    for name in [name for name in members if name.startswith("pictures/") and new.sha256 not in name]:
        if name not in members["watchlist.json"].decode():
            del members[name]


def drop_picture(members: dict[str, bytes]) -> None:
    del members[next(name for name in members if name.startswith("pictures/"))]


WRONG: dict[str, tuple[Callable[[dict[str, bytes]], None], str]] = {
    "no listing": (lambda members: members.__delitem__("watchlist.json"), "must hold one watchlist.json"),
    "listing is no json": (of_listing(b"{"), "Invalid JSON"),
    "listing is deeply nested": (of_listing(b"[" * 200_000), "would unpack to"),
    "listing of another format": (of_listing(b'{"schema": "x", "identities": []}'), "musewatch.watchlist/1"),
    "an unknown key": (edited(nickname="x"), "identities.0.nickname: unknown key"),
    "a key is missing": (of_listing(b'{"schema": "musewatch.watchlist/1"}'), "identities: Field required"),
    "a bad id": (edited(id="../p1"), "identities.0.id"),
    "one id twice": (edited(id="p2"), "two identities are called p2"),
    "a time without a zone": (edited(created_at="2026-11-21T07:00:00"), "timezone"),
    "a path that climbs": (lambda members: members.update({"../evil.jpg": b"x"}), r"also holds ../evil.jpg"),
    "an absolute path": (lambda members: members.update({"/etc/evil": b"x"}), "also holds /etc/evil"),
    "a picture too many": (lambda members: members.update({"pictures/x.jpg": b"x"}), "also holds pictures/x.jpg"),
    "a picture too few": (drop_picture, "it lacks pictures/"),
    "pictures swapped": (swap_pictures, "is not the picture that watchlist.json names"),
    "a picture that is none": (not_a_picture, "not a fake picture"),
    "a picture that is a bomb": (
        lambda members: members.update({"pictures/bomb.png": bytes(3_000_000)}), "would unpack to 3000000 bytes",
    ),
}  # fmt: skip


@pytest.mark.parametrize("case", WRONG)
def test_a_wrong_archive_changes_nothing(
    store: WatchlistStore, other: WatchlistStore, tmp_path: Path, case: str
) -> None:
    change, message = WRONG[case]
    export_watchlist(store, tmp_path / "w.zip")
    wrong = rewritten(tmp_path / "w.zip", tmp_path / "wrong.zip", change)
    with pytest.raises(InputError) as caught:
        import_watchlist(other, wrong, CODEC)
    assert message in str(caught.value)
    assert content(other) == []
    assert other.version == 0


def overlap(target: Path) -> None:
    """Three members that are one."""
    with zipfile.ZipFile(target, "w") as archive:
        archive.writestr("watchlist.json", bytes(1000))
        for number in range(2):
            twin = copy.copy(archive.filelist[0])
            twin.filename = f"pictures/{number}.jpg"
            archive.filelist.append(twin)


@pytest.mark.parametrize(
    "case", ["a picture too few", "pictures swapped", "a picture that is a bomb", "overlap", "cut"]
)
def test_of_an_archive_that_was_damaged_on_its_way_another_is_made(
    store: WatchlistStore, other: WatchlistStore, tmp_path: Path, case: str
) -> None:
    good, wrong = tmp_path / "w.zip", tmp_path / "wrong.zip"
    export_watchlist(store, good)
    if case == "overlap":
        overlap(wrong)
    elif case == "cut":
        wrong.write_bytes(good.read_bytes()[:-30])
    else:
        rewritten(good, wrong, WRONG[case][0])
    with pytest.raises(InputError) as refused:
        import_watchlist(other, wrong, CODEC)
    assert refused.value.fix == "export it again"
    if case == "overlap":
        assert refused.value.problem == f"{wrong} is damaged: its members overlap"


def test_what_is_wrong_is_named_and_what_to_do(
    store: WatchlistStore, other: WatchlistStore, tmp_path: Path
) -> None:
    class Unable(FakeCodec):
        def decode(self, data: bytes) -> Any:
            raise InputError("too large", "make it smaller")

    def refusal(change: Callable[[dict[str, bytes]], None], codec: FakeCodec = CODEC) -> InputError:
        wrong = rewritten(tmp_path / "w.zip", tmp_path / "wrong.zip", change)
        with pytest.raises(InputError) as refused:
            import_watchlist(other, wrong, codec)
        return refused.value

    store.add(Identity("p3", None, None, None, NOW), [NewPicture(CODEC.encode(person(70)), NOW)])
    export_watchlist(store, tmp_path / "w.zip")
    many = refusal(lambda members: members.update({f"a{n}": b"x" for n in range(5)}))
    assert many.problem.endswith("it also holds a0, a1, a2")
    bare = refusal(lambda members: [members.pop(name) for name in [*members] if name.startswith("pictures/")])
    assert bare.problem.split("it lacks ")[1].count("pictures/") == 3
    nothing = refusal(WRONG["no listing"][0])
    assert nothing.problem.endswith("wrong.zip is not what 'watchlist export' wrote")
    assert nothing.fix == "it must hold one watchlist.json"
    unable = refusal(lambda members: None, Unable())
    assert unable.problem.endswith(".jpg: too large")
    assert unable.fix == "make it smaller"


def test_a_member_is_read_up_to_its_limit(tmp_path: Path) -> None:
    with zipfile.ZipFile(tmp_path / "a.zip", "w") as archive:
        archive.writestr("a", b"0123456789")
    with zipfile.ZipFile(tmp_path / "a.zip") as archive:
        assert _read(archive, "a", 10) == b"0123456789"
        with pytest.raises(InputError, match="'a' unpacks to more than 9 bytes"):
            _read(archive, "a", 9)


def test_files_that_are_no_archives(other: WatchlistStore, tmp_path: Path) -> None:
    (tmp_path / "text.zip").write_text("hello")
    (tmp_path / "empty.zip").touch()
    for name in ("text.zip", "empty.zip", "missing.zip", "."):
        with pytest.raises(InputError):
            import_watchlist(other, tmp_path / name, CODEC)


def test_a_flipped_bit_or_a_cut_never_gets_in(
    store: WatchlistStore, other: WatchlistStore, tmp_path: Path
) -> None:
    export_watchlist(store, tmp_path / "w.zip")
    good = (tmp_path / "w.zip").read_bytes()
    here = content(store)
    generator = np.random.default_rng(7)
    for position in generator.integers(0, len(good), 150).tolist():
        flipped = bytearray(good)
        flipped[position] ^= 1 << position % 8
        for damaged in (bytes(flipped), good[:position]):
            (tmp_path / "d.zip").write_bytes(damaged)
            try:
                import_watchlist(other, tmp_path / "d.zip", CODEC)
            except InputError:
                assert content(other) == []
            else:  # a bit that carries no meaning, such as a date of the zip
                assert content(other) == here
                other.remove("p1")
                other.remove("p2")


@pytest.mark.parametrize("method", [zipfile.ZIP_LZMA, zipfile.ZIP_BZIP2, zipfile.ZIP_DEFLATED])
def test_a_damaged_packing_is_refused_whatever_it_is(
    store: WatchlistStore, other: WatchlistStore, tmp_path: Path, method: int
) -> None:
    export_watchlist(store, tmp_path / "w.zip")
    packed = tmp_path / "p.zip"
    with zipfile.ZipFile(tmp_path / "w.zip") as plain, zipfile.ZipFile(packed, "w", method) as archive:
        for name in plain.namelist():
            archive.writestr(name, plain.read(name))
        first = archive.infolist()[0]
    start, end = 30 + len(first.filename), 30 + len(first.filename) + first.compress_size
    good = packed.read_bytes()
    assert import_watchlist(other, packed, CODEC).identities
    other.remove("p1")
    other.remove("p2")
    for at in range(start + 20, min(end - 12, start + 95), 4):  # behind its header, before its end marks
        packed.write_bytes(good[:at] + bytes([good[at] ^ 0x55]) + good[at + 1 :])
        with pytest.raises(InputError, match=r"p\.zip"):
            import_watchlist(other, packed, CODEC)


@pytest.mark.parametrize("moment", ["9999-12-31T23:30:00-01:00", "0001-01-01T00:30:00+01:00"])
def test_a_time_that_leaves_the_calendar_is_refused_with_its_key(
    store: WatchlistStore, other: WatchlistStore, tmp_path: Path, moment: str
) -> None:
    export_watchlist(store, tmp_path / "w.zip")
    with zipfile.ZipFile(tmp_path / "w.zip") as plain, zipfile.ZipFile(tmp_path / "t.zip", "w") as changed:
        for name in plain.namelist():
            data = plain.read(name)
            if name == "watchlist.json":
                listing = json.loads(data)
                listing["identities"][0]["created_at"] = moment
                data = json.dumps(listing).encode()
            changed.writestr(name, data)
    with pytest.raises(InputError, match=r"identities\.0\.created_at"):
        import_watchlist(other, tmp_path / "t.zip", CODEC)


def test_an_encrypted_archive_is_refused(
    store: WatchlistStore, other: WatchlistStore, tmp_path: Path
) -> None:
    export_watchlist(store, tmp_path / "w.zip")
    data = bytearray((tmp_path / "w.zip").read_bytes())
    for mark, offset in ((b"PK\x03\x04", 6), (b"PK\x01\x02", 8)):
        at = data.find(mark)
        while at >= 0:
            data[at + offset] |= 1
            at = data.find(mark, at + 4)
    (tmp_path / "e.zip").write_bytes(data)
    with pytest.raises(InputError, match=r"encrypted|password"):
        import_watchlist(other, tmp_path / "e.zip", CODEC)
