"""The commands leave what the contract says, go on where they stopped, and refuse a folder of something else."""

import csv
import json
from collections.abc import Sequence
from pathlib import Path

import av
import cv2
import numpy as np
import pytest

from pipeline.cli.main import main
from trainers.datasets.crops import crops as read_crops
from trainers.evaluate.truth import read_labels, read_presence, read_truth
from trainers.world.clips import COLUMNS, ClipsPlan, Label, stays
from trainers.world.domains import DOMAINS
from trainers.world.hard import HARD_CASES
from trainers.world.jobs import Progress, announce_compiling
from trainers.world.scenes import galleries

CLIPS = ("--domain", "hall", "--seed", "7", "--people", "2", "--cameras", "2", "--seconds", "3", "--fps", "5",
         "--size", "320x180", "--workers", "1")  # fmt: skip


def _world(*arguments: str | Path) -> int:
    return main(["world", *map(str, arguments)])


@pytest.fixture(scope="module")
def clips(tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("world") / "clips"
    assert _world("clips", out, *CLIPS) == 0
    return out


def test_clips_are_video_of_the_length_asked_for(clips: Path) -> None:
    for number in (1, 2):
        with av.open(str(clips / f"hall-{number}.mp4")) as video:
            stream = video.streams.video[0]
            assert (stream.codec_context.name, stream.width, stream.height) == ("h264", 320, 180)
            assert sum(1 for _ in video.decode(video=0)) == 15


def test_the_truth_of_clips_is_read_by_evaluate(clips: Path) -> None:
    streams = read_truth(clips)
    assert [stream.stream_id for stream in streams] == ["hall-1", "hall-2"]
    assert any(read_labels(clips / f"hall-{number}.gt.txt") for number in (1, 2))
    assert (clips / "presence.csv").read_text().splitlines()[0] == ",".join(COLUMNS)
    assert read_presence(clips / "presence.csv")


def test_clips_come_with_people_and_photographs(clips: Path) -> None:
    people = json.loads((clips / "people.json").read_text())
    assert [person["id"] for person in people] == ["p1", "p2"]
    assert all(" " in person["name"] for person in people)
    assert [path.name for path in (clips / "enrol").iterdir()] == ["p1.jpg"]
    photograph = cv2.imread(str(clips / "enrol" / "p1.jpg"))
    assert photograph.shape[0] == 300


def test_a_stopped_command_goes_on_with_the_same_truth(clips: Path) -> None:
    labels, video = clips / "hall-2.gt.txt", clips / "hall-1.mp4"
    before, kept = labels.read_text(), video.stat().st_mtime_ns
    labels.unlink()
    assert _world("clips", clips, *CLIPS) == 0
    assert labels.read_text() == before
    assert video.stat().st_mtime_ns == kept


def test_a_folder_of_another_command_is_refused(clips: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert _world("clips", clips, "--domain", "street") == 3
    assert "holds the output of another command" in capsys.readouterr().err


@pytest.mark.parametrize(
    "wrong",
    [
        ("--domain", "moon"),
        ("--domain", "hall+moon"),
        ("--size", "31x7"),
        ("--split", "nobody"),
        ("--hard", "from-behind"),
    ],
)
def test_wrong_options_are_refused(tmp_path: Path, wrong: Sequence[str]) -> None:
    assert _world("clips", tmp_path / "out", *wrong) == 2
    assert not (tmp_path / "out").exists()


def test_cameras_of_several_domains_take_turns(tmp_path: Path) -> None:
    domains = (DOMAINS["hall"], DOMAINS["street"])
    plan = ClipsPlan(tmp_path, domains, "demo", 0, 2, 1, 7, 1.0, 5.0, (320, 180), HARD_CASES["uniforms"])
    assert plan.streams == ["hall-1", "street-1", "hall-2", "street-2", "hall-3", "street-3", "hall-4"]
    sites, where = plan.sites()
    assert [len(site.cameras) for site in sites] == [3, 1, 3]
    assert [(domain.name, site, lens) for domain, site, lens in where[-3:]] == [
        ("hall", 0, 2),
        ("street", 2, 2),
        ("hall", 1, 0),
    ]
    assert {look.outfit.hat for look in plan.looks} == {"cap"}


def test_gaps_shorter_than_two_seconds_do_not_end_a_stay() -> None:
    def seen(frame: int, number: int = 1, visibility: float = 1.0) -> Label:
        return Label(frame, number, (0, 0, 10, 60 + frame), visibility)

    labels = [seen(1), seen(2, visibility=0.3), seen(20), seen(60), seen(3, number=2)]
    assert stays(labels, fps=10.0) == [
        (1, 0.0, 2.0, 0.2, 80),
        (2, 0.2, 0.3, 0.1, 63),
        (1, 5.9, 6.0, 0.1, 120),
    ]


def test_crops_are_a_tree_that_the_data_sets_read(tmp_path: Path) -> None:
    out = tmp_path / "crops"
    options = ("--people", "2", "--cameras", "1", "--per-camera", "2", "--view", "480x270", "--workers", "1")
    assert _world("crops", out, *options) == 0
    splits = read_crops(out, 0).splits
    assert [len(splits[name]) for name in ("train", "query", "gallery")] == [2, 1, 1]
    for sample in (*splits["train"], *splits["query"], *splits["gallery"]):
        assert cv2.imread(str(sample.path)).shape == (256, 128, 3)
        mask = cv2.imread(str(sample.mask), cv2.IMREAD_GRAYSCALE)
        assert set(np.unique(mask)) == {0, 255}
        assert len(sample.text) >= 2
        assert sample.attributes["attributes"]["height"] > 1


def test_texts_do_not_move_the_pictures(tmp_path: Path) -> None:
    options = ("--people", "2", "--cameras", "1", "--per-camera", "2", "--view", "480x270", "--workers", "1")
    drawn = []
    for texts in ("1", "4"):
        assert _world("crops", tmp_path / texts, *options, "--texts", texts) == 0
        drawn.append([path.read_bytes() for path in sorted((tmp_path / texts).glob("[bq]*/*.jpg"))])
    assert len(drawn[0]) == 4
    assert drawn[0] == drawn[1]


def test_with_one_picture_a_camera_the_first_camera_asks(tmp_path: Path) -> None:
    out = tmp_path / "crops"
    options = ("--people", "2", "--cameras", "2", "--per-camera", "1", "--view", "480x270", "--workers", "1")
    assert _world("crops", out, *options) == 0
    splits = read_crops(out, 0).splits
    assert [[sample.camera for sample in splits[name]] for name in ("query", "gallery")] == [[1], [2]]


def test_one_picture_of_each_person_is_refused(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert _world("crops", tmp_path / "out", "--cameras", "1", "--per-camera", "1") == 2
    assert "--per-camera 2" in capsys.readouterr().err
    assert not (tmp_path / "out").exists()


def test_scenes_hold_what_their_records_say(tmp_path: Path) -> None:
    out = tmp_path / "scenes"
    options = ("--people", "3", "--scenes", "6", "--cameras", "1", "--size", "480x270", "--workers", "1")
    assert _world("scenes", out, *options) == 0
    scenes = [json.loads(line) for line in (out / "scenes.jsonl").read_text().splitlines()]
    assert len(scenes) == 6
    for scene in scenes:
        mask = cv2.imread(str(out / scene["mask"]), cv2.IMREAD_GRAYSCALE)
        assert set(np.unique(mask)) - {0} == {person["mask_value"] for person in scene["people"]}
    queries = [json.loads(line) for line in (out / "queries.jsonl").read_text().splitlines()]
    shown = {scene["scene"]: {p["person_id"] for p in scene["people"] if p["shown"]} for scene in scenes}
    for query in queries:
        assert (out / query["query"]).exists()
        assert all(query["person_id"] in shown[scene] for scene in query["present"])
        gallery = json.loads((out / "galleries.json").read_text())["50"][query["query"]]
        assert set(query["present"]) <= set(gallery)
        assert query["from"] not in gallery


def test_galleries_have_their_size_and_hide_nobody() -> None:
    scenes = [f"scenes/{number:06d}.jpg" for number in range(120)]
    query = {"query": "q", "from": scenes[0], "present": scenes[1:4]}
    made = galleries([query], scenes, seed=3)
    assert {size: len(lists["q"]) for size, lists in made.items()} == {"50": 50, "100": 100, "500": 119}
    assert made == galleries([query], scenes, seed=3)


def test_the_first_compilation_is_announced_once(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    announce_compiling(tmp_path)
    assert "compiling what draws the world" in capsys.readouterr().err
    (tmp_path / "__pycache__").mkdir()
    (tmp_path / "__pycache__" / "raster.nbi").touch()
    announce_compiling(tmp_path)
    assert capsys.readouterr().err == ""


def test_progress_tells_what_is_left() -> None:
    progress = Progress("frames", 100, clock=lambda: 0.0)
    progress.add(25)
    assert progress.line(10.0) == "25 of 100 frames, 30 s left"


def test_the_sheet_is_a_picture(tmp_path: Path) -> None:
    assert (
        _world("sheet", tmp_path / "sheet.jpg", "--people", "1", "--per-camera", "1", "--hard", "umbrellas")
        == 0
    )
    assert cv2.imread(str(tmp_path / "sheet.jpg")).shape == (160, 240, 3)


def test_rows_of_presence_are_in_the_order_of_the_streams(clips: Path) -> None:
    with (clips / "presence.csv").open() as lines:
        streams = [row["stream_id"] for row in csv.DictReader(lines)]
    assert streams == sorted(streams)
