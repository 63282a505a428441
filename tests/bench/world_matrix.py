"""Prints how a tiny encoder that is trained on each domain of the simulated world does in each: mAP / Rank-1.

`python -m tests.bench.world_matrix build/world_matrix`; a run that was stopped goes on: crops and scores are kept.
People who are trained on and people who are tested on are of different splits. A row that is trained on two
domains has the same people in both, more of them, and looks at brightness alone; its last layer is solved, not learned.
The last columns search the street for who is seen in infrared, and infrared for who is seen in the street: by single
pictures, and by tracks, whose vectors are the mean of a camera's pictures of a person.
"""

import argparse
import json
import math
from itertools import pairwise
from pathlib import Path
from typing import NamedTuple

import cv2
import numpy as np
import torch
from numpy.typing import NDArray
from scipy.linalg import eigh
from torch import nn
from torch.nn import functional

from trainers.metrics import retrieval_scores
from trainers.world.crops import CropsPlan, make_crops
from trainers.world.domains import find_domain
from trainers.world.hard import Hardness
from trainers.world.jobs import open_output, write_whole

DOMAINS = ("hall", "street", "night", "infrared", "garage", "park")
BOTH = "street+infrared"
INFRARED = 10  # cameras of infrared count from here
ROWS = (*DOMAINS, BOTH)
SIZE = (48, 96)  # width, height
PEOPLE = {"train": 264, "test": 96}
PEOPLE_OF_BOTH = 700  # to learn from: brightness alone says less of each
CAMERAS, TAKES = 3, 4
STEPS = 600  # with one domain; brightness alone is harder to learn from:
STEPS_OF_BOTH = 5000
IDENTITIES, PICTURES = 16, 4  # a batch holds so many people, so many pictures of each
SMALL = 0.6  # share of the steps that see pictures of half the size, and twice the people
RATE, WARM_UP, DECAY = 4e-3, 0.1, 1e-3
TEMPERATURE, TEMPERATURE_OF_PEOPLE = 0.1, 0.06
ZOOM, MOVE, TONE = (-0.12, 0.06), 0.1, 0.4  # log of the size, share of half a side, log of gamma
CELLS = (6, 3)  # rows and columns of what the last layer sees
RIDGE = 1.0  # of the scatter within people, in its mean variance


class Crops(NamedTuple):
    """Pictures (N, 96, 48, 3) with identity, camera and take of each; cameras of infrared count from 10."""

    images: NDArray[np.uint8]
    ids: NDArray[np.int64]
    cameras: NDArray[np.int64]
    takes: NDArray[np.int64]


def crops_of(name: str, split: str, out: Path, people: int | None = None) -> Crops:
    """Draws them, or reads those that were drawn."""
    folder = out / (f"{name}-{split}-{people}" if people else f"{name}-{split}")
    people = people or PEOPLE[split]
    domain = find_domain(name)
    plan = CropsPlan(
        folder, domain, split, 3, people, CAMERAS, TAKES, 1, (64, 128), (640, 360), False, 0.5, Hardness(),
        out / "people",
    )  # fmt: skip
    open_output(folder, {"crops": [name, split, people, CAMERAS, TAKES]})
    if not (folder / "attributes.jsonl").exists():
        make_crops(plan, workers=1)
    rows = [
        json.loads(line) for line in (folder / "attributes.jsonl").read_text(encoding="utf-8").splitlines()
    ]
    images = [
        cv2.resize(cv2.imread(str(folder / row["file"])), SIZE, interpolation=cv2.INTER_AREA) for row in rows
    ]
    other = INFRARED * domain.infrared
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
    """0.5 million parameters: (N, 3, H, W) in [0, 1] to unit vectors (N, 128).

    Args:
        grey: Looks at brightness alone.
    """

    def __init__(self, grey: bool) -> None:
        super().__init__()
        self.grey = grey
        widths = (1 if grey else 3, 32, 64, 112, 160)
        layers: list[nn.Module] = []
        for i, (before, after) in enumerate(pairwise(widths)):
            layers += [nn.Conv2d(before, after, 5 if i == 0 else 3, 2, 2 if i == 0 else 1, bias=False)]
            layers += [nn.BatchNorm2d(after), nn.ReLU()]
        self.body = nn.Sequential(*layers)
        self.head = nn.Linear(widths[-1] * CELLS[0] * CELLS[1], 128, bias=False)
        self.neck = nn.BatchNorm1d(128)

    def seen(self, images: torch.Tensor) -> torch.Tensor:
        """(N, D) before the last layer. Exposure is taken out first: each picture's own mean and contrast."""
        if self.grey:
            images = images.mean(1, keepdim=True)
        mean, contrast = images.mean((1, 2, 3), keepdim=True), images.std((1, 2, 3), keepdim=True)
        found = self.body((images - mean) / (contrast + 0.03))
        return functional.adaptive_avg_pool2d(found, CELLS).flatten(1)

    def forward(self, images: torch.Tensor) -> torch.Tensor:
        """Unit vectors."""
        return functional.normalize(self.neck(self.head(self.seen(images))))


