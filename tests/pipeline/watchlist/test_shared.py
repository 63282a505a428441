"""Rows of the watchlist that all processes share, there and back."""

import base64
import json
from pathlib import Path

import jsonschema
import numpy as np
import pytest

from pipeline.errors import InputError
from pipeline.testing import ListBus
from pipeline.watchlist.records import NewPicture
from pipeline.watchlist.roster import WatchlistStore
from pipeline.watchlist.schemas import identity_schema
from pipeline.watchlist.shared import MAX_BYTES, from_row, publish, to_row
from tests.pipeline.watchlist.office import NOW, VECTOR, anna, people
from tests.support.enrolment_desk import CODEC
from tests.tree import ROOT


def test_an_identity_arrives_as_it_was_with_its_pictures_and_vectors(office: WatchlistStore) -> None:
    row = to_row(office, "anna", CODEC)
    assert row is not None
    shared, pictures = from_row(b"anna", row)
    assert (shared.identity, shared.version) == (office.identity("anna"), office.version)
    stored = office.pictures(e.id for e in office.enrolments("anna"))
    assert [p.picture for p in pictures] == list(stored.values())
    assert {p.engine_digest for p in pictures} == {"sha256:e"}
    np.testing.assert_allclose(pictures[0].vector, VECTOR, atol=1e-3)  # type: ignore[arg-type]
    assert to_row(office, "luca", CODEC) is None
    jsonschema.validate(json.loads(row), identity_schema())


@pytest.mark.parametrize("name", ["identity", "contents", "watchlist", "engine", "tracklet", "hit"])
def test_the_published_schemas_are_up_to_date(name: str) -> None:
    from pipeline.cli.schema import SCHEMAS

    published = json.loads((ROOT / "configs" / "schemas" / f"{name}-1.json").read_text(encoding="utf-8"))
    assert published == json.loads(json.dumps(SCHEMAS[name]())), f"musewatch schema {name}"


def test_pictures_shrink_until_the_row_fits(office: WatchlistStore) -> None:
    noise = np.random.default_rng(1).integers(0, 256, (900, 900, 3), np.uint8)
    office.add(anna(), [NewPicture(CODEC.encode(noise, 95), NOW)])
    row = to_row(office, "anna", CODEC)
    assert row is not None
    assert len(row) <= MAX_BYTES
    shared, pictures = from_row(b"anna", row)
    assert CODEC.decode(pictures[2].picture).shape[0] < 900
    assert [p.sha256 for p in shared.pictures] == people(office)["anna"], "the originals' digests"
    assert [p.sha256 for p in pictures[:2]] == people(office)["anna"][:2], "small ones stay as they are"


@pytest.mark.parametrize(
    ("broad", "smaller"), [((50, 1000, 3), (16, 342)), ((1, 12_000, 3), (1, 8400))], ids=["broad", "one row"]
)
def test_the_largest_picture_shrinks_wherever_it_stands(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, broad: tuple[int, ...], smaller: tuple[int, int]
) -> None:
    small, large = (NewPicture(CODEC.encode(np.zeros(size, np.uint8)), NOW) for size in ((20, 20, 3), broad))
    monkeypatch.setattr("pipeline.watchlist.shared.MAX_PIXELS", 10_000)
    with WatchlistStore.in_folder(tmp_path) as store:
        store.add(anna(), [small, large, small])
        publish(store, (bus := ListBus()).watchlist, CODEC, ["anna"])
    _, pictures = from_row(b"anna", bus.watchlist.log[0].value or b"")
    assert [CODEC.decode(each.content).shape[:2] for each in pictures] == [(20, 20), smaller, (20, 20)]


@pytest.mark.parametrize(
    ("key", "changes", "problem"),
    [
        (b"luca", {}, "another key"),
        (b"anna", {"schema": "musewatch.identity/2"}, "schema"),
        (b"anna", {"created_at": "2026-01-01T00:00:00"}, "created_at"),
        (b"anna", {"pictures": [{"file": "%%", "sha256": "0" * 64, "added_at": "2026-01-01T00:00:00Z", "vectors": {}}]},
         "not base64"),
        (b"anna", {"pictures": [{"file": "AAAA", "sha256": "0" * 64, "added_at": "2026-01-01T00:00:00Z",
                                 "vectors": {"sha256:e": "AAAA"}}]}, "cut short"),
        (b"anna", {"version": 10**30}, "version"),
        (b"anna", {"version": 1e300}, "version"),
        (b"anna", {"created_at": "9999-12-31T23:59:59-14:00"}, "created_at: .*in UTC"),
        (b"anna", {"valid_until": "0001-01-01T00:00:00+14:00"}, "valid_until: .*in UTC"),
        (b"anna", {"created_at": 1e300}, "created_at"),
        (b"anna", {"name": "an\u202ena"}, "name: .*printable"),
        (b"anna", {"purpose": "x" * 501}, "purpose"),
        (b"anna", {"more": "x" * MAX_BYTES}, "more than 900000"),
    ],
)  # fmt: skip
def test_what_is_no_row_is_refused(
    office: WatchlistStore, key: bytes, changes: dict[str, object], problem: str
) -> None:
    row = json.loads(to_row(office, "anna", CODEC) or b"")
    with pytest.raises(InputError, match=problem):
        from_row(key, json.dumps({**row, **changes}).encode())
    with pytest.raises(InputError, match="not an identity"):
        from_row(key, b"\xff")


def test_the_reason_of_a_refusal_has_an_end(office: WatchlistStore) -> None:
    row = json.loads(to_row(office, "anna", CODEC) or b"")
    row["pictures"][0]["vectors"] = {"e" * 400: 1}
    with pytest.raises(InputError, match="not an identity") as refused:
        from_row(b"anna", json.dumps(row).encode())
    assert len(refused.value.problem) == 300


def test_pictures_of_too_many_pixels_are_refused_before_they_are_unpacked_and_never_sent(
    office: WatchlistStore,
) -> None:
    row = json.loads(to_row(office, "anna", CODEC) or b"")
    bomb = CODEC.encode(np.zeros((4096, 8000, 3), np.uint8), 10)
    for bad, problem in ((bomb, "more than 32000000 pixels"), (b"no picture", "not a picture")):
        row["pictures"][0]["file"] = base64.b64encode(bad).decode()
        with pytest.raises(InputError, match=problem):
            from_row(b"anna", json.dumps(row).encode())
    office.add(anna(), [NewPicture(bomb, NOW)])
    shared, pictures = from_row(b"anna", to_row(office, "anna", CODEC) or b"")
    assert CODEC.decode(pictures[2].picture).shape == (2867, 5600, 3)
    assert shared.pictures[2].sha256 == NewPicture(bomb, NOW).sha256
