"""Prints how networks made for photographs do on the simulated people: how many are found, and who is told apart.

`musewatch world frames out/hall --domain hall --split test --frames 50`, and so for others; then
`python -m tests.bench.world_people find out/hall out/street --engine hog --engine yolox_nano.yaml`
`python -m tests.bench.world_people tell hall street random-5 --engine colour --engine retail_0267.yaml`

An engine is the manifest of one, or the name of a plugin that needs none. Nobody who is drawn here is trained on:
the split is `test`.
"""

import argparse
import json
import tempfile
from collections import Counter
from collections.abc import Sequence
from datetime import UTC, datetime
from itertools import pairwise
from pathlib import Path
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from pipeline import registry
from pipeline.follow.geometry import iou
from pipeline.messages import Frame
from pipeline.settings import choose
from trainers.metrics import retrieval_scores
from trainers.world.crops import Shooting, make_views
from trainers.world.crowd import Crowd
from trainers.world.domains import Domain, find_domain, identity_seeds
from trainers.world.hard import Hardness
from trainers.world.looks import Look, sample_look
from trainers.world.person import kept_person

SIZE = (960, 540)  # of the pictures that crops are cut from
CAMERAS, BATCH = 3, 24
BINS = (40, 60, 90, 140, 10_000)  # heights in pixels
CLEAR, FOUND, NOBODY = 0.5, 0.5, 0.3  # share that is visible, and overlaps
TAKES = 3  # crops of a person by a camera; the first is the query


def find(folder: Path, engines: Sequence[str]) -> None:
    """A row for each domain and detector: found people by height, and false boxes a frame."""
    for listed in sorted(folder.glob("*.jsonl")):
        pictures = np.load(listed.with_suffix(".npy"), mmap_mode="r")
        truths = [json.loads(line) for line in listed.read_text(encoding="utf-8").splitlines()]
        for engine in engines:
            detector = _plugin("detector", engine)
            found, all_, false = Counter[int](), Counter[int](), 0
            for picture, truth in zip(pictures, truths, strict=True):
                false += _count(truth, detector.detect([_frame(np.array(picture))])[0].xyxy, found, all_)
            shares = [f"{found[low]}/{all_[low]}" for low in BINS[:-1]]
            whole = f"{sum(found.values()) / max(1, sum(all_.values())):.2f} of {sum(all_.values())}"
            false_share = f"{false / len(truths):.2f}"
            print(f"| {listed.stem} | {_name(engine)} | {whole} | {' | '.join(shares)} | {false_share} |")


def _count(truth: dict[str, Any], boxes: NDArray[np.float32], found: Counter[int], all_: Counter[int]) -> int:
    """Adds who was to be found and who was found, by height; returns how many boxes are on nobody."""
    people = np.array([_corners(box) for box in truth["boxes"]], np.float32).reshape(-1, 4)
    overlap = iou(people, boxes)
    for (_, _, _, high), visible, row in zip(truth["boxes"], truth["visible"], overlap, strict=True):
        if visible >= CLEAR and high >= BINS[0]:
            height = max(low for low in BINS if high >= low)
            all_[height] += 1
            found[height] += bool((row >= FOUND).any())
    return int((overlap.max(0, initial=0) < NOBODY).sum())


def _corners(box: Sequence[int]) -> tuple[int, int, int, int]:
    x, y, w, h = box
    return x, y, x + w, y + h


def _frame(image: NDArray[np.uint8]) -> Frame:
    return Frame("", 0, image, 0.0, datetime(2026, 1, 1, tzinfo=UTC), "file")


def tell(domain: Domain, engines: Sequence[str], people: int, keep: Path) -> None:
    """A row for each embedder: mAP and Rank-1 across cameras."""
    crops, ids, cameras, takes = _crops(domain, people, keep)
    queries = takes == 0
    for engine in engines:
        vectors = np.asarray(_plugin("embedder", engine).embed(crops))
        cosine = vectors[queries] @ vectors[~queries].T
        scores = retrieval_scores(
            np.sqrt(np.maximum(0, 2 - 2 * cosine)),
            ids[queries],
            ids[~queries],
            cameras[queries],
            cameras[~queries],
        )
        print(f"| {domain.name} | {_name(engine)} | {100 * scores.mAP:.1f} | {100 * scores.cmc[0]:.1f} |")


def _crops(
    domain: Domain, people: int, keep: Path
) -> tuple[list[NDArray[np.uint8]], NDArray[Any], NDArray[Any], NDArray[Any]]:
    """Pictures with the numbers of person, camera and take of each."""
    looks = _looks(domain, people)
    rng = np.random.default_rng(0)
    crops, labels = [], []
    for first in range(0, people, BATCH):
        crowd = Crowd([kept_person(look, keep) for look in looks[first : first + BATCH]])
        for camera, view in enumerate(make_views(domain, CAMERAS, 0, SIZE)):
            shot = Shooting(view, crowd, rng, CLEAR, Hardness())
            for index in range(len(crowd.people)):
                for take, crop in enumerate(shot.crops(index, TAKES)):
                    crops.append(crop.picture.image)
                    labels.append((first + index, camera, take))
    ids, cameras, takes = np.array(labels).T
    return crops, ids, cameras, takes


def _looks(domain: Domain, people: int) -> list[Look]:
    return [sample_look(body, domain.wardrobe) for body in identity_seeds("test", 1, people)]


def _plugin(role: str, engine: str) -> Any:
    choice = choose("onnx", engine=engine) if engine.endswith(".yaml") else choose(engine)
    return registry.build(role, choice, Path.cwd(), role)


def _name(engine: str) -> str:
    return Path(engine).stem


def main() -> None:
    """Reads the command line."""
    options = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    options.add_argument("what", choices=("find", "tell"))
    options.add_argument("where", nargs="+", help="find: folders of frames; tell: domains")
    options.add_argument("--engine", action="append", required=True)
    options.add_argument("--people", type=int, default=72, help="identities of a domain to tell apart")
    options.add_argument("--keep", type=Path, help="folder that keeps built people for another call")
    given = options.parse_args()
    cv2.setNumThreads(1)
    if given.what == "find":
        heights = " | ".join(f"{low} to {high} px" for low, high in pairwise(BINS[:-1]))
        print(f"| domain | detector | found | {heights} | above | false a frame |")
        print(f"|---|---|{'---:|' * 6}")
        for folder in given.where:
            find(Path(folder), given.engine)
        return
    print("| domain | embedder | mAP | R1 |\n|---|---|---:|---:|")
    with tempfile.TemporaryDirectory() as folder:
        for name in given.where:
            tell(find_domain(name), given.engine, given.people, given.keep or Path(folder))


if __name__ == "__main__":
    main()
