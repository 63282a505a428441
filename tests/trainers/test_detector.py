"""The detector's trainer: it learns a few pictures by heart, goes on exactly after a kill, and says what is wrong."""

import json
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
import yaml

pytest.importorskip("torch")

from engines.checkpoint import load_checkpoint
from pipeline.cli.main import main
from tests.trainers.detection.pictures import SIZE, write_pictures
from trainers.cli import read_config
from trainers.detection.judge import judge
from trainers.detection.picture_store import PictureStore
from trainers.detector import Config

pytestmark = pytest.mark.torch
TINY = {"use": "nano_detector", "widths": [8, 16, 16, 16], "depths": [1, 1, 0], "neck": 16}


def _config(folder: Path, **changes: object) -> Path:
    write_pictures(folder / "pictures")
    config = {
        "name": "tiny", "licence": "none", "pictures": ["pictures"], "held_out": {"same": "pictures"},
        "judged": {"again": "pictures"}, "network": TINY,
        "size": list(SIZE), "steps": 60, "batch": 6, "rate": 0.01, "warmup": 5, "average": 0.9, "least_px": 4,
        "augmentation": {"mosaic": 0, "as_is": 1, "grey": 0, "colour": 0, "noise": 0, "blur": 0, "rubbish": 0},
        "precision": "fp32", "judge_every": 60, "save_every": 10,
    }  # fmt: skip
    path = folder / "config.yaml"
    path.write_text(yaml.safe_dump(config | changes))
    return path


def _train(config: Path, out: Path, *options: str) -> int:
    return main(["train", "detector", str(config), "--out", str(out), *options])


def _log(out: Path) -> list[dict[str, float]]:
    return [json.loads(line) for line in (out / "log.jsonl").read_text().splitlines()]


def test_it_learns_a_few_pictures_by_heart(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    out = tmp_path / "run"
    assert _train(_config(tmp_path, steps=150, judge_every=75), out) == 0
    assert capsys.readouterr().out.strip() == str(out / "checkpoint")
    losses = [line["score"] + line["box"] for line in _log(out) if "box" in line]
    assert sum(losses[-10:]) < 0.5 * sum(losses[:10])
    network, card = load_checkpoint(out / "checkpoint")
    assert (card.name, card.role, card.licence) == ("tiny", "detector", "none")
    scores = judge(network, card, PictureStore((tmp_path / "pictures",)))
    assert scores.ap == pytest.approx(card.accuracy["again"]["AP"], abs=1e-4)
    assert card.accuracy["again"] == card.accuracy["same"]


@pytest.mark.usefixtures("one_thread")
def test_a_killed_run_goes_on_with_the_identical_curve(tmp_path: Path) -> None:
    config = _config(tmp_path, steps=40, judge_every=20, early_size=[32, 64], early_steps=18)
    assert _train(config, tmp_path / "whole") == 0
    command = [
        sys.executable,
        "-c",
        "from pipeline.cli.entry import run; run()",
        "train",
        "detector",
        str(config),
    ]
    out = tmp_path / "killed"
    victim = subprocess.Popen(
        [*command, "--out", str(out)], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
    )
    while not (out / "state.safetensors").exists():
        assert victim.poll() is None, "it ended before it could be killed"
        time.sleep(0.02)
    victim.send_signal(signal.SIGKILL)
    victim.wait()
    assert len(_log(out)) < len(_log(tmp_path / "whole"))
    assert _train(config, out, "--resume") == 0
    assert _log(out) == _log(tmp_path / "whole")
    weights = [folder / "checkpoint" / "weights.safetensors" for folder in (out, tmp_path / "whole")]
    assert weights[0].read_bytes() == weights[1].read_bytes()


def test_the_first_steps_are_small_and_the_last_without_mosaics(tmp_path: Path) -> None:
    changes = {"early_size": [32, 64], "early_steps": 2, "plain_steps": 3, "steps": 6}
    path = _config(tmp_path, augmentation={"mosaic": 0.5}, **changes)
    config = read_config(Config, path)
    parts = [config.part(step) for step in range(6)]
    assert [size for size, _ in parts] == [(32, 64)] * 2 + [SIZE] * 4
    assert [how.mosaic for _, how in parts] == [0.5] * 3 + [0] * 3


def test_another_config_does_not_go_on(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    out = tmp_path / "run"
    assert _train(_config(tmp_path, steps=2), out) == 0
    assert _train(_config(tmp_path, steps=3), out, "--resume") == 2
    assert "belongs to another run" in capsys.readouterr().err


def test_missing_pictures_and_wrong_keys_are_named(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert _train(_config(tmp_path, pictures=["nowhere"]), tmp_path / "run") == 3
    assert "holds no pictures" in capsys.readouterr().err
    for wrong, said in (
        ({"stepz": 3}, "did you mean 'steps'"),
        ({"size": [64, 90]}, "multiples of 32"),
        ({"early_size": [32, 90], "early_steps": 9}, "multiples of 32"),
        ({"early_steps": 9}, "are given together"),
        ({"early_size": [32, 64], "early_steps": 40, "plain_steps": 30}, "are more than steps"),
        ({"network": {"use": "small"}}, "is no detector"),
    ):
        assert _train(_config(tmp_path, **wrong), tmp_path / "run") == 2
        assert said in capsys.readouterr().err
