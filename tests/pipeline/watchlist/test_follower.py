"""Changes reach a running pipeline, whoever makes them; vectors follow the engine."""

import subprocess
import sys
import time
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from engines.testing import stripe_embedder, write_engine
from pipeline import registry
from pipeline.errors import ConfigError
from pipeline.plugged import PluggedEmbedder
from pipeline.settings import choose
from pipeline.testing import FakeCodec, FakeEmbedder
from pipeline.watchlist.follower import WatchlistFollower, ensure_vectors
from pipeline.watchlist.records import Identity, NewPicture
from pipeline.watchlist.roster import WatchlistStore
from pipeline.watchlist.snapshot import WatchlistSnapshot, take_snapshot
from tests.support.pictures import BLUE, GREEN, RED, person

NOW = datetime(2026, 11, 21, 7, tzinfo=UTC)
CODEC = FakeCodec()
PICTURES = [NewPicture(CODEC.encode(person(60, shirt)), NOW) for shirt in (RED, GREEN, BLUE)]

ANOTHER_PROCESS = """
import sys
from datetime import UTC, datetime
from pathlib import Path
from pipeline.watchlist.records import Identity, NewPicture
from pipeline.watchlist.roster import WatchlistStore

now = datetime.now(UTC)
with WatchlistStore(Path(sys.argv[1])) as store:
    store.add(Identity("p9", "From afar", None, None, now), [NewPicture(Path(sys.argv[2]).read_bytes(), now)])
"""


def someone(id_: str, valid_until: datetime | None = None) -> Identity:
    return Identity(id_, None, None, valid_until, NOW)


@pytest.fixture
def store(tmp_path: Path) -> Iterator[WatchlistStore]:
    with WatchlistStore(tmp_path / "w.db") as opened:
        yield opened


@pytest.fixture
def other(store: WatchlistStore, tmp_path: Path) -> Iterator[WatchlistStore]:
    with WatchlistStore(tmp_path / "w.db") as opened:
        yield opened


def follow(store: WatchlistStore, embedder: FakeEmbedder | None = None) -> WatchlistFollower:
    return WatchlistFollower(store, PluggedEmbedder.of(embedder or FakeEmbedder()), CODEC)


def fresh(follower: WatchlistFollower, now: datetime = NOW) -> WatchlistSnapshot:
    snapshot = follower.refresh(now)
    assert snapshot is not None
    return snapshot


def test_the_first_call_gives_a_snapshot_and_the_next_nothing(store: WatchlistStore) -> None:
    follower = follow(store)
    assert len(fresh(follower)) == 0
    assert fresh(follow(store)).vectors.shape == (0, 4)
    assert follower.refresh(NOW) is None


def test_a_change_by_another_connection_is_seen(store: WatchlistStore, other: WatchlistStore) -> None:
    follower = follow(store)
    fresh(follower)
    other.add(someone("p1"), PICTURES)
    snapshot = fresh(follower)
    assert snapshot.version == 1
    assert snapshot.identity_ids == ("p1", "p1", "p1")
    other.remove("p1")
    assert len(fresh(follower)) == 0
    assert follower.refresh(NOW) is None


def test_a_change_through_the_same_store_is_seen(store: WatchlistStore) -> None:
    follower = follow(store)
    fresh(follower)
    store.add(someone("p1"), PICTURES)
    assert len(fresh(follower)) == 3


def test_another_process_is_seen_within_a_second(store: WatchlistStore, tmp_path: Path) -> None:
    follower = follow(store)
    fresh(follower)
    picture = tmp_path / "p9.raw"
    picture.write_bytes(PICTURES[0].picture)
    subprocess.run(
        [sys.executable, "-c", ANOTHER_PROCESS, tmp_path / "w.db", picture], check=True, timeout=60
    )
    start = time.perf_counter()
    snapshot = fresh(follower)
    assert time.perf_counter() - start < 1.0
    assert snapshot.identities["p9"].name == "From afar"
    assert snapshot.identity_ids == ("p9",)


