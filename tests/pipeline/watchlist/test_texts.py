"""People enrolled by texts, all through the watchlist: stored, embedded, found, carried elsewhere."""

import json
import zipfile
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import jsonschema
import numpy as np
import pytest

from pipeline.desk.enrol import EnrolReport, enrol
from pipeline.desk.portrait import PortraitMaker
from pipeline.errors import ConfigError, InputError
from pipeline.identify.calibration import Cuts
from pipeline.identify.decide import CoolDown
from pipeline.identify.hits import HitBook
from pipeline.identify.shortlist import Matcher
from pipeline.identify.stage import IdentifyStage
from pipeline.messages import TrackKey
from pipeline.plugged import PluggedEmbedder, PluggedVerifier
from pipeline.testing import FakeCodec, FakeEmbedder, FakeReader, ListBus, tracklet
from pipeline.watchlist.exchange import export_watchlist, import_watchlist
from pipeline.watchlist.follower import WatchlistFollower, ensure_vectors
from pipeline.watchlist.mirror import WatchlistMirror
from pipeline.watchlist.records import MAX_TEXT, Identity, NewPicture, NewText
from pipeline.watchlist.roster import WatchlistStore
from pipeline.watchlist.schemas import identity_schema, watchlist_schema
from pipeline.watchlist.shared import MAX_BYTES, from_row, publish, to_row
from pipeline.watchlist.snapshot import take_snapshot
from plugins.verifier_distance import DistanceVerifier
from tests.support.evidence import evidence, exact
from tests.support.pictures import BLUE, GREEN, RED, person

NOW = datetime(2026, 11, 21, 7, tzinfo=UTC)
CODEC = FakeCodec()


def painted(colour: tuple[int, int, int]) -> bytes:
    return CODEC.encode(np.full((8, 4, 3), colour, np.uint8))


def someone(id_: str = "p1") -> Identity:
    return Identity(id_, None, None, None, NOW)


@pytest.fixture
def store(tmp_path: Path) -> Iterator[WatchlistStore]:
    """p1 by a text, then a picture, then a text; p2 by a picture."""
    with WatchlistStore(tmp_path / "w.db") as opened:
        later = NOW + timedelta(minutes=1)
        opened.add(
            someone(), [NewText("all in red", NOW), NewPicture(painted(GREEN), NOW), NewText("blüe", later)]
        )
        opened.add(someone("p2"), [NewPicture(painted(BLUE), NOW)])
        yield opened


@pytest.fixture
def other(tmp_path: Path) -> Iterator[WatchlistStore]:
    with WatchlistStore(tmp_path / "other.db") as opened:
        yield opened


def told(store: WatchlistStore, id_: str = "p1") -> list[tuple[str, str | None, datetime]]:
    return [(each.kind, each.text, each.added_at) for each in store.enrolments(id_)]


class TestStored:
    def test_pictures_and_texts_are_told_apart(self, store: WatchlistStore) -> None:
        assert [(e.kind, e.text, e.size_bytes) for e in store.enrolments("p1")] == [
            ("text", "all in red", 10), ("picture", None, len(painted(GREEN))), ("text", "blüe", 5),
        ]  # fmt: skip
        assert store.texts([1, 2, 3]) == {1: "all in red", 3: "blüe"}
        assert set(store.pictures([1, 2, 3])) == {2}

    @pytest.mark.parametrize("text", ["", "  ", "two\nlines", "bell\a", "\udcff", "x" * (MAX_TEXT + 1)])
    def test_what_is_no_text_is_refused(self, text: str) -> None:
        with pytest.raises(InputError, match="cannot be enrolled as a text"):
            NewText(text, NOW)


class TestEmbedded:
    def test_by_the_text_tower_and_marked(self, store: WatchlistStore) -> None:
        reader = PluggedEmbedder.of(FakeReader())
        store.remove("p1")
        store.add(someone("p3"), [NewText("all in red", NOW)])
        assert ensure_vectors(store, reader, CODEC) == ()
        snapshot = take_snapshot(store, reader, NOW)
        assert (snapshot.identity_ids, snapshot.is_text.tolist()) == (("p2", "p3"), [False, True])
        np.testing.assert_allclose(snapshot.vectors[1], reader.embed_text(["all in red"])[0], atol=1e-3)
        shown = snapshot.look_up(snapshot.enrolment_ids.tolist())
        assert [(each.picture, each.text) for each in shown.values()] == [
            (painted(BLUE), None), (None, "all in red"),
        ]  # fmt: skip

    def test_what_this_embedder_cannot_read_is_left_out_and_named(self, store: WatchlistStore) -> None:
        blind = WatchlistFollower(store, PluggedEmbedder.of(FakeEmbedder()), CODEC)
        snapshot = blind.refresh(NOW)
        assert snapshot is not None
        assert snapshot.identity_ids == ("p1", "p2")
        assert [(bad.enrolment_id, bad.problem) for bad in blind.unusable] == [
            (1, "this embedder reads no texts"), (3, "this embedder reads no texts"),
        ]  # fmt: skip
        store.add(someone("p3"), [NewText("red and more than the ten words that this tower reads", NOW)])
        store.remove("p1")
        (bad,) = ensure_vectors(store, PluggedEmbedder.of(FakeReader("sha256:r")), CODEC)
        assert (bad.identity_id, bad.problem) == ("p3", "the text is longer than ten words. shorten it")


