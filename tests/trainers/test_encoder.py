"""The encoder's job on drawn people: it learns, it survives a kill, it ends with a checkpoint that serves."""

import json
import signal
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest

torch = pytest.importorskip("torch")

from safetensors.torch import load_file  # noqa: E402

from engines.checkpoint import load_checkpoint  # noqa: E402
from engines.errors import EngineFileError  # noqa: E402
from pipeline.errors import ConfigError, InputError  # noqa: E402
from tests.trainers.pictured import draw_people  # noqa: E402
from tests.tree import ROOT  # noqa: E402
from trainers.datasets.catalogue import load  # noqa: E402
from trainers.encoder import Config, train_encoder  # noqa: E402
from trainers.evaluate.feature_set import read_features  # noqa: E402
from trainers.judging import embed  # noqa: E402
from trainers.losses.captions import load_reader  # noqa: E402

pytestmark = pytest.mark.torch

SMALL: dict[str, Any] = {"use": "small", "dimension": 16, "widths": [8, 8, 12, 16], "stripes": 2}
PREPROCESS = {
    "colour": "rgb",
    "scale": 1 / 255,
    "mean": [0.5] * 3,
    "std": [0.25] * 3,
    "resize": "stretch",
    "size": [32, 16],
}


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory) -> Path:
    root = tmp_path_factory.mktemp("world")
    draw_people(root / "d1", 12, seed=1)
    draw_people(root / "d2", 12, seed=2)
    draw_people(root / "other", 16, seed=3)
    return root


def described(world: Path, **changes: Any) -> dict[str, Any]:
    return {
        "name": "tiny",
        "licence": "Apache-2.0",
        "train": [{"folder": str(world / "d*"), "splits": ["train", "query", "gallery"]}],
        "held_out": {"folder": str(world / "other")},
        "judged": {"again": {"folder": str(world / "other")}},
        "network": SMALL,
        "preprocess": PREPROCESS,
        "losses": {"identity": 0.5, "prototypes": 0.5, "contrast": 1.0},
        "batch": {"domains": 2, "people": 3, "pictures": 2},
        "augment": {"saturation": [1, 1], "channel_gain": 0, "gain": 0, "gamma": 0},
        "steps": 12,
        "rate": 0.003,
        "evaluate_every": 6,
        "save_every": 4,
    } | changes


def config(world: Path, **changes: Any) -> Config:
    return Config.model_validate(described(world, **changes))


def log(out: Path) -> list[dict[str, float]]:
    return [json.loads(line) for line in (out / "log.jsonl").read_text().splitlines()]


def test_it_learns_and_ends_with_a_checkpoint(world: Path, tmp_path: Path) -> None:
    folder = train_encoder(config(world, steps=60, evaluate_every=30), tmp_path, seed=1)
    rows = log(tmp_path)
    losses = [row["loss"] for row in rows if "loss" in row]
    assert len(losses) == 60
    assert np.mean(losses[-10:]) < 0.8 * np.mean(losses[:10])

    network, card = load_checkpoint(folder)
    best = max(row["mAP"] for row in rows if "mAP" in row)
    assert card.accuracy["held_out"]["mAP"] == best > 0.85  # untrained 0.65 to 0.82
    assert card.dimension == 16
    assert card.operating_point is not None
    assert 0 < card.operating_point.max_distance < 2
    assert "96 pictures of 24 people in 2 domains, sha256:" in card.provenance
    with torch.inference_mode():
        assert network(torch.zeros(2, 3, 32, 16)).shape == (2, 16)

    features = read_features(tmp_path / "features" / "again.npz")
    assert features.query_features.shape == (16, 16)
    assert np.allclose(np.linalg.norm(features.gallery_features, axis=1), 1, atol=1e-5)

    again = train_encoder(
        config(world, steps=1, start=str(folder), centroids=True, save_every=1), tmp_path / "again", seed=2
    )
    assert load_checkpoint(again)[1].accuracy["held_out"]["mAP"] > 0.5


def test_captions_alone_teach_it_and_its_reader(world: Path, tmp_path: Path) -> None:
    """No identity is used: every picture is a person of its own."""
    described = {"folder": str(world / "d*"), "splits": ["train", "query", "gallery"], "alone": True}
    settings = config(
        world,
        train=[described],
        losses={"identity": 0.0},
        captions={"context": 8, "width": 32, "layers": 1},
        batch={"domains": 2, "people": 12, "pictures": 1},
        steps=60,
        evaluate_every=30,
    )
    folder = train_encoder(settings, tmp_path, seed=1)
    network, card = load_checkpoint(folder)
    splits = load("world", world / "d1").splits
    rows = embed(network, card.preprocess, splits["gallery"], torch.device("cpu"))
    texts = load_reader(tmp_path / "reader.safetensors").read([sample.text[0] for sample in splits["query"]])
    nearest = np.argmax(texts.numpy() @ rows.T, axis=1)
    found = [
        splits["gallery"][row].identity == sample.identity
        for row, sample in zip(nearest, splits["query"], strict=True)
    ]
    assert np.mean(found) > 0.7  # by chance 1 / 6