def train(crops: Crops, seed: int, both: bool) -> Encoder:
    """Contrasts pictures of a person with those of others, and tells all people apart by a vector each."""
    torch.manual_seed(seed)
    rng = np.random.default_rng(seed)
    people, ids = np.unique(crops.ids, return_inverse=True)
    encoder, centres = Encoder(both), nn.Parameter(torch.randn(len(people), 128))
    optimiser = torch.optim.AdamW([*encoder.parameters(), centres], lr=RATE, weight_decay=DECAY)
    steps = STEPS_OF_BOTH if both else STEPS
    for step in range(steps):
        done = step / steps
        optimiser.param_groups[0]["lr"] = RATE * min(done / WARM_UP, 0.5 + 0.5 * math.cos(math.pi * done))
        shrunk = 2 if done < SMALL else 1
        rows = _batch(ids, crops.cameras, IDENTITIES * shrunk, rng)
        found = encoder(_augmented(crops.images[rows], both, shrunk, rng))
        labels = torch.from_numpy(ids[rows])
        loss = supervised_contrast(found, labels) + functional.cross_entropy(
            found @ functional.normalize(centres).T / TEMPERATURE_OF_PEOPLE, labels, label_smoothing=0.1
        )
        optimiser.zero_grad()
        loss.backward()  # type: ignore[no-untyped-call]
        optimiser.step()
    return discriminating(encoder.eval(), crops.images, ids) if both else encoder.eval()


@torch.inference_mode()
def discriminating(encoder: Encoder, images: NDArray[np.uint8], ids: NDArray[np.int64]) -> Encoder:
    """Puts the linear discriminants of the people learned in the place of the last layer.

    Source: Rao, The utilization of multiple measurements in problems of biological classification, 1948.
    """
    parts = torch.from_numpy(images).permute(0, 3, 1, 2).split(256)
    seen = torch.cat([encoder.seen(part.float() / 255) for part in parts]).numpy()
    centre = seen.mean(0)
    of_people = np.stack([seen[ids == who].mean(0) for who in range(ids.max() + 1)])
    within, between = np.cov((seen - of_people[ids]).T, bias=True), np.cov(of_people.T, bias=True)
    within += RIDGE * np.trace(within) / len(within) * np.eye(len(within))
    strengths, axes = eigh(between, within, subset_by_index=[len(within) - 128, len(within) - 1])
    weights = torch.from_numpy(axes * np.sqrt(strengths / (1 + strengths))).float().T
    encoder.head, encoder.neck = nn.Linear(len(centre), 128), nn.Identity()
    encoder.head.weight.copy_(weights)
    encoder.head.bias.copy_(-weights @ torch.from_numpy(centre))
    return encoder


