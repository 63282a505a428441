"""The verifier's job on drawn people: it learns, it survives a kill, it ends with an engine that serves."""

import json
import signal
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import yaml

torch = pytest.importorskip("torch")
pytest.importorskip("transformers")

from safetensors.torch import load_file  # noqa: E402

from engines.architectures import build_network  # noqa: E402
from engines.checkpoint import save_checkpoint  # noqa: E402
from engines.errors import EngineError  # noqa: E402
from engines.lmm.answers import p_no  # noqa: E402
from engines.lmm.model import open_model  # noqa: E402
from engines.lmm.pictures import prepare  # noqa: E402
from engines.lmm.question import PairQuestion  # noqa: E402
from engines.lmm.scorer import Scorer  # noqa: E402
from engines.manifest import UNSAVED, Manifest, load_manifest  # noqa: E402
from pipeline.cli.main import main  # noqa: E402
from pipeline.errors import ConfigError, InputError  # noqa: E402
from tests.support.tiny_lmm import KINDS, tiny_verifier  # noqa: E402
from tests.trainers.pictured import draw_people  # noqa: E402
from trainers.datasets.pictures import read_picture  # noqa: E402
from trainers.training.run import DivergedError  # noqa: E402
from trainers.verifier import Config, Verifier, train_verifier  # noqa: E402

pytestmark = pytest.mark.torch

PIXELS = {"colour": "rgb", "scale": 1 / 255, "mean": [0.5] * 3, "std": [0.25] * 3, "resize": "stretch"}
PROMPT = {"task": "Same person?", "rules": "Look at clothes.", "first": "A:", "second": "B:", "cue": "So?"}
TINY = {
    "width": 32, "layers": 1, "heads": 2, "inner": 64, "vision_width": 32, "vision_layers": 1, "patch_px": 8,
}  # fmt: skip


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory) -> Path:
    root = tmp_path_factory.mktemp("world")
    draw_people(root / "d1", 12, seed=1)
    draw_people(root / "d2", 12, seed=2)
    draw_people(root / "other", 16, seed=3)
    torch.manual_seed(0)
    arguments = {"dimension": 16, "widths": [8, 8, 12, 16], "stripes": 2}
    network = build_network("small", arguments, "test")
    save_checkpoint(
        root / "embedder",
        network,
        Manifest.model_validate(
            {
                "schema": "musewatch.engine/1", "name": "tiny", "role": "embedder", "file": "weights.safetensors",
                "sha256": UNSAVED, "licence": "CC0-1.0", "provenance": "random", "dimension": 16,
                "network": {"use": "small", "arguments": arguments}, "preprocess": PIXELS | {"size": [32, 16]},
            }
        ),
    )  # fmt: skip
    (root / "prompt.yaml").write_text(yaml.safe_dump(PROMPT))
    return root


