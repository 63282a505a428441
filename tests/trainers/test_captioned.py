"""The job that learns to read, and the embedder that serves it."""

import json
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest

torch = pytest.importorskip("torch")

from engines.checkpoint import load_checkpoint  # noqa: E402
from pipeline.cli.main import main  # noqa: E402
from pipeline.errors import ConfigError, InputError  # noqa: E402
from pipeline.registry import build  # noqa: E402
from pipeline.settings import choose  # noqa: E402
from tests.trainers.pictured import draw_people  # noqa: E402
from trainers.captioned import Config, train_captions  # noqa: E402
from trainers.datasets.catalogue import load  # noqa: E402
from trainers.evaluate.feature_set import read_features  # noqa: E402

pytestmark = pytest.mark.torch


@pytest.fixture(scope="module")
def root(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("captioned")
    for number in (1, 2):
        draw_people(folder / f"d{number}", 12, seed=number)
    draw_people(folder / "other", 16, seed=3)
    return folder


def described(root: Path, **changes: Any) -> dict[str, Any]:
    other = {"folder": str(root / "other")}
    everybody = {"folder": str(root / "d*"), "splits": ["train", "query", "gallery"], "alone": True}
    return {
        "name": "reads", "licence": "Apache-2.0", "train": [everybody], "held_out": other,
        "judged": {"again": other}, "captions": {"context": 8, "width": 32, "layers": 1},
        "network": {"use": "small", "dimension": 16, "widths": [8, 8, 12, 16], "stripes": 2},
        "preprocess": {
            "colour": "rgb", "scale": 1 / 255, "mean": [0.5] * 3, "std": [0.25] * 3,
            "resize": "stretch", "size": [32, 16],
        },
        "batch": {"domains": 2, "people": 12, "pictures": 1},
        "augment": {"saturation": [1, 1], "channel_gain": 0, "gain": 0, "gamma": 0},
        "steps": 60, "rate": 0.003, "precision": "fp32", "evaluate_every": 30,
    } | changes  # fmt: skip


@pytest.fixture(scope="module")
def trained(root: Path) -> Path:
    """The run's folder, by the command, with its engine."""
    config = root / "c.yaml"
    config.write_text(json.dumps(described(root)))
    assert main(["train", "captions", str(config), "--out", str(root / "run"), "--seed", "1"]) == 0
    assert main(["engines", "export", str(root / "run/checkpoint"), "--out", str(root / "engine")]) == 0
    return root / "run"


def test_it_is_judged_by_texts(trained: Path) -> None:
    _, card = load_checkpoint(trained / "checkpoint")
    assert card.accuracy["held_out"]["mAP"] > 0.4  # by chance 0.2
    assert card.accuracy["held_out"] == card.accuracy["again"]
    assert card.operating_point is not None
    features = read_features(trained / "features" / "again.npz")
    assert features.query_features.shape == features.gallery_features.shape == (16, 16)


def test_what_was_trained_is_served_and_finds_people_by_what_is_said_of_them(
    trained: Path, root: Path
) -> None:
    """On people that it learned."""
    keys = {
        "engine": str(root / "engine/reads.yaml"),
        "reader": str(trained / "checkpoint/reader.safetensors"),
    }
    embedder = build("embedder", choose("captions", **keys), root, "embedder")
    splits = load("world", root / "d1").splits
    rows = embedder.embed([cv2.imread(str(sample.path)) for sample in splits["gallery"]])
    texts = embedder.embed_text([sample.text[0] for sample in splits["query"]])
    found = [
        splits["gallery"][row].identity == sample.identity
        for row, sample in zip(np.argmax(texts @ rows.T, axis=1), splits["query"], strict=True)
    ]
    assert np.mean(found) > 0.7  # by chance 1 / 6
    with pytest.raises(InputError, match="no word of 'somebody' was learned"):
        embedder.embed_text(["somebody"])
    with pytest.raises(InputError, match="a text of more than 7 words"):
        embedder.embed_text(["0is1 " * 8])


def test_a_reader_of_another_engine_is_refused(trained: Path, root: Path, tmp_path: Path) -> None:
    from trainers.losses.captions import CaptionSettings, Reader

    Reader(["a"], CaptionSettings(width=8, layers=1, heads=2), 7).save(tmp_path / "r.safetensors")
    keys = {"engine": str(root / "engine/reads.yaml"), "reader": str(tmp_path / "r.safetensors")}
    with pytest.raises(ConfigError, match="reads into 7 dimensions"):
        build("embedder", choose("captions", **keys), root, "embedder")


def test_pictures_of_which_nothing_is_said_are_refused(root: Path, tmp_path: Path) -> None:
    silent = {"set": "market-1501", "folder": str(root / "other")}
    with pytest.raises(InputError, match="no picture of this set is described"):
        train_captions(Config.model_validate(described(root, held_out=silent)), tmp_path)
    changes = {"train": [silent], "batch": {"people": 2}, "held_out": {"folder": str(root / "d1")}}
    with pytest.raises(InputError, match="nothing is said of"):
        train_captions(Config.model_validate(described(root, **changes)), tmp_path)
