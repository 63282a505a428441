"""What makes the bundled engines again: every command parses, finds what an earlier one made, and is not run twice."""

import shutil
import subprocess
from pathlib import Path
from typing import Any

import pytest
import yaml

from engines.shelf import ZOO
from tests.tree import ROOT

pytest.importorskip("torch")

from engines.compile.build import Order
from engines.manifest import Manifest, load_manifest
from pipeline.cli.main import main
from trainers import detector, encoder, verifier
from trainers.world.crops import CropsPlan
from trainers.world.frames import FramesPlan

pytestmark = pytest.mark.torch

# Writes down how it was called, and leaves what the script looks for.
RECORDER = """#!/usr/bin/env bash
(IFS=$'\\t'; echo "$*") >>commands
case $1 in
  world) mkdir -p "$3"; [[ $2 != crops ]] || touch "$3/attributes.jsonl" ;;
  train) mkdir -p "$5"; [[ $3 != $FAILS ]] || { touch "$5/state.safetensors"; exit 1; } ;;
esac
"""


@pytest.fixture
def checkout(tmp_path: Path) -> Path:
    """A tree with the configs, and a `musewatch` that only writes down how it is called."""
    shutil.copytree(ROOT / "configs/training", tmp_path / "configs/training")
    recorder = tmp_path / ".venv/bin/musewatch"
    recorder.parent.mkdir(parents=True)
    recorder.write_text(RECORDER)
    recorder.chmod(0o755)
    return tmp_path


def _run(checkout: Path, *parts: str, fails: str = "none") -> list[list[str]]:
    """What the script called, word by word."""
    commands = checkout / "commands"
    commands.unlink(missing_ok=True)
    script = [str(checkout / "configs/training/zoo.sh"), *parts]
    done = subprocess.run(
        script, env={"PATH": "/usr/bin:/bin", "FAILS": fails}, check=False, capture_output=True, text=True
    )
    assert done.returncode == (0 if fails == "none" else 1), done.stderr
    return [line.split("\t") for line in commands.read_text().splitlines()]


def test_every_command_parses_and_finds_what_an_earlier_one_made(
    checkout: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    commands = _run(checkout)
    drawn: list[FramesPlan] = []
    people: dict[Path, int] = {}
    said: dict[str, list[str]] = {}
    built: list[str] = []

    def draw_crops(plan: CropsPlan, workers: int | None = None) -> None:
        people[plan.out.resolve()] = plan.people

    def draw_frames(plan: FramesPlan, workers: int | None = None) -> None:
        drawn.append(plan)

    def train(config: Any, out: Path, seed: int, device: str, resume: bool) -> Path:
        assert [folder for folder in _folders(config) if not any(folder.parent.glob(folder.name))] == []
        assert (seed, device, resume) == (0, "cpu", False)
        (out / "checkpoint").mkdir(parents=True)
        made = ZOO / f"{config.name}.yaml"
        card = (
            made.read_text() if isinstance(config, verifier.Config) else yaml.safe_dump({"name": config.name})
        )
        (out / "checkpoint/network.yaml").write_text(card)
        if not isinstance(config, detector.Config):
            named = [part.folder.resolve() for part in config.train]
            folders = {found for folder in named for found in folder.parent.glob(folder.name)}
            count = sum(people[folder] for folder in folders)
            said[config.name] = [f"of {count} people in {len(folders)} domains"]
        else:
            said[config.name] = [f"seed 0, {config.steps} steps", f"{_learned(drawn)} pictures of the"]
        return out

    def build(order: Order) -> Manifest:
        assert order.labels in order.images
        assert all(folder.is_dir() for folder in order.images)
        assert order.out == Path("engines/zoo")
        name = yaml.safe_load(order.source.read_text())["name"]
        built.append(name if order.precision == "fp32" else f"{name}-{order.precision}")
        manifest = load_manifest(ZOO / f"{built[-1]}.yaml")
        assert [words for words in said[name] if words not in manifest.provenance] == []
        return manifest

    def export(checkpoint: Path, out: Path) -> Manifest:
        assert out == Path("engines/zoo")
        built.append(yaml.safe_load((checkpoint / "network.yaml").read_text())["name"])
        manifest = load_manifest(ZOO / f"{built[-1]}.yaml")
        assert [words for words in said[manifest.name] if words not in manifest.provenance] == []
        return manifest

    monkeypatch.setattr("trainers.world.crops.make_crops", draw_crops)
    monkeypatch.setattr("trainers.world.frames.make_frames", draw_frames)
    monkeypatch.setattr(encoder, "train_encoder", train)
    monkeypatch.setattr(detector, "train_detector", train)
    monkeypatch.setattr(verifier, "train_verifier", train)
    monkeypatch.setattr("engines.lmm.export.export_verifier", export)
    monkeypatch.setattr("engines.compile.build.build", build)
    shutil.rmtree(checkout / "build")
    monkeypatch.chdir(checkout)
    for command in commands:
        assert main(command) == 0, command

    assert sorted(built) == sorted(path.stem for path in ZOO.glob("*.yaml"))
    assert (
        f"# {_learned(drawn):,} pictures to learn from" in (checkout / "configs/training/zoo.sh").read_text()
    )
    assert not {name for plan in drawn if plan.split == "train" for name in plan.domains} & {
        name for plan in drawn if plan.split != "train" for name in plan.domains
    }


def _learned(drawn: list[FramesPlan]) -> int:
    """Pictures that a detector learns from."""
    return sum(plan.per_domain * len(plan.domains) for plan in drawn if plan.split == "train")


def _folders(config: Any) -> list[Path]:
    """Every folder that a training config reads."""
    if isinstance(config, detector.Config):
        named = [*config.pictures, *config.held_out.values(), *config.judged.values()]
    else:
        named = [part.folder for part in (*config.train, config.held_out, *config.judged.values())]
    return named if config.start is None else [*named, config.start]


def test_what_is_done_is_left_alone_and_what_was_cut_off_goes_on(checkout: Path) -> None:
    cut = "configs/training/detector_nano.yaml"
    first = _run(checkout, "detector", fails=cut)
    assert first[-1] == ["train", "detector", cut, "--out", "build/detector/run", "--seed", "0"]
    assert {command[0] for command in first[:-1]} == {"world"}
    second = _run(checkout, "detector")
    made = [["engines", "build"], ["engines", "build"]]
    assert [command[:2] for command in second] == [["train", "detector"], *made]
    assert second[0] == [*first[-1], "--resume"]
    assert [command[:2] for command in _run(checkout, "detector")] == made