def test_somebody_expires_without_any_change(store: WatchlistStore) -> None:
    store.add(someone("p1", NOW + timedelta(seconds=10)), PICTURES[:1])
    store.add(someone("p2", NOW + timedelta(seconds=20)), PICTURES[1:2])
    store.add(someone("p3"), PICTURES[2:])
    follower = follow(store)
    assert fresh(follower).identity_ids == ("p1", "p2", "p3")
    assert follower.refresh(NOW + timedelta(seconds=9.9)) is None
    assert fresh(follower, NOW + timedelta(seconds=10)).identity_ids == ("p2", "p3")
    assert follower.refresh(NOW + timedelta(seconds=19)) is None
    last = fresh(follower, NOW + timedelta(seconds=20))
    assert last.identity_ids == ("p3",)
    assert list(last.identities) == ["p3"]
    assert follower.refresh(NOW + timedelta(days=999)) is None


def test_a_clock_that_is_set_back_brings_back_who_seemed_to_be_over(store: WatchlistStore) -> None:
    store.add(someone("p1", NOW + timedelta(days=1)), PICTURES[:1])
    follower = follow(store)
    assert fresh(follower, NOW + timedelta(days=3650)).identity_ids == ()
    assert fresh(follower, NOW).identity_ids == ("p1",)
    assert follower.refresh(NOW + timedelta(seconds=1)) is None


def test_the_vectors_are_those_of_the_pictures(store: WatchlistStore) -> None:
    ids = store.add(someone("p1"), PICTURES)
    snapshot = fresh(follow(store))
    expected = PluggedEmbedder.of(FakeEmbedder()).embed([CODEC.decode(new.picture) for new in PICTURES])
    assert snapshot.enrolment_ids.tolist() == ids
    assert snapshot.vectors.dtype == np.float16
    np.testing.assert_allclose(snapshot.vectors, expected, atol=1e-3)


def test_another_engine_embeds_everything_again_once(store: WatchlistStore) -> None:
    store.add(someone("p1"), PICTURES)
    first, second = FakeEmbedder("sha256:a"), FakeEmbedder("sha256:b")
    fresh(follow(store, first))
    fresh(follow(store, second))
    fresh(follow(store, second))
    assert (first.embedded, second.embedded) == (3, 3)
    fresh(follow(store, first))
    assert first.embedded == 3


def test_what_another_process_enrols_with_another_engine_is_embedded_here(
    store: WatchlistStore, other: WatchlistStore
) -> None:
    embedder = FakeEmbedder("sha256:ours")
    follower = follow(store, embedder)
    fresh(follower)
    foreign = NewPicture(PICTURES[0].picture, NOW, "sha256:theirs", np.full(9, 1 / 3, np.float32))
    other.add(someone("p1"), [foreign])
    snapshot = fresh(follower)
    assert embedder.embedded == 1
    assert snapshot.engine_digest == "sha256:ours"
    assert snapshot.vectors.shape == (1, 4)
    assert follower.refresh(NOW) is None


def test_a_vector_of_the_wrong_length_is_made_again(store: WatchlistStore) -> None:
    digest = PluggedEmbedder.of(FakeEmbedder()).digest
    store.add(someone("p1"), [NewPicture(PICTURES[0].picture, NOW, digest, np.full(9, 1 / 3, np.float32))])
    assert fresh(follow(store)).vectors.shape == (1, 4)


def test_a_picture_that_cannot_be_read_is_left_out_and_named(store: WatchlistStore) -> None:
    store.add(someone("p1"), [NewPicture(b"rubbish", NOW), PICTURES[0]])
    follower = follow(store)
    assert fresh(follower).enrolment_ids.tolist() == [2]
    assert [(bad.enrolment_id, bad.identity_id) for bad in follower.unusable] == [(1, "p1")]
    assert "not a fake picture" in follower.unusable[0].problem


def test_more_pictures_than_fit_one_batch(store: WatchlistStore) -> None:
    store.add(someone("p1"), PICTURES * 25)
    assert ensure_vectors(store, PluggedEmbedder.of(FakeEmbedder()), CODEC) == ()
    assert len(take_snapshot(store, PluggedEmbedder.of(FakeEmbedder()), NOW)) == 75


def test_huge_pictures_are_unpacked_in_parts(store: WatchlistStore) -> None:
    class Large(FakeCodec):
        def decode(self, data: bytes) -> Any:
            return np.broadcast_to(super().decode(data)[:1, :1], (4000, 5000, 3))

    class Counting(FakeEmbedder):
        def embed(self, crops: Any) -> Any:
            batches.append(len(crops))
            return np.tile(super().embed([person()]), (len(crops), 1))

    batches: list[int] = []
    store.add(someone("p1"), PICTURES)
    assert ensure_vectors(store, PluggedEmbedder.of(Counting()), Large()) == ()
    assert batches == [2, 1]


