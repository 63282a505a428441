"""Pairs of clips: labelled, with photos or enrolled from the clip; and of clips with nobody who is enrolled."""

import json
import re
import shlex
import shutil
from pathlib import Path

import numpy as np
import pytest

from pipeline.cli.main import main
from pipeline.config import Config
from pipeline.errors import InputError
from tests.pipeline.runner.rig import Rig, plug_in
from tests.support.enrolment_desk import CODEC
from tests.support.pictures import person
from tests.support.walks import HEIGHT_PX, STEP_PX, Shirt, walk, write_walk
from tests.trainers.test_calibrate import arrays
from tests.tree import ROOT
from trainers.evaluate.clip_pairs import clip_pairs

FRAMES = 40
CLIPS = 4
SHIRTS: list[Shirt] = [
    (30, 30, 200), (200, 30, 30), (30, 200, 30), (200, 200, 30), (30, 200, 200), (200, 30, 200),
    (120, 120, 120), (220, 220, 220), (20, 90, 160), (160, 90, 20), (90, 160, 20), (90, 20, 160),
]  # fmt: skip


def shirts_of(clip: int) -> list[Shirt]:
    return SHIRTS[3 * clip : 3 * clip + 3]


@pytest.fixture(scope="module")
def footage(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Three people walk through each clip, all of them different; labels of every frame."""
    folder = tmp_path_factory.mktemp("footage")
    width = person(HEIGHT_PX, SHIRTS[0]).shape[1]
    for clip in range(CLIPS):
        write_walk(folder / f"c{clip}.mp4", walk(FRAMES, *shirts_of(clip)))
        rows = [
            f"{number + 1},{3 * clip + place + 1},{10 + 90 * place + STEP_PX * number},40,{width},{HEIGHT_PX},1"
            for number in range(FRAMES)
            for place in range(3)
        ]
        (folder / f"c{clip}.gt.txt").write_text("\n".join(rows) + "\n")
    return folder


@pytest.fixture
def rig(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Rig:
    plug_in(monkeypatch)
    return Rig(tmp_path)


@pytest.fixture
def config(rig: Rig) -> Config:
    return rig.config()


def test_everybody_is_enrolled_from_the_clip_and_found_in_its_second_half(
    footage: Path, config: Config
) -> None:
    pairs = clip_pairs(footage, config)
    found = pairs.searches["picture"]
    assert found.distances.shape == (24, 12), "twelve tracks, whole and by half"
    assert found.genuine.sum() == 12
    assert found.impostor.sum() == 12 * 11
    assert not (found.genuine & found.impostor).any()
    assert found.distances[found.genuine].max() < np.quantile(found.distances[found.impostor], 0.2)
    seconds = CLIPS * FRAMES / 10
    assert pairs.people_per_camera_day == pytest.approx(12 / seconds * 86400)
    assert not (config.data_dir / "watchlist.db").exists(), "it works in a folder of its own"


def test_with_presence_and_photos_people_are_the_same_in_all_clips(
    footage: Path, config: Config, tmp_path: Path
) -> None:
    folder = tmp_path / "site"
    shutil.copytree(footage, folder)
    (folder / "enrol").mkdir()
    for number in (1, 4):
        photo = CODEC.encode(person(HEIGHT_PX, SHIRTS[number - 1]), 95)
        (folder / "enrol" / f"p{number}.jpg").write_bytes(photo)
    rows = [f"c{n // 3},p{n + 1},0,3.9,3.9,120" for n in range(12)]
    head = "stream_id,person_id,start_s,end_s,visible_s,max_height_px"
    (folder / "presence.csv").write_text("\n".join([head, *rows]) + "\n")
    found = clip_pairs(folder, config).searches["picture"]
    assert found.distances.shape == (12, 2)
    assert (found.genuine.sum(), found.impostor.sum()) == (2, 22)


def test_a_detection_of_nobody_labelled_is_a_stranger_and_half_a_person_is_nothing(
    footage: Path, config: Config, tmp_path: Path
) -> None:
    folder = tmp_path / "site"
    shutil.copytree(footage, folder)
    labels = folder / "c0.gt.txt"
    kept = [row for row in labels.read_text().splitlines() if row.split(",")[1] == "1"]
    labels.write_text("\n".join(kept) + "\n")
    found = clip_pairs(folder, config).searches["picture"]
    assert found.distances.shape == (12 + 10, 10)
    assert (found.people < 0).sum() == 2, "each a person of their own"
    assert found.impostor[found.people < 0].all()


def test_the_watchlist_against_everybody_seen(
    footage: Path, rig: Rig, capsys: pytest.CaptureFixture[str]
) -> None:
    for place in range(9):
        rig.enrol(f"p{place}", (10 + 25 * place, 250 - 25 * place, 128))
    out = rig.folder / "calibration.json"
    line = [
        "calibrate",
        str(footage),
        "-c",
        str(rig.write()),
        "--out",
        str(out),
        "--assume-impostors",
        "--json",
    ]
    assert main([*line, "--false-alarms-per-camera-day", "2000"]) == 0
    document = json.loads(capsys.readouterr().out)
    assert (document["picture"]["genuine"], document["picture"]["impostor"]) == (0, 12 * 9)
    assert document["picture"]["likelihood"] is None
    assert document["asked"]["people_per_camera_day"] == pytest.approx(12 / 16 * 86400)
    assert document["engines"]["embedder"].startswith("sha256:")


@pytest.mark.parametrize("labelled", [True, False])
def test_a_folder_without_clips_is_refused(tmp_path: Path, config: Config, labelled: bool) -> None:
    with pytest.raises(InputError, match=r"there is no \*\.mp4"):
        clip_pairs(tmp_path, config, assume_impostors=not labelled)


def test_an_empty_watchlist_is_refused(footage: Path, config: Config) -> None:
    with pytest.raises(InputError, match="nobody is enrolled"):
        clip_pairs(footage, config, assume_impostors=True)


def test_clips_in_which_nobody_is_seen_are_refused(rig: Rig, tmp_path: Path) -> None:
    rig.enrol("anna", SHIRTS[0])
    (tmp_path / "empty").mkdir()
    write_walk(tmp_path / "empty" / "door.mp4", walk(5))
    with pytest.raises(InputError, match="nobody was followed"):
        clip_pairs(tmp_path / "empty", rig.config(), assume_impostors=True)


def test_every_command_of_the_page_runs(footage: Path, rig: Rig, monkeypatch: pytest.MonkeyPatch) -> None:
    page = (ROOT / "docs" / "calibrate.md").read_text(encoding="utf-8")
    commands = [line for block in re.findall(r"```sh\n(.*?)```", page, re.S) for line in block.splitlines()]
    assert len(commands) >= 3
    for place in range(9):
        rig.enrol(f"p{place}", (10 + 25 * place, 250 - 25 * place, 128))
    rig.write().rename(rig.folder / "site.yaml")
    (rig.folder / "footage").symlink_to(footage)
    np.savez(rig.folder / "pairs.npz", **arrays())
    monkeypatch.chdir(rig.folder)
    for command in commands:
        kept = Path("calibration.json")
        kept.unlink(missing_ok=True)
        assert main(shlex.split(command, comments=True)[1:]) == 0, command
        assert kept.exists()
