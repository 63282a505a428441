"""Clips made to cross: who is named as in front is, and covers the other in the picture."""

import itertools
from pathlib import Path

import numpy as np
import pytest

from tests.bench.crossings import KINDS, Crossing, CrossingsPlan
from trainers.world.camera import Camera
from trainers.world.domains import find_domain
from trainers.world.hard import Hardness
from trainers.world.looks import Look

HALL = CrossingsPlan(
    Path(), (find_domain("hall"),), "test", 3, 8, 8, 2, 6.0, 10.0, (320, 180), Hardness()
)  # four pairs in each of two cameras of one place


@pytest.fixture(scope="module")
def planned() -> list[tuple[Camera, list[Look], list[Crossing]]]:
    """What is to happen in each camera."""
    (sites, where), looks = HALL.sites(), HALL.looks
    return [
        (sites[site].cameras[lens], looks, HALL.crossings(sites, looks, (site, lens)))
        for _, site, lens in where
    ]


def _pixel(camera: Camera, crossing: Crossing, look: Look, who: int) -> np.ndarray:
    pose = crossing.ways[who].pose(crossing.at_s, look)
    return camera.project((pose.x, pose.y, 1.0))


def test_one_is_behind_the_other_at_the_time_of_the_crossing(planned):
    for camera, looks, crossings in planned:
        for crossing in crossings:
            front = _pixel(camera, crossing, looks[crossing.front], 0)
            behind = _pixel(camera, crossing, looks[crossing.behind], 1)
            assert 0.3 < behind[2] - front[2] < 1.0  # metres of depth
            assert abs(front[0] - behind[0]) < 3
            assert 0 < front[0] < 320
            assert 0 < front[1] < 180


def test_every_kind_comes_and_everybody_crosses_somebody_once(planned):
    for _, looks, crossings in planned:
        assert {crossing.kind for crossing in crossings} == set(KINDS)
        pairs = [who for crossing in crossings for who in (crossing.front, crossing.behind)]
        assert sorted(pairs) == list(range(len(looks)))


def test_who_passes_goes_on_and_who_meets_turns_back(planned):
    for _, looks, crossings in planned:
        for crossing in crossings:
            way, look = crossing.ways[0], looks[crossing.front]
            first, last = way.pose(way.at_s[0], look), way.pose(way.at_s[-1], look)
            came_back = np.hypot(first.x - last.x, first.y - last.y) < 0.01
            assert came_back == (crossing.kind == "meet")


def test_equal_seeds_walk_equally_and_nobody_jumps():
    sites, where = HALL.sites()
    camera = where[1][1:]
    frames, again = (list(HALL.walks(sites, HALL.looks, camera)) for _ in range(2))
    assert frames == again
    assert len(frames) == HALL.frames
    for before, after in itertools.pairwise(frames):
        for index, pose in after.items():
            assert np.hypot(pose.x - before[index].x, pose.y - before[index].y) * HALL.fps < 2.5