KILLED = """
import json, os, signal, sys
from pathlib import Path
from trainers.encoder import Config, train_encoder
from trainers.training.progress import Progress
told = Progress.step
def step(self, number, values):
    told(self, number, values)
    if number == 7:
        os.kill(os.getpid(), signal.SIGKILL)
Progress.step = step
train_encoder(Config.model_validate(json.loads(sys.argv[1])), Path(sys.argv[2]), seed=5)
"""


@pytest.mark.usefixtures("one_thread")
def test_a_killed_run_goes_on_exactly(world: Path, tmp_path: Path) -> None:
    whole, killed = tmp_path / "whole", tmp_path / "killed"
    told = {"captions": {"context": 8, "width": 16, "layers": 1}}
    expected = train_encoder(config(world, **told), whole, seed=5)
    arguments = [sys.executable, "-c", KILLED, json.dumps(described(world, **told)), str(killed)]
    ended = subprocess.run(arguments, check=False, capture_output=True, text=True)
    assert ended.returncode == -signal.SIGKILL, ended.stderr
    assert [row["step"] for row in log(killed)][-1] == 7

    resumed = train_encoder(config(world, **told), killed, seed=5, resume=True)
    assert log(killed) == log(whole)
    weights, other = (load_checkpoint(folder)[0].state_dict() for folder in (expected, resumed))
    assert all(torch.equal(weights[name], other[name]) for name in weights)


def test_what_cannot_be_trained_is_refused_by_name(world: Path, tmp_path: Path) -> None:
    letterboxed = PREPROCESS | {"resize": "letterbox_centre"}
    with pytest.raises(ConfigError, match="rgb, stretched"):
        train_encoder(config(world, preprocess=letterboxed), tmp_path)
    with pytest.raises(InputError, match="there is no state"):
        train_encoder(config(world), tmp_path, resume=True)
    (tmp_path / "state.safetensors").write_bytes(b"\x80\x04 a pickle")
    with pytest.raises(InputError, match="damaged"):
        train_encoder(config(world), tmp_path, resume=True)
    (tmp_path / "network.yaml").write_text("name: other\n")
    with pytest.raises(Exception, match=r"network\.yaml"):
        train_encoder(config(world, start=str(tmp_path)), tmp_path)
    (tmp_path / "empty").mkdir()
    with pytest.raises(ConfigError, match="no checkpoint"):
        train_encoder(config(world, start=str(tmp_path / "empty")), tmp_path)
    tower = {
        "use": "clip_vit",
        "size": [32, 16],
        "patch": 8,
        "width": 8,
        "layers": 1,
        "heads": 1,
        "projection": 8,
    }
    with pytest.raises(EngineFileError, match="0 safetensors files"):
        train_encoder(config(world, network=tower, start=str(tmp_path / "empty")), tmp_path)


@pytest.mark.slow
def test_two_processes_train_one_network(world: Path, tmp_path: Path) -> None:
    """Each draws its own batches; the gradients, so the weights and the memory, are the same in both."""
    pytest.importorskip("accelerate")
    code = (
        "import json, sys; from pathlib import Path; from trainers.encoder import Config, train_encoder;"
        "train_encoder(Config.model_validate(json.loads(sys.argv[1])), Path(sys.argv[2]))"
    )
    (tmp_path / "job.py").write_text(code)
    launch = [sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc-per-node=2"]
    job = [str(tmp_path / "job.py"), json.dumps(described(world, steps=4)), str(tmp_path / "run")]
    ended = subprocess.run([*launch, *job], check=False, capture_output=True, text=True, cwd=ROOT)
    assert ended.returncode == 0, ended.stderr
    first, second = (
        {name: tensor for name, tensor in load_file(path).items() if "running" not in name}
        for path in (tmp_path / "run/best.safetensors", tmp_path / "run/process-1/best.safetensors")
    )
    assert all(torch.allclose(first[name], second[name], atol=1e-6) for name in first)
    losses = [
        [row["loss"] for row in log(tmp_path / name) if "loss" in row] for name in ("run", "run/process-1")
    ]
    assert losses[0] != losses[1]
    assert (tmp_path / "run/checkpoint/network.yaml").is_file()
