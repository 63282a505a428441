"""Prints how a tiny encoder that is trained on each domain of the simulated world does in each: mAP / Rank-1.

`python -m tests.bench.world_matrix build/world_matrix`; a run that was stopped goes on: crops and scores are kept.
People who are trained on and people who are tested on are of different splits. A row that is trained on two
domains has the same people in both; `visible -> infrared` asks an infrared picture of pictures of the street.
"""

import argparse
import json
import math
from collections.abc import Iterator
from itertools import pairwise
from pathlib import Path
from typing import NamedTuple

import cv2
import numpy as np
import torch
from numpy.typing import NDArray
from torch import nn
from torch.nn import functional

from trainers.metrics import retrieval_scores
from trainers.world.crops import CropsPlan, make_crops
from trainers.world.domains import find_domain
from trainers.world.hard import Hardness
from trainers.world.jobs import open_output, write_whole

DOMAINS = ("hall", "street", "night", "infrared", "garage", "park")
BOTH = "street+infrared"
ROWS = (*DOMAINS, BOTH)
SIZE = (48, 96)  # width, height
PEOPLE = {"train": 264, "test": 96}
CAMERAS, TAKES = 3, 4
EPOCHS, IDENTITIES, PICTURES = 6, 16, 4  # a batch holds so many people, so many pictures of each
RATE, WARM_UP = 3e-3, 0.1
TEMPERATURE = 0.1
PAD = 4  # pixels that a picture is moved by at most
GREY = 0.5  # share of pictures that lose their colours where infrared is trained on too


class Crops(NamedTuple):
    """Pictures (N, 96, 48, 3) with identity, camera and take of each; cameras of infrared are others."""

    images: NDArray[np.uint8]
    ids: NDArray[np.int64]
    cameras: NDArray[np.int64]
    takes: NDArray[np.int64]


def crops_of(name: str, split: str, out: Path) -> Crops:
    """Draws them, or reads those that were drawn."""
    folder = out / f"{name}-{split}"
    domain = find_domain(name)
    plan = CropsPlan(
        folder, domain, split, 3, PEOPLE[split], CAMERAS, TAKES, 1, (64, 128), (640, 360), False, 0.5, Hardness(),
        out / "people",
    )  # fmt: skip
    open_output(folder, {"crops": [name, split, PEOPLE[split], CAMERAS, TAKES]})
    if not (folder / "attributes.jsonl").exists():
        make_crops(plan, workers=1)
    rows = [
        json.loads(line) for line in (folder / "attributes.jsonl").read_text(encoding="utf-8").splitlines()
    ]
    images = [
        cv2.resize(cv2.imread(str(folder / row["file"])), SIZE, interpolation=cv2.INTER_AREA) for row in rows
    ]
    other = 10 * domain.infrared
    return Crops(
        np.stack(images).astype(np.uint8),
        np.array([row["person_id"] for row in rows]),
        np.array([row["camera"] + other for row in rows]),
        np.array([int(Path(row["file"]).stem.split("_")[2]) for row in rows]),
    )


def joined(parts: list[Crops]) -> Crops:
    """Pictures of the same people in several domains."""
    return Crops(*(np.concatenate(column) for column in zip(*parts, strict=True)))


class Encoder(nn.Module):
    """0.3 million parameters: (N, 3, 96, 48) in [0, 1] to unit vectors (N, 128)."""

    def __init__(self) -> None:
        super().__init__()
        widths = (3, 32, 48, 96, 144)
        layers: list[nn.Module] = []
        for i, (before, after) in enumerate(pairwise(widths)):
            layers += [nn.Conv2d(before, after, 5 if i == 0 else 3, 2, 2 if i == 0 else 1, bias=False)]
            layers += [nn.BatchNorm2d(after), nn.ReLU()]
        self.body = nn.Sequential(*layers)
        self.head = nn.Linear(144 * 3, 128, bias=False)
        self.neck = nn.BatchNorm1d(128)

    def forward(self, images: torch.Tensor) -> torch.Tensor:
        """Pooled over three stripes: head, trunk, legs."""
        stripes = functional.adaptive_avg_pool2d(self.body((images - 0.45) / 0.25), (3, 1)).flatten(1)
        return functional.normalize(self.neck(self.head(stripes)))


def train(crops: Crops, seed: int, grey: float) -> Encoder:
    """Contrasts pictures of a person with those of others, and tells all people apart by a vector each."""
    torch.manual_seed(seed)
    rng = np.random.default_rng(seed)
    _, ids = np.unique(crops.ids, return_inverse=True)
    encoder, centres = Encoder(), nn.Parameter(torch.randn(int(ids.max()) + 1, 128))
    optimiser = torch.optim.AdamW([*encoder.parameters(), centres], lr=RATE, weight_decay=5e-4)
    batches = list(_batches(ids, rng))
    for step, rows in enumerate(batches):
        done = step / len(batches)
        rate = min(done / WARM_UP, 0.5 + 0.5 * math.cos(math.pi * done))
        optimiser.param_groups[0]["lr"] = RATE * rate
        found = encoder(_augmented(crops.images[rows], grey, rng))
        labels = torch.from_numpy(ids[rows])
        loss = supervised_contrast(found, labels) + functional.cross_entropy(
            found @ functional.normalize(centres).T / TEMPERATURE, labels, label_smoothing=0.1
        )
        optimiser.zero_grad()
        loss.backward()  # type: ignore[no-untyped-call]
        optimiser.step()
    return encoder.eval()


