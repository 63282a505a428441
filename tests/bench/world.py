"""Prints how fast the simulated world is: `python -m tests.bench.world`."""

import tempfile
import time
from collections.abc import Sequence
from pathlib import Path

import cv2
import numpy as np

from trainers.world.crops import Shooting, make_views
from trainers.world.crowd import Crowd
from trainers.world.domains import Domain, find_domain, identity_seeds
from trainers.world.hard import Hardness
from trainers.world.itinerary import Itinerary, make_sites
from trainers.world.looks import Look, sample_look
from trainers.world.person import build_person, kept_person
from trainers.world.render import render
from trainers.world.view import View

PEOPLE = 15
SMALL, LARGE = (640, 360), (960, 540)


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
    next(shots[0].crops(0, 1))
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


def _looks(domain: Domain, seed: int) -> list[Look]:
    return [sample_look(body, domain.wardrobe) for body in identity_seeds("test", seed, PEOPLE)]


def _ms(start: float, count: int) -> float:
    return (time.process_time() - start) / count * 1e3


if __name__ == "__main__":
    cv2.setNumThreads(1)
    speed()