def supervised_contrast(found: torch.Tensor, labels: torch.Tensor) -> torch.Tensor:
    """Mean negative log-likelihood of a picture's partners among the batch.

    Source: Khosla et al., Supervised Contrastive Learning, 2020, equation 2.
    """
    itself = torch.eye(len(found), dtype=torch.bool)
    alike = (labels[:, None] == labels[None]) & ~itself
    likelihood = (found @ found.T / TEMPERATURE).masked_fill(itself, -1e9).log_softmax(1)
    return -(likelihood * alike).sum(1).div(alike.sum(1)).mean()


def _batch(
    ids: NDArray[np.int64], cameras: NDArray[np.int64], people: int, rng: np.random.Generator
) -> NDArray[np.int64]:
    """Pictures of some people, of each as many in infrared as not where both are there."""
    rows: list[NDArray[np.int64]] = []
    for who in rng.choice(ids.max() + 1, people, replace=False):
        own = np.flatnonzero(ids == who)
        kinds = [part for part in (own[cameras[own] < INFRARED], own[cameras[own] >= INFRARED]) if len(part)]
        rows += [rng.choice(part, PICTURES // len(kinds)) for part in kinds]
    return np.concatenate(rows)


def _augmented(images: NDArray[np.uint8], grey: bool, shrunk: int, rng: np.random.Generator) -> torch.Tensor:
    """Mirrored, moved, cut otherwise, of another tone; grey ones as cameras of other colours would see them."""
    count, high, wide = len(images), SIZE[1] // shrunk, SIZE[0] // shrunk
    found = torch.from_numpy(images).permute(0, 3, 1, 2).float() / 255
    if grey:
        mix = torch.from_numpy(rng.dirichlet((1.0, 1.0, 1.0), count)).float()
        found = (found * mix[:, :, None, None]).sum(1, keepdim=True)
    cut = torch.zeros(count, 2, 3)
    size = torch.from_numpy(np.exp(rng.uniform(*ZOOM, (count, 2)))).float()
    cut[:, 0, 0] = size[:, 0] * torch.from_numpy(rng.choice([-1.0, 1.0], count)).float()
    cut[:, 1, 1] = size[:, 1]
    cut[:, :, 2] = torch.from_numpy(rng.uniform(-MOVE, MOVE, (count, 2))).float()
    grid = functional.affine_grid(cut, [count, found.shape[1], high, wide], align_corners=False)
    found = functional.avg_pool2d(found, shrunk)
    found = functional.grid_sample(found, grid, padding_mode="border", align_corners=False)
    gamma = torch.from_numpy(np.exp(rng.uniform(-TONE, TONE, (count, 1, 1, 1)))).float()
    return (found.clamp(0, 1) + 1e-3) ** gamma


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
    for name, place in (("infrared", "street"), ("street", "infrared")):
        first = tests[name].takes == 1
        asked = Crops(*(column[first] for column in tests[name]))
        found[f"{name} in {place}"] = score(vectors[name][first], vectors[place], asked, tests[place])
        (means, asked), (others, known) = (tracks(vectors[part], tests[part]) for part in (name, place))
        found[f"{name} in {place}, tracks"] = score(means, others, asked, known)
    return found


def tracks(vectors: NDArray[np.float32], crops: Crops) -> tuple[NDArray[np.float32], Crops]:
    """The mean vector of a camera's pictures of each person, and whose it is; pictures of the first."""
    _, first, which = np.unique(
        np.stack([crops.ids, crops.cameras], 1), axis=0, return_index=True, return_inverse=True
    )
    means = np.zeros((len(first), vectors.shape[1]), np.float32)
    np.add.at(means, which.ravel(), vectors)
    of_first = Crops(crops.images[first], crops.ids[first], crops.cameras[first], crops.takes[first])
    return means / np.linalg.norm(means, axis=1, keepdims=True), of_first


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
                people = PEOPLE_OF_BOTH if row == BOTH else None
                parts = [crops_of(name, "train", given.out, people) for name in row.split("+")]
                encoder = train(joined(parts), seed, row == BOTH)
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
