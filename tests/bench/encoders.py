"""Trains encoders that differ in one thing and prints how each ranks in every domain; goes on where it stopped.

    configs/training/encoder_data.sh build/encoder
    python -m tests.bench.encoders pcl build/encoder build/encoder/pcl       identity, + prototypes, their numbers
    python -m tests.bench.encoders survey build/encoder build/encoder/survey    paradigms, and what helps
    python -m tests.bench.encoders texts build/encoder build/encoder/survey    captions asked, pictures searched

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
from trainers.datasets.catalogue import load
from trainers.encoder import Config, train_encoder
from trainers.evaluate.feature_set import FeatureSet, read_features
from trainers.evaluate.rules import RULES
from trainers.judging import judge, scores
from trainers.losses.captions import load_reader
from trainers.people import SetChoice

JUDGED = ("hall", "street", "night", "infrared", "park")
CAPTIONS = "small, CLIP-style, random domains"
OURS = {"identity": 0.5, "margin": 0.15, "prototypes": 0.5, "contrast": 1.0}
SMALL = {"use": "small"}
OSNET = {"use": "osnet", "width": 0.25, "dimension": 256}
PLAIN = {
    "saturation": [1, 1], "channel_gain": 0, "gain": 0, "gamma": 0, "contrast": 0, "blur": 0, "noise": 0, "erase": 0.35,
}  # fmt: skip
PAIRED = {
    "losses": {"identity": 0.0}, "captions": {"width": 64}, "batch": {"domains": 2, "people": 32, "pictures": 1},
    "augment": PLAIN, "loss_rate": 1, "where": "broad/*", "alone": True,
}  # fmt: skip
FLIPPED = PLAIN | {"shift": 0, "erase": 0}
TWICE = {"domains": 1, "people": 32, "pictures": 2}


def pcl() -> Iterator[tuple[str, dict[str, Any]]]:
    """MUSE 4.1 in small: a tower that has read captions, then the parts of its loss in the hall, cameras not varied."""
    yield CAPTIONS, PAIRED | {"seeds": 1, "steps": 1000}
    tuned = {
        "start": CAPTIONS, "centroids": True, "batch": {"people": 8, "pictures": 4}, "augment": FLIPPED,
        "rate": 0.0005, "loss_rate": 1,
    }  # fmt: skip
    yield "identity only", tuned | {"losses": {"identity": 1.0}}
    for temperature, momentum in (
        (0.07, 0.8),
        (0.03, 0.8),
        (0.2, 0.8),
        (0.07, 0.2),
        (0.07, 0.5),
        (0.07, 0.95),
    ):
        both = {"prototypes": 1.0, "prototype_temperature": temperature, "prototype_momentum": momentum}
        yield (
            f"+ prototypes, tau {temperature}, gamma {momentum}",
            tuned | {"losses": {"identity": 1.0} | both},
        )


def survey() -> Iterator[tuple[str, dict[str, Any]]]:
    """The survey's paradigms, and what helps the supervised one outside its own domain."""
    supervised = {"losses": {"identity": 1.0, "smoothing": 0.1, "triplet": 1.0}}
    alone = {"losses": {"identity": 0.0, "contrast": 1.0}, "batch": TWICE, "alone": True}
    yield "small, untrained", {"steps": 1, "rate": 1e-9}
    yield "OSNet, identity + triplet", supervised | {"network": OSNET, "augment": PLAIN}
    yield "OSNet, cameras varied", supervised | {"network": OSNET}
    yield "small, identity + triplet", supervised | {"augment": PLAIN}
    yield "small, mixed styles", supervised | {"network": SMALL | {"mix_style": 0.5}, "augment": PLAIN}
    yield "small, cameras varied", supervised
    yield "small, ours in the hall", {"losses": OURS}
    yield "small, self-supervised in the hall", alone
    yield "small, self-supervised, colours left alone", alone | {"augment": PLAIN | {"shift": 0.12}}
    yield CAPTIONS, PAIRED
    yield "small, CLIP-style, then ours in the hall", {"losses": OURS, "start": CAPTIONS, "centroids": True}
    yield "small, self-supervised, random domains", alone | {"where": "broad/*"}
    yield (
        "small, ours, random domains",
        {"losses": OURS, "batch": {"domains": 2, "people": 8}, "where": "broad/*"},
    )


