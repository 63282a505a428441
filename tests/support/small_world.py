"""A few people in a small picture of each domain, built once for all tests of the simulated world."""

import math
from functools import cache

import numpy as np

from trainers.world.camera import Camera
from trainers.world.crowd import Crowd
from trainers.world.domains import find_domain
from trainers.world.looks import sample_look
from trainers.world.person import Person, build_person
from trainers.world.render import Picture, render
from trainers.world.rig import Pose
from trainers.world.view import View

SIZE = (320, 180)
FEW_RAYS = (2, 3)


@cache
def person(seed: int) -> Person:
    return build_person(sample_look(seed))


@cache
def view(domain: str = "hall", mount: int = 0) -> View:
    found = find_domain(domain)
    place = found.place()
    return View(place, Camera(place.mounts[mount], *SIZE), found.style, seed=1, rays=FEW_RAYS)


def at_target(seen_from: View, aside: float = 0.0, nearer: float = 0.0, heading: float = 0.5) -> Pose:
    """Somebody where the camera looks: so many metres to the right, so many nearer to it."""
    x, y, _ = seen_from.camera.mount.target
    eye_x, eye_y, _ = seen_from.camera.mount.position
    far = math.hypot(eye_x - x, eye_y - y)
    to_x, to_y = (eye_x - x) / far, (eye_y - y) / far
    return Pose(x + nearer * to_x - aside * to_y, y + nearer * to_y + aside * to_x, heading, 0.3, 1.0)


def picture(crowd: Crowd, poses: dict[int, Pose], seen_from: View, seed: int = 0) -> Picture:
    crowd.pose(poses)
    return render(seen_from, crowd, poses, crowd.shadows(seen_from, poses), np.random.default_rng(seed))
