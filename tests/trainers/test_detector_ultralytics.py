"""The library's training on a few pictures ends with an engine that the stream's detector loads."""

import subprocess
import sys
from datetime import UTC, datetime
from pathlib import Path

import cv2
import numpy as np
import pytest
import yaml

pytestmark = pytest.mark.torch
pytest.importorskip("ultralytics")

from pipeline.cli.main import main  # noqa: E402
from pipeline.messages import Clock, Frame  # noqa: E402
from pipeline.registry import build  # noqa: E402
from pipeline.settings import choose  # noqa: E402
from tests.trainers.detection.pictures import write_pictures  # noqa: E402
from trainers.detection.picture_store import PictureStore  # noqa: E402

COMMAND = [sys.executable, "-c", "from pipeline.cli.entry import run; run()", "train", "ultralytics"]


def _config(folder: Path) -> Path:
    store = PictureStore((write_pictures(folder / "pictures", 4),))
    for kind in ("images", "labels"):
        (folder / kind).mkdir()
    for number in range(len(store)):
        image, boxes = store[number].image, store[number].boxes
        high, wide = image.shape[:2]
        cv2.imwrite(str(folder / "images" / f"{number}.png"), image)
        share = boxes / [wide, high, wide, high]
        rows = [(*(box[:2] + box[2:]) / 2, *(box[2:] - box[:2])) for box in share]
        text = "".join(f"0 {' '.join(f'{value:.5f}' for value in row)}\n" for row in rows)
        (folder / "labels" / f"{number}.txt").write_text(text)
    images = str(folder / "images")
    (folder / "data.yaml").write_text(
        yaml.safe_dump({"train": images, "val": images, "names": {0: "person"}})
    )
    config = folder / "config.yaml"
    config.write_text(
        yaml.safe_dump({"name": "tiny", "data": "data.yaml", "size": 64, "epochs": 1, "batch": 4})
    )
    return config


@pytest.mark.slow
def test_an_epoch_ends_with_an_engine(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """In a process of its own: the library warns, and sets what other tests would feel."""
    home = tmp_path / "home"
    home.mkdir()
    monkeypatch.setenv("HOME", str(home))
    command = [*COMMAND, str(_config(tmp_path)), "--out", str(tmp_path / "out")]
    done = subprocess.run(command, capture_output=True, text=True, check=False, cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    manifest = Path(done.stdout.strip())
    assert manifest == tmp_path / "out" / "engine" / "tiny.yaml"
    assert yaml.safe_load(manifest.read_text())["licence"] == "AGPL-3.0"
    assert not any(home.iterdir())
    detector = build("detector", choose("onnx", engine=str(manifest), min_score=0.0), tmp_path, "detector")
    image = np.zeros((80, 120, 3), np.uint8)
    (found,) = detector.detect([Frame("door", 0, image, 0.0, datetime(2026, 1, 1, tzinfo=UTC), Clock.FILE)])
    assert found.xyxy.shape[1] == 4


def test_data_that_is_not_there_is_named(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    config = tmp_path / "config.yaml"
    config.write_text(yaml.safe_dump({"name": "tiny", "data": "nowhere.yaml"}))
    assert main(["train", "ultralytics", str(config), "--out", str(tmp_path / "out")]) == 3
    assert "there is no data set" in capsys.readouterr().err
