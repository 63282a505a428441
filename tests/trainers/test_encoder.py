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
from engines.manifest import load_manifest  # noqa: E402
from engines.testing import stripe_embedder, write_engine  # noqa: E402
from pipeline.errors import ConfigError, InputError  # noqa: E402
from tests.trainers.pictured import draw_people  # noqa: E402
from tests.tree import ROOT  # noqa: E402
from trainers.encoder import Config, Encoder, train_encoder  # noqa: E402
from trainers.evaluate.feature_set import read_features  # noqa: E402
from trainers.losses.together import EmbedderLoss  # noqa: E402
from trainers.training.run import DivergedError, Run  # noqa: E402

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

SEEN = {"colour": "rgb", "scale": 1 / 255, "resize": "stretch", "size": [32, 16]}


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory) -> Path:
    root = tmp_path_factory.mktemp("world")
    draw_people(root / "d1", 12, seed=1)
    draw_people(root / "d2", 12, seed=2)
    draw_people(root / "other", 16, seed=3)
    draw_people(root / "more", 6, seed=4)
    return root


def stripes(world: Path, count: int = 8) -> Path:
    """An embedder that knows the colours of so many stripes."""
    return write_engine(world / f"stripes{count}", stripe_embedder((32, 16), count), preprocess=SEEN)


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
        "precision": "fp32",
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
    taught = {"engines": [str(stripes(world))], "folders": [str(world / "more")], "count": 5}
    told = {"captions": {"context": 8, "width": 16, "layers": 1}, "teacher": taught}
    expected = train_encoder(config(world, **told), whole, seed=5)
    arguments = [sys.executable, "-c", KILLED, json.dumps(described(world, **told)), str(killed)]
    ended = subprocess.run(arguments, check=False, capture_output=True, text=True)
    assert ended.returncode == -signal.SIGKILL, ended.stderr
    assert [row["step"] for row in log(killed)][-1] == 7

    resumed = train_encoder(config(world, **told), killed, seed=5, resume=True)
    assert log(killed) == log(whole)
    weights, other = (load_checkpoint(folder)[0].state_dict() for folder in (expected, resumed))
    assert all(torch.equal(weights[name], other[name]) for name in weights)


@pytest.mark.parametrize("several", [False, True])
def test_a_teacher_is_learned_beside_the_labels(world: Path, tmp_path: Path, several: bool) -> None:
    teachers = [str(stripes(world)), str(stripes(world, 4))][: 1 + several]
    told = teachers if several else teachers[0]
    told_much = config(world, steps=120, evaluate_every=120, loss_rate=10, teacher=told)
    folder = train_encoder(told_much, tmp_path, seed=1)
    rows = [row for row in log(tmp_path) if "loss" in row]
    for name in ("vectors", "relations"):
        taught = [row[name] for row in rows]
        assert np.mean(taught[-10:]) < 0.7 * np.mean(taught[:10])
    _, card = load_checkpoint(folder)
    assert card.dimension == 16
    for each in teachers:
        assert load_manifest(Path(each)).digest in card.provenance


def test_pictures_without_labels_are_the_teachers_and_said(world: Path, tmp_path: Path) -> None:
    taught = {"engines": [str(stripes(world))], "folders": [str(world / "more")], "count": 7}
    job = Encoder(config(world, teacher=taught), Run.open(tmp_path / "a", 0, "cpu", resume=False))
    assert "24 pictures without labels, sha256:" in job.learned
    seen: list[int] = []
    job.parts["network"].register_forward_hook(lambda *call: seen.append(len(call[1][0])))
    job.losses(1)
    assert seen == [2 * 3 * 2 + 7]

    for folders, told in ([str(world / "other")], "which judges"), ([str(world / "none")], "no pictures"):
        (world / "none").mkdir(exist_ok=True)
        with pytest.raises(InputError, match=told):
            train_encoder(config(world, teacher=taught | {"folders": folders}), tmp_path / "b")


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


def test_another_data_set_does_not_go_on(world: Path, tmp_path: Path) -> None:
    draw_people(tmp_path / "d", 8, seed=7)
    changes: dict[str, Any] = {"train": [{"folder": str(tmp_path / "d")}], "steps": 1}
    changes["batch"] = {"people": 2, "pictures": 2}
    train_encoder(config(world, **changes), tmp_path / "run")
    train_encoder(config(world, **changes), tmp_path / "run", resume=True)
    picture = next((tmp_path / "d/bounding_box_train").iterdir())
    picture.write_bytes(next((world / "other/query").iterdir()).read_bytes())
    with pytest.raises(InputError, match="are learned too"):
        train_encoder(config(world, **changes), tmp_path / "run", resume=True)
    picture.write_bytes(next((world / "d1/query").iterdir()).read_bytes())
    with pytest.raises(ConfigError, match="belongs to another run: its data is"):
        train_encoder(config(world, **changes), tmp_path / "run", resume=True)