class TestFound:
    @pytest.mark.parametrize("cut", [None, 0.6])
    def test_by_their_own_cut_beside_people_enrolled_by_pictures(
        self, tmp_path: Path, cut: float | None
    ) -> None:
        reader = PluggedEmbedder.of(FakeReader())
        cuts = Cuts(0.2, cut)
        stage = IdentifyStage(
            Matcher(
                exact(),
                40,
                cuts,
                texts=exact() if cut else None,
            ),
            PluggedVerifier.of(DistanceVerifier(DistanceVerifier.Config())),
            HitBook("hall", CoolDown(30.0)),
            evidence(tmp_path),
            cuts=cuts,
            margin=0.05,
        )
        with WatchlistStore(tmp_path / "w.db") as store:
            store.add(someone("anna"), [NewText("red", NOW)])
            store.add(someone("luca"), [NewPicture(painted(GREEN), NOW)])
            snapshot = WatchlistFollower(store, reader, CODEC).refresh(NOW)
            assert snapshot is not None
            list(stage.use(snapshot))
            seen = [reader.embed([np.full((8, 4, 3), c, np.uint8)])[0] for c in (RED, GREEN, BLUE)]
            asked = [tracklet(TrackKey("door", "e1", i), embedding=tuple(v)) for i, v in enumerate(seen)]
            hits = list(stage.on_batch(asked))
        by = {hit.identity.id: hit.decision for hit in hits}
        assert set(by) == ({"luca"} if cut is None else {"anna", "luca"})
        assert by["luca"].max_distance == 0.2
        if cut is not None:
            assert by["anna"].max_distance == pytest.approx(0.6)
            assert 0.2 < by["anna"].distance < 0.6


class TestEnrolling:
    def put(
        self, store: WatchlistStore, *texts: str, image: Path | None = None, blind: bool = False
    ) -> EnrolReport:
        embedder = PluggedEmbedder.of(FakeEmbedder()) if blind else PluggedEmbedder.of(FakeReader())
        images = [] if image is None else [image]
        return enrol(
            store, someone("p7"), images, PortraitMaker(CODEC), embedder, max_distance=0.2, now=NOW, texts=texts
        )  # fmt: skip

    def test_texts_beside_a_picture_that_passes_or_not(self, other: WatchlistStore, tmp_path: Path) -> None:
        (tmp_path / "a.jpg").write_bytes(CODEC.encode(person(90)))
        report = self.put(other, " all in red ", "blue", image=tmp_path / "a.jpg")
        assert (report.pictures, report.texts, report.enrolled, report.warnings) == (1, 2, 3, [])
        assert [kind for kind, *_ in told(other, "p7")] == ["picture", "text", "text"]
        assert told(other, "p7")[1][1] == "all in red"
        assert other.lacking_vectors("sha256:fake", 4) == []
        report = self.put(other, "green", image=tmp_path / "none.jpg")
        assert (report.enrolled, len(report.refused)) == (1, 1)
        assert self.put(other, "green").warnings == ["already enrolled: green"]

    def test_texts_are_no_lookalikes_of_pictures(self, other: WatchlistStore, tmp_path: Path) -> None:
        self.put(other, "all in red")
        (tmp_path / "a.jpg").write_bytes(CODEC.encode(person(90)))
        report = enrol(
            other,
            someone("p8"),
            [tmp_path / "a.jpg"],
            PortraitMaker(CODEC),
            PluggedEmbedder.of(FakeReader()),
            max_distance=2,
            now=NOW,
        )
        assert report.warnings == []

    @pytest.mark.parametrize(
        ("text", "blind", "error"),
        [
            ("red", True, ConfigError),
            ("red and more than the ten words that this tower reads", False, InputError),
            ("", False, InputError),
        ],
    )
    def test_nothing_changes_where_one_text_cannot_be_read(
        self, other: WatchlistStore, text: str, blind: bool, error: type[Exception]
    ) -> None:
        with pytest.raises(error):
            self.put(other, text, blind=blind)
        assert other.version == 0


