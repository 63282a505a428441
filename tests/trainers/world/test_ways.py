"""Ways lead around things, spots are seen whole, people get where they go and from camera to camera."""

import math
from itertools import pairwise

import numpy as np
import pytest

from trainers.world.camera import Camera
from trainers.world.itinerary import Itinerary, Site, make_sites
from trainers.world.looks import sample_look
from trainers.world.places import Place
from trainers.world.scenery import SCENES
from trainers.world.ways import CLEARANCE, Ways, good_spots

SIZE = (640, 360)


@pytest.fixture(scope="module")
def hall() -> Place:
    return SCENES["hall"](np.random.default_rng(0), 0.0)


@pytest.mark.parametrize("name", SCENES)
def test_every_gate_leads_in_and_no_way_crosses_a_thing(name: str) -> None:
    place = SCENES[name](np.random.default_rng(0), 0.0)
    ways = Ways(place)
    middle = next((x, y) for x in (0.0, 1.0, 2.0) for y in (0.0, 1.0, 2.0) if ways.is_free((x, y)))
    for gate in place.gates:
        way = [gate[-1], *ways.route(gate[-1], middle)]
        for (ax, ay), (bx, by) in pairwise(way):
            for share in np.linspace(0, 1, 40):
                x, y = ax + (bx - ax) * share, ay + (by - ay) * share
                for x0, y0, x1, y1 in place.obstacles:
                    assert not (x0 < x < x1 and y0 < y < y1), (gate, x, y)


@pytest.mark.parametrize("name", SCENES)
def test_every_camera_has_good_spots(name: str) -> None:
    place = SCENES[name](np.random.default_rng(0), 0.0)
    ways = Ways(place)
    for mount in place.mounts:
        camera = Camera(mount, *SIZE)
        spots = good_spots(place, camera, ways, 70)
        assert len(spots) > 15
        feet = camera.project(np.column_stack([spots, np.zeros(len(spots))]))
        assert (feet[:, 1] < SIZE[1]).all()


def test_no_camera_sees_where_people_wait(hall: Place) -> None:
    ways = Ways(hall)
    for mount in hall.mounts:
        camera = Camera(mount, *SIZE)
        spots = good_spots(hall, camera, ways, 5)
        for gate in hall.gates:
            assert all(math.dist(gate[0], spot) > 2 * CLEARANCE for spot in spots)


def _run(sites: list[Site], people: int, seconds: float) -> list[list[dict[int, tuple[float, float]]]]:
    itinerary = Itinerary(sites, [sample_look(seed) for seed in range(people)], seed=4)
    return [
        [{index: (pose.x, pose.y) for index, pose in site.items()} for site in frame]
        for frame in itinerary.frames(seconds, fps=5)
    ]


def test_people_walk_at_walking_speed_and_keep_out_of_things(hall: Place) -> None:
    frames = _run(make_sites(hall, 3, SIZE), people=5, seconds=20)
    for (before,), (after,) in pairwise(frames):
        for index in before.keys() & after.keys():
            far = math.dist(before[index], after[index])
            assert far < 0.5 or far > 5  # a step of 0.2 s, or left and came in again elsewhere
    inside = [
        point
        for (frame,) in frames
        for point in frame.values()
        for x0, y0, x1, y1 in hall.obstacles
        if x0 < point[0] < x1 and y0 < point[1] < y1
    ]
    assert len(inside) < 0.02 * sum(len(frame) for (frame,) in frames)


def test_people_pass_from_camera_to_camera_and_from_site_to_site(hall: Place) -> None:
    sites = make_sites(hall, 4, SIZE)
    assert [len(site.cameras) for site in sites] == [3, 1]
    frames = _run(sites, people=6, seconds=80)
    at_once = [set(first) & set(second) for first, second in frames]
    assert not any(at_once), "nobody is in two places"
    both = {index for first, _ in frames for index in first} & {
        index for _, second in frames for index in second
    }
    assert both
    seen_by: dict[int, set[int]] = {}
    for first, _ in frames:
        for index, (x, y) in first.items():
            for number, camera in enumerate(sites[0].cameras):
                u, v, depth = camera.project(np.array([x, y, 1.0]))
                if depth > 1 and 0 < u < SIZE[0] and 0 < v < SIZE[1]:
                    seen_by.setdefault(index, set()).add(number)
    assert max(len(cameras) for cameras in seen_by.values()) >= 2


def test_the_same_seed_walks_the_same_ways(hall: Place) -> None:
    assert _run(make_sites(hall, 1, SIZE), 3, 4) == _run(make_sites(hall, 1, SIZE), 3, 4)


def test_those_who_go_together_stay_together(hall: Place) -> None:
    looks = [sample_look(seed) for seed in range(4)]
    apart = [
        math.dist((site[first].x, site[first].y), (site[first + 1].x, site[first + 1].y))
        for (site,) in Itinerary(make_sites(hall, 1, SIZE), looks, 4, together=2).frames(15, fps=5)
        for first in (0, 2)
        if {first, first + 1} <= site.keys()
    ]
    assert len(apart) > 30
    assert np.median(apart) < 1.5
