"""Photographs for a watchlist: another room, lens and exposure than the clips, always in visible light."""

import dataclasses
import math
from collections.abc import Iterator, Sequence

import cv2
import numpy as np

from trainers.world.camera import Camera, Mount
from trainers.world.compiled import U8
from trainers.world.crowd import Crowd
from trainers.world.domains import DOMAINS
from trainers.world.person import Person
from trainers.world.render import render
from trainers.world.rig import Pose
from trainers.world.sensor import RAW
from trainers.world.view import CAREFUL, View

DESK = Mount((-8.6, -3.4, 1.55), (-10.9, 0.6, 0.76), 33)
STANDS = (-10.2, -0.4)
SIDE_PX = 480
PORTRAIT_PX = 300  # height of a finished photograph
TURNED_DEG = 18.0


def photograph(people: Sequence[Person], seed: int) -> Iterator[U8]:
    """A BGR picture of each, whole, cut close, nearly from the front."""
    hall = DOMAINS["hall"]
    style = dataclasses.replace(hall.style, jpeg=RAW, exposure=hall.style.exposure * 1.1)
    view = View(hall.place(), Camera(DESK, SIDE_PX, SIDE_PX), style, seed=3, rays=CAREFUL)
    rng = np.random.default_rng([60, seed])
    facing = math.atan2(-(DESK.position[0] - STANDS[0]), DESK.position[1] - STANDS[1])
    for person in people:
        crowd = Crowd([person])
        heading = facing + math.radians(float(rng.uniform(-TURNED_DEG, TURNED_DEG)))
        phase = 0.08 + 0.5 * float(rng.integers(2))
        poses = {0: Pose(*STANDS, heading, phase, amplitude=0.35, t=float(rng.uniform(0, 3)))}
        crowd.pose(poses)
        picture = render(view, crowd, poses, crowd.shadows(view, poses), rng)
        x, y, w, h = picture.seen[0].box
        pad = round(0.03 * h)
        cut = picture.image[max(0, y - pad) : y + h + pad, max(0, x - pad) : x + w + pad]
        width = round(cut.shape[1] * PORTRAIT_PX / cut.shape[0])
        yield np.asarray(cv2.resize(cut, (width, PORTRAIT_PX), interpolation=cv2.INTER_AREA), np.uint8)