def described(world: Path, **changes: Any) -> dict[str, Any]:
    return {
        "name": "tiny",
        "licence": "Apache-2.0",
        "train": [{"folder": str(world / "d*"), "splits": ["train", "query", "gallery"]}],
        "held_out": {"folder": str(world / "other")},
        "judged": {"again": {"folder": str(world / "other")}},
        "network": TINY,
        "embedder": str(world / "embedder"),
        "prompt": {"file": str(world / "prompt.yaml"), "without": ["rules"]},
        "preprocess": PIXELS | {"size": [32, 16]},
        "batch": {"anchors": 4, "positives": 2, "negatives": 2},
        "augment": {"saturation": [1, 1], "channel_gain": 0, "gain": 0, "gamma": 0},
        "judge": {"top_c": 8},
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


def served(manifest: Path, images: list[Any], tau: float = 5.0) -> Any:
    """p_no of the first picture with each of the others, as the engine says it in the stream."""
    engine = load_manifest(manifest)
    scorer, question = Scorer(open_model(engine)), PairQuestion(engine.question[0], engine.layout)
    first, *others = prepare(images, engine.preprocess)
    return p_no(
        scorer.score(scorer.prefix(question.until_first(first)), [question.from_second(o) for o in others]),
        tau,
    )


def asked(job: Verifier, samples: list[Any]) -> Any:
    """The same by the network in training."""
    return job._answering(samples[:1], samples[1:], np.arange(len(samples) - 1)[None])[0]


def learned_as_served(job: Verifier, folder: Path) -> float:
    samples = list(job._held_out._search.gallery[:6])
    said = served(folder / "network.yaml", [read_picture(sample) for sample in samples])
    assert said.std() > 0
    return float(abs(said - asked(job, samples)).max())


@pytest.fixture
def jobs(monkeypatch: pytest.MonkeyPatch) -> list[Verifier]:
    """Every job that is begun."""
    begun: list[Verifier] = []
    begin = Verifier.begin
    monkeypatch.setattr(Verifier, "begin", lambda self: (begun.append(self), begin(self))[1])
    return begun


def test_the_command_tunes_and_ends_with_an_engine_that_says_the_same(
    world: Path, tmp_path: Path, jobs: list[Verifier], capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "c.yaml").write_text(yaml.safe_dump(described(world, steps=60, evaluate_every=30)))
    assert (
        main(["train", "verifier", str(tmp_path / "c.yaml"), "--out", str(tmp_path / "run"), "--seed", "1"])
        == 0
    )
    folder = tmp_path / "run/checkpoint"
    assert capsys.readouterr().out.strip() == str(folder)

    rows = log(tmp_path / "run")
    losses = [row["loss"] for row in rows if "loss" in row]
    assert len(losses) == 60
    assert np.mean(losses[-10:]) < 0.7 * np.mean(losses[:10])  # of all words at first, of two soon
    judged = [row for row in rows if "AUC" in row]
    assert {"AUC", "distance_AUC", "alpha", "mAP", "mu_mAP"} <= judged[0].keys()
    assert all(row["mu_mAP"] >= row["mAP"] for row in judged)  # 0 is among the weights

    engine = load_manifest(folder)
    assert engine.accuracy["held_out"]["AUC"] == max(row["AUC"] for row in judged)
    assert engine.accuracy["again"] == engine.accuracy["held_out"]
    assert engine.prompt is not None
    assert (engine.prompt.task, engine.prompt.rules, engine.answers) == ("Same person?", "", ("Yes", "No"))
    point = engine.operating_point
    assert point is not None
    assert (point.embedder, point.alpha, point.tau) == (
        load_manifest(world / "embedder").digest,
        engine.alpha,
        5,
    )
    assert "96 pictures of 24 people in 2 domains, sha256:" in engine.provenance
    assert learned_as_served(jobs[0], folder) < 1e-4
    assert main(["engines", "check", str(folder)]) == 0
    assert len({path.stat().st_mode for path in folder.iterdir()}) == 1, "who may read one may read all"


def test_a_network_that_begins_by_comparing_soon_knows_people_that_it_never_saw(
    world: Path, tmp_path: Path, jobs: list[Verifier]
) -> None:
    changes: dict[str, Any] = {
        "network": TINY | {"compares": True}, "teacher": {"engine": str(world / "embedder"), "answers": 0.2},
        "batch": {"anchors": 4, "positives": 2, "negatives": 2, "meet": "group"}, "among": "answers",
    }  # fmt: skip
    folder = train_verifier(
        config(world, steps=40, evaluate_every=20, judged={}, **changes), tmp_path, seed=1
    )
    rows = log(tmp_path)
    assert max(row["AUC"] for row in rows if "AUC" in row) > 0.95  # 0.7 from random weights
    told = [row["teacher"] for row in rows if "teacher" in row]
    assert np.mean(told[-5:]) < 0.8 * np.mean(told[:5])
    assert learned_as_served(jobs[0], folder) < 1e-4


KILLED = """
import json, os, signal, sys
from pathlib import Path
from trainers.verifier import Config, train_verifier
from trainers.training.progress import Progress
told = Progress.step
def step(self, number, values):
    told(self, number, values)
    if number == 7:
        os.kill(os.getpid(), signal.SIGKILL)
Progress.step = step
train_verifier(Config.model_validate(json.loads(sys.argv[1])), Path(sys.argv[2]), seed=5)
"""


@pytest.mark.usefixtures("one_thread")
def test_a_killed_run_goes_on_exactly(world: Path, tmp_path: Path) -> None:
    whole, killed = tmp_path / "whole", tmp_path / "killed"
    changes: dict[str, Any] = {
        "lora": {"rank": 2, "dropout": 0.2}, "judged": {}, "teacher": {"engine": str(world / "embedder")}
    }  # fmt: skip
    expected = train_verifier(config(world, **changes), whole, seed=5)
    arguments = [sys.executable, "-c", KILLED, json.dumps(described(world, **changes)), str(killed)]
    ended = subprocess.run(arguments, check=False, capture_output=True, text=True)
    assert ended.returncode == -signal.SIGKILL, ended.stderr
    assert [row["step"] for row in log(killed)][-1] == 7

    resumed = train_verifier(config(world, **changes), killed, seed=5, resume=True)
    assert log(killed) == log(whole)
    assert load_manifest(resumed).sha256 == load_manifest(expected).sha256
    with pytest.raises(ConfigError, match="belongs to another run: its config is"):
        train_verifier(config(world, **changes, tau=4.0), killed, seed=5, resume=True)


@pytest.mark.parametrize("kind", KINDS)
def test_adapters_of_each_architecture_are_merged_into_what_it_began_from(
    kind: str, world: Path, tmp_path: Path, jobs: list[Verifier]
) -> None:
    start = tiny_verifier(tmp_path / "start", kind).parent
    (start / "preprocessor_config.json").write_text("{}")
    changes = {
        "network": None, "start": str(start), "judged": {}, "steps": 2, "evaluate_every": 2, "checkpointing": True,
        "preprocess": PIXELS | {"size": [64, 32] if kind == "qwen3_vl" else [56, 28]},
        "lora": {"rank": 2, "dropout": 0, "decoder": ["q_proj", "v_proj"]}, "rate": 0.01, "layout": "rules_last",
    }  # fmt: skip
    folder = train_verifier(config(world, **changes), tmp_path / "run", seed=2)
    (job,) = jobs
    learned = sum(weight.numel() for weight in job.kept.parameters())
    assert 0 < learned < 0.2 * sum(weight.numel() for weight in job._network.parameters())
    before, after = (load_file(each / "model.safetensors") for each in (start, folder))
    changed = {name for name in before if not torch.equal(before[name], after[name])}
    assert before.keys() == after.keys()
    assert changed
    assert all(("q_proj" in name or "v_proj" in name or "visual.blocks" in name) for name in changed)
    assert "preprocessor_config.json" in load_manifest(folder).files
    assert learned_as_served(job, folder) < 1e-4


def no_answer(folder: Path) -> dict[str, Any]:
    return {"network": None, "start": str(tiny_verifier(folder, words=("Yes",)).parent)}


def another_architecture(folder: Path) -> dict[str, Any]:
    folder.mkdir()
    (folder / "config.json").write_text('{"model_type": "llama"}')
    return {"network": None, "start": str(folder)}


def nothing_there(folder: Path) -> dict[str, Any]:
    return {"network": None, "start": str(folder)}


def not_fetched(_: Path) -> dict[str, Any]:
    return {"network": None, "model": "nobody/has-this"}


def odd_size(_: Path) -> dict[str, Any]:
    return {"preprocess": PIXELS | {"size": [40, 16]}}


def letterboxed(_: Path) -> dict[str, Any]:
    return {"preprocess": PIXELS | {"size": [32, 16], "resize": "letterbox_centre"}}


def no_such_layer(_: Path) -> dict[str, Any]:
    return {"lora": {"decoder": ["k_proj", "fc9"]}}


def no_layer(_: Path) -> dict[str, Any]:
    return {"lora": {"decoder": [], "vision": []}}


def too_many_anchors(_: Path) -> dict[str, Any]:
    return {"batch": {"anchors": 1000}}


def one_camera(folder: Path) -> dict[str, Any]:
    return {"held_out": {"folder": str(draw_people(folder, 8, seed=9, cameras=1))}}


@pytest.mark.parametrize(
    ("changes", "error", "words"),
    [
        (no_answer, EngineError, "no single token for 'No'"),
        (another_architecture, EngineError, "is a llama, and this reads qwen2_vl"),
        (nothing_there, EngineError, "config.json names no architecture"),
        (not_fetched, ConfigError, "this machine has no model nobody/has-this"),
        (odd_size, ConfigError, r"\[40, 16\] is not made of squares of 16 pixels"),
        (letterboxed, ConfigError, "rgb, stretched"),
        (no_such_layer, ConfigError, "no linear layer is called fc9.*k_proj"),
        (no_layer, ConfigError, "no layer to adapt"),
        (too_many_anchors, InputError, "a batch wants 1000 anchors, and 96 images"),
        (one_camera, InputError, "cannot judge by the rule market: no query has a match"),
    ],
)
def test_what_cannot_be_tuned_is_one_error_before_the_first_step(
    changes: Callable[[Path], dict[str, Any]], error: type[Exception], words: str, world: Path, tmp_path: Path
) -> None:
    with pytest.raises(error, match=words):
        train_verifier(config(world, **changes(tmp_path / "made")), tmp_path / "run")
    assert not (tmp_path / "run/log.jsonl").exists()


@pytest.mark.parametrize("beginning", [{"start": "here"}, {"network": None}, {"model": "a/b"}])
def test_it_begins_from_one_thing(beginning: dict[str, Any], world: Path) -> None:
    with pytest.raises(ValueError, match="give one of start, model and network"):
        config(world, **beginning)


def test_a_training_that_diverges_stops_and_keeps_its_best(
    world: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    told = Verifier.losses

    def poison(self: Verifier, step: int) -> dict[str, "torch.Tensor"]:
        return {name: loss * (torch.nan if step == 5 else 1) for name, loss in told(self, step).items()}

    monkeypatch.setattr(Verifier, "losses", poison)
    with pytest.raises(DivergedError, match=r"diverged at step 5: the loss is nan.*of step \d, are in"):
        train_verifier(config(world, evaluate_every=2, judged={}), tmp_path)
    assert load_manifest(tmp_path / "checkpoint").name == "tiny"
