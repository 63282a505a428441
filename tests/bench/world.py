"""Prints how fast the simulated world is, and how often a detector of real people finds those in it.

`python -m tests.bench.world speed`, `python -m tests.bench.world hog hall street ...`
"""

import sys
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path

import cv2
import numpy as np

from pipeline.geometry import iou
from trainers.world.crops import Shooting, make_views
from trainers.world.crowd import Crowd
from trainers.world.domains import Domain, find_domain, identity_seeds
from trainers.world.hard import Hardness
from trainers.world.itinerary import Itinerary, make_sites
from trainers.world.looks import Look, sample_look
from trainers.world.person import build_person, kept_person
from trainers.world.render import Picture, render
from trainers.world.view import View

PEOPLE = 15
SMALL, LARGE = (640, 360), (960, 540)
HEIGHTS = (90, 130, 200)  # pixels: a person counts for the highest that they reach
CLEAR = 0.9


def speed() -> None:
    domain = find_domain("hall")
    looks = _looks(domain, 0)
    build_person(looks[0])
    start = time.process_time()
    people = [build_person(look) for look in looks]
    print(f"identity built: {_ms(start, PEOPLE):.0f} ms CPU")
    with tempfile.TemporaryDirectory() as folder:
        for _ in range(2):
            start = time.process_time()
            for look in looks:
                kept_person(look, Path(folder))
        print(f"identity from disk: {_ms(start, PEOPLE):.1f} ms CPU")
    crowd = Crowd(people)
    for size in (SMALL, LARGE):
        make_views(domain, 3, 1, size)
        start = time.process_time()
        views = make_views(domain, 3, 0, size)
        print(f"{size}: place ray-cast: {_ms(start, 3) / 1e3:.1f} s CPU a camera")
        _speed_of_crops(views, crowd, size)
        _speed_of_frames(domain, views, crowd, looks, size)


def _speed_of_crops(views: Sequence[View], crowd: Crowd, size: tuple[int, int]) -> None:
    rng = np.random.default_rng(0)
    shots = [Shooting(view, crowd, rng, 0.35, Hardness()) for view in views]
    start = time.process_time()
    count = sum(1 for index in range(8) for shot in shots for _ in shot.crops(index, 6))
    print(f"{size}: crops: {_ms(start, count):.2f} s CPU per 1,000 (of {count})")


def _speed_of_frames(
    domain: Domain, views: Sequence[View], crowd: Crowd, looks: Sequence[Look], size: tuple[int, int]
) -> None:
    spent, frames, seen = 0.0, 0, 0
    rng = np.random.default_rng(0)
    for (poses,) in Itinerary(make_sites(domain.place(), 3, size), looks, 0).frames(12, 3):
        start = time.process_time()
        crowd.pose(poses)
        shadows = crowd.shadows(views[0], poses)
        for view in views:
            seen += len(render(view, crowd, poses, shadows, rng).seen)
        spent += time.process_time() - start
        frames += len(views)
    print(f"{size}: {frames / spent:.1f} camera frames a CPU second, {seen / frames:.1f} people in each")


def hog(name: str) -> None:
    domain = find_domain(name)
    looks = _looks(domain, 1)
    crowd, views = Crowd([build_person(look) for look in looks]), make_views(domain, 3, 0, LARGE)
    detector = cv2.HOGDescriptor()
    detector.setSVMDetector(cv2.HOGDescriptor_getDefaultPeopleDetector())
    rng, frames, false = np.random.default_rng(0), 0, 0
    found = {height: [0, 0] for height in HEIGHTS}
    for (poses,) in Itinerary(make_sites(domain.place(), 3, LARGE), looks, 1).frames(20, 0.8):
        crowd.pose(poses)
        shadows = crowd.shadows(views[0], poses)
        for view in views:
            picture = render(view, crowd, poses, shadows, rng)
            false += _count(picture, _detect(detector, picture), found)
            frames += 1
    right, all_ = (sum(counts[i] for counts in found.values()) for i in (0, 1))
    by_height = ", ".join(f"from {height} px {a}/{b}" for height, (a, b) in found.items())
    print(
        f"{name}: {right / max(1, all_):.2f} of {all_} found ({by_height}); {false / frames:.2f} false a frame"
    )


def _detect(detector: cv2.HOGDescriptor, picture: Picture) -> np.ndarray:
    boxes, _ = detector.detectMultiScale(picture.image, winStride=(8, 8), scale=1.05)
    rows = [(x + 0.1 * w, y + 0.07 * h, x + 0.9 * w, y + 0.93 * h) for x, y, w, h in boxes]
    return np.array(rows, np.float32).reshape(-1, 4)


def _count(picture: Picture, boxes: np.ndarray, found: dict[int, list[int]]) -> int:
    """Adds who was found to `found`; returns how many boxes are on nobody."""
    people = [seen for seen in picture.seen if seen.box[2]]
    truth = np.array(
        [(s.box[0], s.box[1], s.box[0] + s.box[2], s.box[1] + s.box[3]) for s in people], np.float32
    )
    overlap = iou(truth.reshape(-1, 4), boxes)
    for seen, row in zip(people, overlap, strict=True):
        if seen.visibility * seen.in_frame >= CLEAR and seen.box[3] >= HEIGHTS[0]:
            counts = found[max(height for height in HEIGHTS if seen.box[3] >= height)]
            counts[0] += bool((row >= 0.4).any())
            counts[1] += 1
    return int((overlap.max(0, initial=0) < 0.3).sum())


def _looks(domain: Domain, seed: int) -> list[Look]:
    return [sample_look(body, domain.wardrobe) for body in identity_seeds("test", seed, PEOPLE)]


def _ms(start: float, count: int) -> float:
    return (time.process_time() - start) / count * 1e3


if __name__ == "__main__":
    cv2.setNumThreads(1)
    if sys.argv[1] == "speed":
        speed()
    else:
        for domain_name in sys.argv[2:]:
            hog(domain_name)