class TestElsewhere:
    def test_an_archive_brings_them_in_their_order_without_vectors(
        self, store: WatchlistStore, other: WatchlistStore, tmp_path: Path
    ) -> None:
        ensure_vectors(store, PluggedEmbedder.of(FakeEmbedder()), CODEC)
        export_watchlist(store, tmp_path / "w.zip")
        import_watchlist(other, tmp_path / "w.zip", CODEC)
        assert told(other) == told(store)
        assert import_watchlist(other, tmp_path / "w.zip", CODEC).identities, "the same again is no conflict"
        export_watchlist(other, tmp_path / "again.zip")
        assert (tmp_path / "again.zip").read_bytes() == (tmp_path / "w.zip").read_bytes()
        with zipfile.ZipFile(tmp_path / "w.zip") as archive:
            document = json.loads(archive.read("watchlist.json"))
            assert len(archive.namelist()) == 3
        jsonschema.validate(document, watchlist_schema())
        assert document["identities"][0]["enrolments"][2] == {
            "kind": "text", "text": "blüe", "added_at": "2026-11-21T07:01:00Z",
        }  # fmt: skip
        assert other.lacking_vectors("sha256:fake", 4) == other.enrolments(), (
            "embedded again where they are needed"
        )

    @pytest.mark.parametrize(
        ("changes", "problem"),
        [
            ({"kind": "smell"}, "smell"),
            ({"text": ""}, "at least 1 character"),
            ({"text": "two\nlines"}, "cannot be enrolled as a text"),
            ({"file": "pictures/x"}, "file: unknown key"),
        ],
    )
    def test_an_archive_with_a_wrong_text_is_refused_whole(
        self,
        store: WatchlistStore,
        other: WatchlistStore,
        tmp_path: Path,
        changes: dict[str, str],
        problem: str,
    ) -> None:
        store.remove("p2")
        export_watchlist(store, tmp_path / "w.zip")
        with zipfile.ZipFile(tmp_path / "w.zip") as archive:
            members = {name: archive.read(name) for name in archive.namelist()}
        document = json.loads(members["watchlist.json"])
        document["identities"][0]["enrolments"][0] |= changes
        with zipfile.ZipFile(tmp_path / "w.zip", "w") as archive:
            for name, data in members.items():
                archive.writestr(name, json.dumps(document) if name == "watchlist.json" else data)
        with pytest.raises(InputError, match=problem):
            import_watchlist(other, tmp_path / "w.zip", CODEC)
        assert other.version == 0

    def test_a_shared_row_brings_them_with_their_vectors(self, store: WatchlistStore, tmp_path: Path) -> None:
        store.remove("p1")
        store.add(someone(), [NewText("all in red", NOW), NewPicture(painted(GREEN), NOW)])
        ensure_vectors(store, PluggedEmbedder.of(FakeReader()), CODEC)
        row = to_row(store, "p1", CODEC)
        assert row is not None
        jsonschema.validate(json.loads(row), identity_schema())
        shared, enrolments = from_row(b"p1", row)
        assert [each.kind for each in enrolments] == ["picture", "text"]
        assert [each.text for each in shared.texts] == ["all in red"]
        bus = ListBus()
        publish(store, bus.watchlist, CODEC, ["p1"])
        with (
            WatchlistMirror(bus, WatchlistStore.in_folder(tmp_path / "gpu")) as mirror,
            WatchlistStore.in_folder(tmp_path / "gpu") as here,
        ):
            mirror.follow()
            assert sorted(told(here)) == sorted(told(store))
            assert here.lacking_vectors("sha256:fake", 4) == []
            state = here.state()
            publish(store, bus.watchlist, CODEC, ["p1"])
            mirror.follow()
            assert here.state() == state, "what is the same is left alone"
            store.add(someone(), [NewText("green", NOW)])
            publish(store, bus.watchlist, CODEC, ["p1"])
            mirror.follow()
            assert [text for _, text, _ in told(here)] == [None, "all in red", "green"]

    def test_a_store_that_is_its_own_mirror_keeps_its_order(self, tmp_path: Path) -> None:
        bus = ListBus()
        with (
            WatchlistStore.in_folder(tmp_path) as store,
            WatchlistMirror(bus, WatchlistStore.in_folder(tmp_path)) as mirror,
        ):
            store.add(someone(), [NewText("red", NOW), NewPicture(painted(GREEN), NOW)])
            publish(store, bus.watchlist, CODEC, ["p1"])
            before = store.enrolments()
            mirror.follow()
            assert store.enrolments() == before

    def test_too_many_texts_for_one_row_are_refused(self, other: WatchlistStore) -> None:
        other.add(someone(), [NewText(f"{i:09d}" * 55, NOW) for i in range(MAX_BYTES // 495)])
        with pytest.raises(InputError, match="too many texts"):
            to_row(other, "p1", CODEC)

    def test_a_row_of_an_older_program_has_none(self, store: WatchlistStore) -> None:
        row = json.loads(to_row(store, "p2", CODEC) or b"")
        del row["texts"]
        assert from_row(b"p2", json.dumps(row).encode())[0].texts == ()
