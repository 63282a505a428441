"""Trains encoders that differ in one thing and prints how each ranks in every domain; goes on where it stopped.

    configs/training/encoder_data.sh build/encoder
    python -m tests.bench.encoders pcl build/encoder build/encoder/pcl       identity, + prototypes, their numbers
    python -m tests.bench.encoders survey build/encoder build/encoder/survey    paradigms, and what helps

Runs and features that are there are read, not made again; --steps and --seeds make all of it shorter, --only does the
rows that hold a word. The people judged are never trained on.
"""

import argparse
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import torch

from engines.checkpoint import load_checkpoint
from trainers.encoder import Config, train_encoder
from trainers.evaluate.feature_set import read_features
from trainers.judging import judge
from trainers.people import SetChoice

JUDGED = ("hall", "street", "night", "infrared", "park")
IDENTITY = {"identity": 1.0, "margin": 0.15}
OURS = {"identity": 0.5, "margin": 0.15, "prototypes": 0.5, "contrast": 1.0}
SMALL = {"use": "small"}
OSNET = {"use": "osnet", "width": 0.25, "dimension": 256}
PLAIN = {
    "saturation": [1, 1], "channel_gain": 0, "gain": 0, "gamma": 0, "contrast": 0, "blur": 0, "noise": 0, "erase": 0.35,
}  # fmt: skip
PAIRED = {
    "losses": {"identity": 0.0}, "captions": {}, "batch": {"domains": 2, "people": 32, "pictures": 1},
    "loss_rate": 1, "where": "broad/*", "alone": True,
}  # fmt: skip
TWICE = {"domains": 1, "people": 32, "pictures": 2}


def pcl() -> Iterator[tuple[str, dict[str, Any]]]:
    """MUSE 4.1's loss in parts: what the memory adds, and its temperature and momentum."""
    yield "identity only", {"losses": IDENTITY}
    for temperature, momentum in (
        (0.07, 0.8),
        (0.03, 0.8),
        (0.2, 0.8),
        (0.07, 0.2),
        (0.07, 0.5),
        (0.07, 0.95),
    ):
        both = {"prototypes": 1.0, "prototype_temperature": temperature, "prototype_momentum": momentum}
        yield f"+ prototypes, tau {temperature}, gamma {momentum}", {"losses": IDENTITY | both}


def survey() -> Iterator[tuple[str, dict[str, Any]]]:
    """The survey's paradigms, and what helps the supervised one outside its own domain."""
    supervised = {"losses": {"identity": 1.0, "smoothing": 0.1, "triplet": 1.0}}
    alone = {"losses": {"identity": 0.0, "contrast": 1.0}, "batch": TWICE, "alone": True}
    yield "OSNet, identity + triplet", supervised | {"network": OSNET, "augment": PLAIN}
    yield "OSNet, cameras varied", supervised | {"network": OSNET}
    yield "small, identity + triplet", supervised | {"augment": PLAIN}
    yield "small, mixed styles", supervised | {"network": SMALL | {"mix_style": 0.5}, "augment": PLAIN}
    yield "small, cameras varied", supervised
    yield "small, ours", {"losses": OURS}
    yield "small, self-supervised", alone
    yield "small, CLIP-style on captions, random domains", PAIRED
    yield "small, self-supervised, random domains", alone | {"where": "broad/*"}
    yield (
        "small, ours, random domains",
        {"losses": OURS, "batch": {"domains": 2, "people": 8}, "where": "broad/*"},
    )


def described(data: Path, steps: int, changes: dict[str, Any]) -> Config:
    """The config of a run; all that is not changed is that of the bundled baseline."""
    changes = dict(changes)
    pictures = {
        "folder": data / changes.pop("where", "hall-train"),
        "splits": ["train", "query", "gallery"],
        "alone": changes.pop("alone", False),
    }
    return Config.model_validate(
        {
            "name": "bench",
            "licence": "Apache-2.0",
            "train": [pictures],
            "held_out": {"folder": data / "judge/calibrate"},
            "network": SMALL,
            "preprocess": {
                "colour": "rgb", "scale": 1 / 255, "mean": [0.5] * 3, "std": [0.25] * 3, "resize": "stretch",
                "size": [128, 64],
            },
            "batch": {"people": 16, "pictures": 4},
            "steps": steps,
            "rate": 0.0015,
            "loss_rate": 5,
            "evaluate_every": steps,
            "save_every": 100,
        }
        | changes
    )  # fmt: skip


def trained(config: Config, out: Path, seed: int) -> Path:
    """The checkpoint of a run; it is made, or gone on with, if it is not there."""
    if not (out / "checkpoint/network.yaml").exists():
        train_encoder(config, out, seed, resume=(out / "state.safetensors").exists())
    return out / "checkpoint"


def judged(checkpoint: Path, folder: Path, features: Path) -> dict[str, float]:
    """The scores of a checkpoint on a set; what it makes of the pictures is kept in `features`."""
    if not features.exists():
        network, card = load_checkpoint(checkpoint)
        judge(network, card.preprocess, SetChoice(folder=folder), torch.device("cpu")).save(features)
    return read_features(features).plain_scores()


def main() -> None:
    """Prints a Markdown table."""
    parser = argparse.ArgumentParser()
    parser.add_argument("what", choices=("pcl", "survey"))
    parser.add_argument("data", type=Path)
    parser.add_argument("out", type=Path)
    parser.add_argument("--steps", type=int, default=800)
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--only", default="")
    parser.add_argument("--judged", nargs="*", default=JUDGED)
    given = parser.parse_args()
    data = given.data.resolve()
    print("| mAP / R1 | " + " | ".join(given.judged) + " |")
    print("|---|" + "---:|" * len(given.judged))
    for name, changes in {"pcl": pcl, "survey": survey}[given.what]():
        if given.only not in name:
            continue
        config = described(data, given.steps, changes)
        runs = [given.out / f"{name.replace(' ', '_')}-{seed}" for seed in range(given.seeds)]
        checkpoints = [trained(config, run, seed) for seed, run in enumerate(runs)]
        cells = []
        for domain in given.judged:
            made = [run / f"judged/{domain}.npz" for run in runs]
            pairs = zip(checkpoints, made, strict=True)
            cells.append(_cell([judged(one, data / "judge" / domain, rows) for one, rows in pairs]))
        print(f"| {name} | " + " | ".join(cells) + " |", flush=True)


def _cell(scores: list[dict[str, float]]) -> str:
    """Mean over the seeds, and the deviation of mAP."""
    maps, firsts = ([100 * score[key] for score in scores] for key in ("mAP", "R1"))
    spread = f" ± {np.std(maps, ddof=1):.1f}" if len(maps) > 1 else ""
    return f"{np.mean(maps):.1f}{spread} / {np.mean(firsts):.1f}"


if __name__ == "__main__":
    main()