def texts() -> Iterator[tuple[str, dict[str, Any]]]:
    """The only one that reads."""
    yield CAPTIONS, PAIRED


def described(data: Path, out: Path, steps: int, size: tuple[int, int], changes: dict[str, Any]) -> Config:
    """The config of a run; all that is not changed is that of the bundled baseline."""
    changes = {key: value for key, value in changes.items() if key != "seeds"}
    if "start" in changes:
        changes["start"] = run_of(out, changes["start"], 0).resolve() / "checkpoint"
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
                "size": size,
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


def run_of(out: Path, row: str, seed: int) -> Path:
    """The folder of a row's run."""
    return out / f"{row.replace(' ', '_')}-{seed}"


def trained(config: Config, run: Path, seed: int) -> None:
    """Makes a run, or goes on with it, if it is not there."""
    if not (run / "checkpoint/network.yaml").exists():
        train_encoder(config, run, seed, resume=(run / "state.safetensors").exists())


def judged(run: Path, folder: Path) -> dict[str, float]:
    """The scores of a run on a set."""
    return scores(seen(run, folder))


def asked(run: Path, folder: Path) -> dict[str, float]:
    """The scores of the captions of a set's queries among its gallery, cameras disregarded."""
    pictures = seen(run, folder)
    captions = [sample.text[0] for sample in load("world", folder).splits["query"]]
    rows = load_reader(run / "reader.safetensors").read(captions).numpy()
    return dict(RULES["text_to_image"](1 - rows @ pictures.gallery_features.T, pictures))


def seen(run: Path, folder: Path) -> FeatureSet:
    """What a run makes of a set's pictures; kept in the run's folder."""
    features = run / "judged" / f"{folder.name}.npz"
    if not features.exists():
        network, card = load_checkpoint(run / "checkpoint")
        judge(network, card.preprocess, SetChoice(folder=folder).searched(), torch.device("cpu")).save(
            features
        )
    return read_features(features)


def main() -> None:
    """Prints a Markdown table."""
    parser = argparse.ArgumentParser()
    parser.add_argument("what", choices=("pcl", "survey", "texts"))
    parser.add_argument("data", type=Path)
    parser.add_argument("out", type=Path)
    parser.add_argument("--steps", type=int, default=800)
    parser.add_argument("--size", type=int, nargs=2, default=(128, 64), help="Height, width.")
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--only", default="")
    parser.add_argument("--judged", nargs="*", default=JUDGED)
    given = parser.parse_args()
    data = given.data.resolve()
    print("| mAP / R1 | " + " | ".join(given.judged) + " |")
    print("|---|" + "---:|" * len(given.judged))
    for name, changes in {"pcl": pcl, "survey": survey, "texts": texts}[given.what]():
        if given.only not in name:
            continue
        config = described(data, given.out, given.steps, given.size, changes)
        runs = [run_of(given.out, name, seed) for seed in range(changes.get("seeds", given.seeds))]
        for seed, run in enumerate(runs):
            trained(config, run, seed)
        score = asked if given.what == "texts" else judged
        cells = [_cell([score(run, data / "judge" / domain) for run in runs]) for domain in given.judged]
        print(f"| {name} | " + " | ".join(cells) + " |", flush=True)


def _cell(scores: list[dict[str, float]]) -> str:
    """Mean over the seeds, and the deviation of mAP."""
    maps, firsts = ([100 * score[key] for score in scores] for key in ("mAP", "R1"))
    spread = f" ± {np.std(maps, ddof=1):.1f}" if len(maps) > 1 else ""
    return f"{np.mean(maps):.1f}{spread} / {np.mean(firsts):.1f}"


if __name__ == "__main__":
    main()
