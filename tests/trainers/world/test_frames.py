"""Pictures to train a detector on: whole, with boxes on the people, the same for the same options."""

import json
from pathlib import Path

import numpy as np
import pytest

from pipeline.cli.main import main
from trainers.world.camera import Camera, Mount
from trainers.world.clutter import any_mount, cluttered, is_useful
from trainers.world.domains import find_domain
from trainers.world.frames import FramesPlan
from trainers.world.ways import Ways

SIZE = (160, 90)
OPTIONS = ("--domain", "2-2", "--domain", "hall", "--frames", "8", "--cameras", "2", "--people", "6", "--size",
           "160x90", "--workers", "1")  # fmt: skip


def _frames(out: Path, *options: str) -> int:
    return main(["world", "frames", str(out), *options])


def _rows(out: Path, name: str) -> list[dict[str, list[list[int]]]]:
    return [json.loads(line) for line in (out / f"{name}.jsonl").read_text().splitlines()]


@pytest.fixture(scope="module")
def out(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("frames") / "out"
    assert _frames(folder, *OPTIONS) == 0
    return folder


def test_every_domain_has_its_pictures_and_its_people(out: Path) -> None:
    for name in ("random-2", "hall"):
        images, rows = np.load(out / f"{name}.npy"), _rows(out, name)
        assert images.shape == (8, SIZE[1], SIZE[0], 3)
        assert images.dtype == np.uint8
        assert len(rows) == 8
        assert any(row["boxes"] for row in rows)
        for row in rows:
            assert len(row["boxes"]) == len(row["visible"])
            for (x, y, w, h), visible in zip(row["boxes"], row["visible"], strict=True):
                assert 0 <= x < x + w <= SIZE[0]
                assert 0 <= y < y + h <= SIZE[1]
                assert 0 < visible <= 1


def test_people_are_where_the_boxes_say(out: Path) -> None:
    """The hall's cameras do not move: what differs between two pictures of one lies in the boxes of either."""
    images, rows = np.load(out / "hall.npy").astype(int), _rows(out, "hall")
    first, second = rows[0], rows[1]
    inside = np.zeros(images.shape[1:3], bool)
    for x, y, w, h in [*first["boxes"], *second["boxes"]]:
        inside[max(0, y - 2) : y + h + 2, max(0, x - 2) : x + w + 2] = True
    differs = np.abs(images[0] - images[1]).max(axis=2) > 90  # shadows and noise are less
    assert differs[inside].mean() > 20 * max(differs[~inside].mean(), 1e-3)


def test_a_stopped_command_goes_on_with_the_same(out: Path) -> None:
    before = (out / "hall.npy").read_bytes()
    (out / "hall.jsonl").unlink()
    assert _frames(out, *OPTIONS) == 0
    assert (out / "hall.npy").read_bytes() == before
    assert _frames(out, "--domain", "street") == 3


def test_nobody_is_in_two_domains() -> None:
    plan = FramesPlan(Path(), ("random-1", "hall"), None, None, "train", 0, 1, 1, 5, SIZE)
    bodies = [
        {look.body.seed for look in plan.looks(number, find_domain(name))}
        for number, name in enumerate(plan.domains)
    ]
    assert [len(seeds) for seeds in bodies] == [5, 5]
    assert not bodies[0] & bodies[1]


def test_things_stand_where_nobody_can() -> None:
    place = find_domain("hall").place()
    fuller = cluttered(place, np.random.default_rng(0), 8)
    assert len(fuller.solids.boxes) + len(fuller.solids.cylinders) >= 8 + len(place.solids.boxes) + len(
        place.solids.cylinders
    )
    before, after = Ways(place), Ways(fuller)
    points = np.random.default_rng(1).uniform((-9, -5), (9, 5), (400, 2)).tolist()
    free = [(before.is_free((x, y)), after.is_free((x, y))) for x, y in points]
    assert sum(was for was, _ in free) > sum(now for _, now in free)
    assert not any(now and not was for was, now in free)


def test_cameras_that_hang_anywhere_see_people() -> None:
    place = find_domain("garage").place()
    ways, rng = Ways(place), np.random.default_rng(0)
    for _ in range(3):
        assert is_useful(place, ways, Camera(any_mount(place, ways, SIZE, rng), *SIZE))


def test_a_camera_over_the_ceiling_is_of_no_use() -> None:
    place = find_domain("garage").place()
    (x, y, z), target, lens = (getattr(place.mounts[0], key) for key in ("position", "target", "hfov_deg"))
    ways = Ways(place)
    assert is_useful(place, ways, Camera(Mount((x, y, z), target, lens), *SIZE))
    assert not is_useful(place, ways, Camera(Mount((x, y, 3.4), target, lens), *SIZE))


def test_cameras_of_random_domains_hang_below_the_ceiling() -> None:
    """Wherever they are taken from: crops, scenes, clips and frames ask the place."""
    drawn = [find_domain(f"random-{seed}", scene="garage").place() for seed in range(12)]
    heights = [mount.position[2] for place in drawn for mount in place.mounts]
    assert max(heights) < drawn[0].ceiling == 2.9
    assert max(heights) - min(heights) > 0.5
    place = next(place for place in drawn if place.mounts[0].position[2] == max(heights))
    assert is_useful(place, Ways(place), Camera(place.mounts[0], *SIZE))
