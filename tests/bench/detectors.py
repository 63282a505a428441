"""Prints how detectors do on pictures of `world frames` and on labelled clips, and how many frames a second they take.

`python -m tests.bench.detectors --engine hog --engine engines/zoo/person_nano.yaml --frames DIR --clips DIR`

An engine is the manifest of one, or the name of a plugin that needs none. Clips without labels show nobody. Recall is
the greatest at a precision of 0.9, on boxes with an IoU of 0.5; `at 0.5` are recall and false boxes a picture there.
"""

import argparse
import time
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, NamedTuple

import cv2
import numpy as np

from pipeline import registry
from pipeline.messages import Clock, Frame
from pipeline.settings import choose
from trainers.detection.judge import LEAST_PX, truth_of
from trainers.detection.picture_store import PictureStore
from trainers.metrics.boxes import Found, Truth, box_scores

MIN_SCORE, USUAL_CUT = 0.02, 0.5
EVERY = 3  # frames of a clip without labels


class Set(NamedTuple):
    """Pictures with their truth, by name."""

    name: str
    images: list[Any]
    truths: list[Truth]


def main() -> None:
    """Reads the command line, prints a row for each engine and set."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--engine", action="append", required=True)
    parser.add_argument("--frames", action="append", type=Path, default=[])
    parser.add_argument("--clips", type=Path)
    given = parser.parse_args()
    sets = [_world(folder) for folder in given.frames]
    sets += list(_clips(given.clips)) if given.clips else []
    detectors = {name: _detector(name) for name in given.engine}
    print(
        f"{'set':<28} {'people':>6} {'engine':<20} {'AP':>6} {'recall':>6} {'cut':>5}  at 0.5      frames/s"
    )
    for pictures in sets:
        for name, detector in detectors.items():
            print(_row(pictures, Path(name).stem, detector), flush=True)


def _row(pictures: Set, name: str, detector: Any) -> str:
    start = time.process_time()
    answers = [detector.detect([frame_of(image)])[0] for image in pictures.images]
    pace = len(answers) / (time.process_time() - start)
    found = [Found(answer.xyxy, answer.score) for answer in answers]
    usual = [
        Found(answer.boxes[keep], answer.score[keep])
        for answer in found
        for keep in [answer.score >= USUAL_CUT]
    ]
    people = sum(int(truth.counts.sum()) for truth in pictures.truths)
    head = f"{pictures.name:<28} {people:>6} {name:<20}"
    if not people:
        alarms = sum(len(answer.score) for answer in usual) / len(usual)
        return f"{head} {'':>6} {'':>6} {'':>5}  -    {alarms:5.2f} {pace:8.1f}"
    scores, there = box_scores(pictures.truths, found), box_scores(pictures.truths, usual, min_precision=0.0)
    return (
        f"{head} {scores.ap:6.3f} {scores.recall:6.3f} {scores.cut:5.2f}  {there.recall:.2f} {there.false_alarms:5.2f}"
        f" {pace:8.1f}"
    )


def _world(folder: Path) -> Set:
    store = PictureStore((folder,))
    pictures = [store[number] for number in range(len(store))]
    images = [np.ascontiguousarray(picture.image) for picture in pictures]
    return Set(folder.name, images, [truth_of(picture) for picture in pictures])


def _clips(folder: Path) -> Iterator[Set]:
    for clip in sorted(folder.glob("*.mp4")):
        labels = clip.with_suffix(".gt_ids.txt")
        labels = labels if labels.exists() else clip.with_suffix(".gt.txt")
        truths = labelled(labels) if labels.exists() else None
        images, kept = [], []
        video, number = cv2.VideoCapture(str(clip)), 0
        while (got := video.read())[0]:
            number += 1
            if truths is None and number % EVERY == 0:
                images.append(got[1])
                kept.append(Truth(np.zeros((0, 4), np.float32), np.zeros(0, bool)))
            elif truths is not None and number in truths:
                images.append(got[1])
                kept.append(truths[number])
        yield Set(clip.stem, images, kept)


def labelled(path: Path) -> dict[int, Truth]:
    """By frame, from 1; only listed frames are labelled, and confidence 0 counts for nothing."""
    rows: dict[int, list[tuple[list[float], bool]]] = {}
    for line in path.read_text(encoding="utf-8").splitlines():
        frame, _, x, y, w, h, confidence, *_ = (float(value) for value in line.split(","))
        counts = confidence > 0 and h >= LEAST_PX
        rows.setdefault(int(frame), []).append(([x, y, x + w, y + h], counts))
    return {
        frame: Truth(np.array([box for box, _ in people], np.float32), np.array([c for _, c in people], bool))
        for frame, people in rows.items()
    }


def _detector(name: str) -> Any:
    if name.endswith(".yaml"):
        choice = choose("onnx", engine=str(Path(name).resolve()), min_score=MIN_SCORE, min_height_px=1)
    else:
        choice = choose(name, min_score=MIN_SCORE, min_height_px=LEAST_PX)
    return registry.build("detector", choice, Path(), "detector")


def frame_of(image: Any) -> Frame:
    """A picture as a stream would give it."""
    return Frame("bench", 0, image, 0.0, datetime(2026, 1, 1, tzinfo=UTC), Clock.FILE)


if __name__ == "__main__":
    main()