@pytest.mark.parametrize("factor", [np.nan, 0.5])
def test_vectors_that_are_no_unit_vectors_are_refused(store: WatchlistStore, factor: float) -> None:
    class Broken(FakeEmbedder):
        def embed(self, crops):  # type: ignore[no-untyped-def]
            return super().embed(crops) * np.float32(factor)

    store.add(someone("p1"), PICTURES)
    with pytest.raises(ConfigError, match="sha256:fake gave a vector that is not of unit length"):
        follow(store, Broken()).refresh(NOW)


def test_an_embedder_without_a_digest_goes_by_its_class() -> None:
    class Plain(FakeEmbedder):
        def __init__(self) -> None:
            super().__init__(engine_digest="")

    assert PluggedEmbedder.of(Plain()).digest.endswith("Plain/4")
    assert PluggedEmbedder.of(Plain()).digest != PluggedEmbedder.of(FakeEmbedder()).digest


def test_pictures_are_fetched_when_asked_for(store: WatchlistStore, other: WatchlistStore) -> None:
    ids = store.add(someone("p1"), PICTURES[:2]) + store.add(someone("p2"), PICTURES[2:])
    snapshot = fresh(follow(store))
    found = snapshot.look_up([ids[2], ids[0], 999])
    assert set(found) == {ids[2], ids[0]}
    assert found[ids[2]].identity_id == "p2"
    assert found[ids[2]].picture == PICTURES[2].picture
    assert np.linalg.norm(found[ids[0]].embedding) == pytest.approx(1, abs=1e-3)
    other.remove("p2")
    assert set(snapshot.look_up(ids)) == set(ids[:2])


def test_a_snapshot_cannot_be_changed(store: WatchlistStore) -> None:
    store.add(someone("p1"), PICTURES)
    with pytest.raises(ValueError, match="read-only"):
        fresh(follow(store)).vectors[0] = 0


class OddAboutBlue(FakeEmbedder):
    """Gives no unit vector of one colour."""

    def embed(self, crops: Any) -> Any:
        rows = super().embed(crops)
        rows[[crop.mean(axis=(0, 1)).argmax() == 0 for crop in crops]] = np.nan
        return rows


def test_a_picture_that_no_vector_can_be_made_of_costs_nobody_else_anything(store: WatchlistStore) -> None:
    store.add(someone("p1"), [NewPicture(each.picture, NOW) for each in PICTURES])
    follower = follow(store, OddAboutBlue())
    assert len(fresh(follower)) == 2
    (left_out,) = follower.unusable
    assert (left_out.enrolment_id, left_out.identity_id) == (3, "p1")
    store.add(someone("p2"), [NewPicture(PICTURES[2].picture, NOW)])
    assert len(fresh(follower)) == 2, "alone, beside others that have theirs, neither"
    assert [each.identity_id for each in follower.unusable] == ["p1", "p2"]


def test_of_the_only_picture_without_a_vector_the_reason_is_told(store: WatchlistStore) -> None:
    store.add(someone("p1"), PICTURES[:1])
    follower = follow(store, OddAboutBlue())
    fresh(follower)
    store.add(someone("p2"), PICTURES[2:])
    fresh(follower)
    (left_out,) = follower.unusable
    assert left_out.identity_id == "p2"
    assert "not of unit length" in left_out.problem


def test_a_manifest_that_is_put_right_makes_the_vectors_anew(store: WatchlistStore, tmp_path: Path) -> None:
    """The same network, fed as bgr when people were enrolled and as rgb afterwards, is another engine."""
    store.add(someone("anna"), PICTURES[:1])
    lacking, made = [], []
    for colour in ("bgr", "rgb", "rgb"):
        keys = {"preprocess": {"colour": colour, "resize": "stretch", "size": [64, 32]}}
        path = write_engine(tmp_path / "engine", stripe_embedder((64, 32)), **keys)
        choice = choose("onnx", engine=str(path))
        embedder = PluggedEmbedder.of(registry.build("embedder", choice, tmp_path, "embedder"))
        lacking.append(len(store.lacking_vectors(embedder.digest, embedder.dimension)))
        assert ensure_vectors(store, embedder, CODEC) == ()
        made.append(take_snapshot(store, embedder, NOW).vectors)
    assert lacking == [1, 1, 0], "once for each way of feeding it"
    assert np.linalg.norm(np.float32(made[0] - made[1])) > 0.1
    assert np.array_equal(made[1], made[2])