def supervised_contrast(found: torch.Tensor, labels: torch.Tensor) -> torch.Tensor:
    """Mean negative log-likelihood of a picture's partners among the batch.

    Source: Khosla et al., Supervised Contrastive Learning, 2020, equation 2.
    """
    itself = torch.eye(len(found), dtype=torch.bool)
    alike = (labels[:, None] == labels[None]) & ~itself
    likelihood = (found @ found.T / TEMPERATURE).masked_fill(itself, -1e9).log_softmax(1)
    return -(likelihood * alike).sum(1).div(alike.sum(1)).mean()


def _batches(ids: NDArray[np.int64], rng: np.random.Generator) -> Iterator[NDArray[np.int64]]:
    rows_of = [np.flatnonzero(ids == who) for who in range(ids.max() + 1)]
    for _ in range(EPOCHS * len(ids) // (IDENTITIES * PICTURES)):
        people = rng.choice(len(rows_of), IDENTITIES, replace=False)
        yield np.concatenate([rng.choice(rows_of[who], PICTURES) for who in people])


def _augmented(images: NDArray[np.uint8], grey: float, rng: np.random.Generator) -> torch.Tensor:
    """Mirrored, moved, brighter or darker, now and then without colours."""
    found = torch.from_numpy(images).permute(0, 3, 1, 2).float() / 255
    count, high, wide = len(found), SIZE[1], SIZE[0]
    mirrored = torch.from_numpy(rng.random(count) < 0.5)
    found[mirrored] = found[mirrored].flip(3)
    padded = functional.pad(found, (PAD,) * 4, mode="replicate")
    at = rng.integers(0, 2 * PAD + 1, (count, 2))
    found = torch.stack([padded[i, :, y : y + high, x : x + wide] for i, (y, x) in enumerate(at)])
    plain = torch.from_numpy(rng.random(count) < grey)
    found[plain] = found[plain].mean(1, keepdim=True).expand(-1, 3, -1, -1)
    gain, shift = rng.uniform(0.75, 1.3, (count, 1, 1, 1)), rng.uniform(-0.08, 0.08, (count, 1, 1, 1))
    return (found * torch.from_numpy(gain).float() + torch.from_numpy(shift).float()).clamp(0, 1)


@torch.inference_mode()
def embedded(encoder: Encoder, crops: Crops) -> NDArray[np.float32]:
    """Unit rows (N, 128)."""
    images = torch.from_numpy(crops.images).permute(0, 3, 1, 2).float() / 255
    found = torch.cat(
        [functional.normalize(encoder(part) + encoder(part.flip(3))) for part in images.split(256)]
    )
    return found.numpy()


def score(
    queries: NDArray[np.float32], gallery: NDArray[np.float32], asked: Crops, searched: Crops
) -> list[float]:
    """mAP and Rank-1, in percent, across cameras."""
    distances = np.sqrt(np.maximum(0, 2 - 2 * queries @ gallery.T))
    found = retrieval_scores(distances, asked.ids, searched.ids, asked.cameras, searched.cameras)
    return [round(100 * float(found.mAP), 1), round(100 * float(found.cmc[0]), 1)]


def evaluate(encoder: Encoder, tests: dict[str, Crops]) -> dict[str, list[float]]:
    """A column for each domain, and infrared asked of the street in both directions."""
    vectors = {name: embedded(encoder, crops) for name, crops in tests.items()}
    found = {}
    for name, crops in tests.items():
        first = crops.takes == 1
        asked, searched = (Crops(*(column[rows] for column in crops)) for rows in (first, ~first))
        found[name] = score(vectors[name][first], vectors[name][~first], asked, searched)
    for asked_of, name in (("street", "infrared"), ("infrared", "street")):
        first = tests[name].takes == 1
        asked = Crops(*(column[first] for column in tests[name]))
        found[f"{name} in {asked_of}"] = score(
            vectors[name][first], vectors[asked_of], asked, tests[asked_of]
        )
    return found


def main() -> None:
    """Reads the command line, trains what is missing, prints the table."""
    options = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    options.add_argument("out", type=Path)
    options.add_argument("--seeds", type=int, default=2)
    given = options.parse_args()
    torch.set_num_threads(1)
    cv2.setNumThreads(1)
    given.out.mkdir(parents=True, exist_ok=True)
    tests = {name: crops_of(name, "test", given.out) for name in DOMAINS}
    scores: dict[str, list[dict[str, list[float]]]] = {}
    for seed in range(given.seeds):
        for row in ROWS:
            kept = given.out / f"{row}-{seed}.json"
            if not kept.exists():
                parts = [crops_of(name, "train", given.out) for name in row.split("+")]
                encoder = train(joined(parts), seed, GREY if row == BOTH else 0.0)
                write_whole(kept, json.dumps(evaluate(encoder, tests)))
            scores.setdefault(row, []).append(json.loads(kept.read_text(encoding="utf-8")))
            print(row, seed, scores[row][-1], flush=True)
    columns = list(scores[ROWS[0]][0])
    print(f"\n| trained on | {' | '.join(columns)} |\n|---|{'---:|' * len(columns)}")
    for row, runs in scores.items():
        print(f"| {row} | {' | '.join(_cell([run[column] for run in runs]) for column in columns)} |")


def _cell(runs: list[list[float]]) -> str:
    """Mean mAP / Rank-1 of the seeds, with half of the distance between them."""
    means, spread = np.mean(runs, 0), np.ptp(runs, 0) / 2
    return f"{means[0]:.1f} / {means[1]:.1f} ±{spread[0]:.1f} / {spread[1]:.1f}"


if __name__ == "__main__":
    main()