def test_what_cannot_judge_is_refused_before_the_first_step(world: Path, tmp_path: Path) -> None:
    lonely = draw_people(tmp_path / "lonely", 8, seed=9, cameras=1)
    with pytest.raises(InputError, match="cannot judge by the rule market: no query has a match"):
        train_encoder(config(world, held_out={"folder": str(lonely)}), tmp_path / "run")
    with pytest.raises(InputError, match="are learned too"):
        train_encoder(config(world, held_out={"folder": str(world / "d1")}), tmp_path / "run")
    assert not (tmp_path / "run").exists()


def test_a_training_that_diverges_stops_and_keeps_its_best(world: Path, tmp_path: Path) -> None:
    poisoned = config(world, evaluate_every=2, save_every=2)
    told = EmbedderLoss.forward

    def poison(self: EmbedderLoss, *given: Any) -> dict[str, "torch.Tensor"]:
        found = told(self, *given)
        self.steps = getattr(self, "steps", 0) + 1
        return {name: loss * (torch.nan if self.steps == 5 else 1) for name, loss in found.items()}

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(EmbedderLoss, "forward", poison)
        with pytest.raises(DivergedError, match=r"diverged at step 5: the loss is nan.*of step \d, are in"):
            train_encoder(poisoned, tmp_path)
    assert load_checkpoint(tmp_path / "checkpoint")[1].name == "tiny"
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(Encoder, "descended", lambda self, _: self.apart[0].data.fill_(torch.nan))
        with pytest.raises(DivergedError, match=r"weights are no numbers any more\. lower the rate"):
            train_encoder(config(world, evaluate_every=1), tmp_path / "at once")


def test_a_score_that_is_no_number_loses_nothing(
    world: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(Encoder, "judge", lambda self: (float("nan"), {"mAP": float("nan")}))
    folder = train_encoder(config(world, steps=2, evaluate_every=1), tmp_path)
    assert "step 1 of 2" in load_checkpoint(folder)[1].provenance


TOWER = {
    "use": "clip_vit",
    "size": [32, 16],
    "patch": 8,
    "width": 8,
    "layers": 2,
    "heads": 1,
    "projection": 8,
}


@pytest.mark.parametrize("heads", ["linear", "clip_reid"])
def test_published_recipes_end_with_a_checkpoint_and_go_on(heads: str, world: Path, tmp_path: Path) -> None:
    text = {"vocabulary": 20, "context": 12, "width": 8, "layers": 1, "heads": 1, "projection": 8}
    changes: dict[str, Any] = {
        "network": TOWER | {"neck": False, "joined": heads == "clip_reid"},
        "losses": {"heads": heads, "identity": 0.25, "triplet": 1.0, "smoothing": 0.1, "prototypes": 1.0},
        "steps": 4,
        "save_every": 2,
    }
    if heads == "clip_reid":
        changes["texts"] = {
            "tower": text, "before": [18, 3], "after": [4, 19], "learned": 2, "steps": 4, "batch": 4
        }  # fmt: skip
    folder = train_encoder(config(world, **changes), tmp_path / "run")
    network, card = load_checkpoint(folder)
    assert card.dimension == (16 if heads == "clip_reid" else 8)
    with torch.inference_mode():
        row = network(torch.rand(1, 3, 32, 16))
    assert row.norm().item() == pytest.approx(1, abs=1e-5)
    assert not (tmp_path / "run/early.safetensors").exists()
    again = train_encoder(config(world, **changes), tmp_path / "run", resume=True)
    assert load_checkpoint(again)[1].accuracy == card.accuracy


def test_stage_one_is_not_learned_twice(world: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Killed while its texts are learned, a run goes on there, and ends as if nothing had happened."""
    text = {"vocabulary": 20, "context": 12, "width": 8, "layers": 1, "heads": 1, "projection": 8}
    changes: dict[str, Any] = {
        "network": TOWER | {"neck": False},
        "texts": {"tower": text, "before": [18], "after": [19], "learned": 2, "steps": 6, "batch": 4},
        "steps": 2,
    }
    monkeypatch.setattr("trainers.losses.texts.SAID_EVERY", 2)
    whole = train_encoder(config(world, **changes), tmp_path / "whole")
    said: list[str] = []

    def stopped(line: str) -> None:
        said.append(line)
        if len(said) == 2:
            raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr("trainers.losses.texts.say", stopped)
        with pytest.raises(KeyboardInterrupt):
            train_encoder(config(world, **changes), tmp_path / "stopped")
        said.clear()
        patch.setattr("trainers.losses.texts.say", said.append)
        resumed = train_encoder(config(world, **changes), tmp_path / "stopped", resume=True)
    assert [line.split(":")[1] for line in said] == [" step 4 of 6", " step 6 of 6"]
    weights, other = (load_checkpoint(folder)[0].state_dict() for folder in (whole, resumed))
    assert all(torch.equal(weights[name], other[name]) for name in weights)


def test_published_heads_want_a_network_that_shows_its_levels(world: Path, tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="take network clip_vit"):
        train_encoder(config(world, losses={"heads": "linear"}), tmp_path)


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
