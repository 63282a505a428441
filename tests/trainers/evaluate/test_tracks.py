"""Tracks of drawn people who walk, counted against labels written for them."""

import json
from dataclasses import replace
from itertools import pairwise
from pathlib import Path

import pytest
from typer.testing import CliRunner

from pipeline.errors import InputError
from pipeline.testing import frame
from tests.pipeline.runner.rig import Rig, plug_in
from tests.support.pictures import BLUE, RED, person
from tests.support.walks import HEIGHT_PX, STEP_PX, walk, write_walk
from trainers.evaluate.cli import app
from trainers.evaluate.frames import Thinning

FRAMES = 30
WIDE = person(HEIGHT_PX, RED).shape[1]


def label(frame: int, who: int, conf: int = 1) -> str:
    return f"{frame},{who},{10 + 90 * (who - 1) + STEP_PX * (frame - 1)},40,{WIDE},{HEIGHT_PX},{conf},1,1\n"


@pytest.fixture
def rig(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Rig:
    plug_in(monkeypatch)
    (tmp_path / "clips").mkdir()
    write_walk(tmp_path / "clips" / "door.mp4", walk(FRAMES, RED, BLUE))
    return Rig(tmp_path)


def evaluate(rig: Rig, labels: str, *options: str) -> dict:
    (rig.folder / "clips" / "door.gt.txt").write_text(labels, encoding="utf-8")
    out = rig.folder / "out"
    given = [
        "tracks",
        str(rig.folder / "clips"),
        "-c",
        str(rig.write(tracker={"use": "appearance"})),
        "--out",
        str(out),
    ]
    result = CliRunner().invoke(app, [*given, "--json", *options], catch_exceptions=False)
    assert result.exit_code == 0
    document = json.loads(result.stdout)
    assert document == json.loads((out / "tracks.json").read_text(encoding="utf-8"))
    return document


def everybody(frames: range) -> str:
    return "".join(label(n, who) for n in frames for who in (1, 2))


def test_whoever_is_followed_throughout_is_counted_so(rig):
    document = evaluate(rig, everybody(range(1, FRAMES + 1, 2)))
    (row,) = document["rows"]
    assert list(row) == ["clip", "HOTA", "DetA", "AssA", "IDF1", "MOTA", "switches"]
    assert row == {"clip": "door"} | document["all"]
    assert (row["IDF1"], row["MOTA"], row["switches"]) == (1.0, 1.0, 0)
    assert 0.8 < row["HOTA"] <= 1
    written = (rig.folder / "out" / "door.txt").read_text(encoding="utf-8").splitlines()
    assert len(written) == 2 * FRAMES
    assert written[0].split(",")[:2] == ["1", "1"]


def test_labels_that_swap_names_are_a_switch_each(rig):
    half = FRAMES // 2
    swapped = "".join(label(n, who).replace(f"{n},{who},", f"{n},{3 - who},", 1) for n in range(half + 1, FRAMES + 1)
                      for who in (1, 2))  # fmt: skip
    document = evaluate(rig, everybody(range(1, half + 1)) + swapped)
    assert document["all"]["switches"] == 2
    assert document["all"]["IDF1"] == pytest.approx(0.5)


def test_a_box_on_somebody_to_be_ignored_is_neither_right_nor_wrong(rig):
    labels = "".join(label(n, 1) + label(n, 2, conf=0) for n in range(1, FRAMES + 1))
    assert evaluate(rig, labels)["all"]["IDF1"] == 1.0
    alone = "".join(label(n, 1) for n in range(1, FRAMES + 1))
    assert evaluate(rig, alone)["all"]["IDF1"] == pytest.approx(2 / 3)


def test_only_frames_that_are_shown_count(rig):
    assert evaluate(rig, everybody(range(1, FRAMES + 1)), "--fps", "5", "--drop", "0.3")["all"]["IDF1"] == 1.0
    written = (rig.folder / "out" / "door.txt").read_text(encoding="utf-8").splitlines()
    assert 0 < len(written) < FRAMES


def test_thinning_is_even_in_time_and_drawn_from_the_seed():
    frames = [replace(frame(n), pts_s=n / 12) for n in range(120)]
    five = [shot.pts_s for shot in Thinning(fps=5)(frames)]
    assert len(five) == 50
    assert max(b - a for a, b in pairwise(five)) < 0.26
    drawn, again, other = ([s.index for s in Thinning(drop=0.5, seed=n)(frames)] for n in (1, 1, 2))
    assert drawn == again != other
    assert 40 < len(drawn) < 80
    assert len(list(Thinning()(frames))) == 120


def test_nothing_to_compare_with_is_one_clear_error(rig):
    given = ["tracks", str(rig.folder / "clips"), "-c", str(rig.write()), "--out", str(rig.folder / "out")]
    with pytest.raises(InputError, match="no labelled"):
        CliRunner().invoke(app, given, catch_exceptions=False)
    (rig.folder / "clips" / "door.gt.txt").write_text(label(1, 1, conf=0), encoding="utf-8")
    with pytest.raises(InputError, match=r"door\.gt\.txt: no labelled person"):
        CliRunner().invoke(app, given, catch_exceptions=False)
