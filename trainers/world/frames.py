"""`world frames`: single pictures of many places, with the boxes of everybody, to train and judge a detector on.

One array and one list a domain: `NAME.npy` holds the pictures, BGR uint8 (N, H, W, 3); a line of `NAME.jsonl` says
of one of them who is in it: `boxes` (x, y, w, h of the visible pixels) and `visible` (share of the body in [0, 1]).
Random domains get other sensors by the picture, clutter, and cameras that hang anywhere; named ones stay as designed.
"""

import json
import math
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import cv2
import numpy as np

from trainers.world.camera import Camera
from trainers.world.clutter import any_mount, cluttered, free_ground, is_useful
from trainers.world.compiled import F64
from trainers.world.crowd import Crowd
from trainers.world.domains import Domain, find_domain, identity_seeds
from trainers.world.hard import HARD_CASES, harden
from trainers.world.jobs import Report, run_jobs, write_whole
from trainers.world.looks import Look, sample_look
from trainers.world.person import build_person
from trainers.world.render import Picture, render
from trainers.world.rig import ACTS, Pose
from trainers.world.sensor import Sensor, jittered, random_style
from trainers.world.view import View
from trainers.world.wardrobe import WARDROBES
from trainers.world.ways import Ways, good_spots

EMPTY = 0.12  # share of pictures without anybody
CROWDS = ((1, 4), (5, 9), (10, 15))  # people in the others, and how often:
CROWD_SHARES = (0.5, 0.3, 0.2)
WHOLE = 0.75  # share of people who stand where the camera sees all of them; the others anywhere
LEAST_PX = 0.08  # of the picture's height: how tall a person who is seen whole appears at least
APART_M, IN_A_GROUP_M = 0.6, 0.32
CLUTTER = (3, 12)  # things in a random domain
SENSORS = 5  # of one view of a random domain
HARD = (*("none",) * 8, "umbrellas", "wheels", "uniforms", "like-clothes")  # one share of the people each
REPORT_EVERY = 10  # pictures


@dataclass(frozen=True, slots=True)
class FramesPlan:
    """All that decides the pictures.

    Attributes:
        domains: Names as `find_domain` takes them; scene, style: exchanged in all of them.
        per_domain: Pictures of each.
        cameras: Views of each; the pictures are shared out among them.
        people: Identities of each.
    """

    out: Path
    domains: tuple[str, ...]
    scene: str | None
    style: str | None
    split: str
    seed: int
    per_domain: int
    cameras: int
    people: int
    size: tuple[int, int]

    def looks(self, number: int, domain: Domain) -> list[Look]:
        """Who is in a domain: nobody is in two of them."""
        mine = identity_seeds(self.split, self.seed, self.people * len(self.domains))
        seeds = mine[number * self.people : (number + 1) * self.people]
        if not domain.variation:
            return [sample_look(seed, domain.wardrobe) for seed in seeds]
        rng = np.random.default_rng([120, self.seed, number])
        looks = [sample_look(seed, str(rng.choice(list(WARDROBES)))) for seed in seeds]
        shares = np.array_split(np.arange(len(looks)), len(HARD))
        return [
            look
            for case, share in zip(HARD, shares, strict=True)
            for look in harden([looks[row] for row in share], HARD_CASES[case], domain.wardrobe)
        ]


def make_frames(plan: FramesPlan, workers: int | None = None) -> None:
    """Draws the domains that are still missing, one a job."""
    missing = [
        number for number, name in enumerate(plan.domains) if not (plan.out / f"{name}.jsonl").exists()
    ]
    jobs = [(plan, number) for number in missing]
    run_jobs(_draw_domain, jobs, "pictures", len(missing) * plan.per_domain, workers)


def _draw_domain(job: tuple[FramesPlan, int], report: Report) -> None:
    plan, number = job
    cv2.setNumThreads(1)
    name = plan.domains[number]
    domain = find_domain(name, plan.scene, plan.style)
    rng = np.random.default_rng([121, plan.seed, number])
    crowd = Crowd([build_person(look) for look in plan.looks(number, domain)])
    images = np.empty((plan.per_domain, plan.size[1], plan.size[0], 3), np.uint8)
    rows = []
    for camera, numbers in enumerate(np.array_split(np.arange(plan.per_domain), plan.cameras)):
        scene = _Scene(domain, camera, plan, rng)
        for picture_number in numbers:
            picture = scene.draw(crowd)
            images[picture_number] = picture.image
            rows.append(json.dumps({"camera": camera + 1} | _truth(picture)))
            if len(rows) % REPORT_EVERY == 0:
                report(REPORT_EVERY)
    report(plan.per_domain % REPORT_EVERY)
    part = plan.out / f"{name}.part.npy"
    np.save(part, images)
    part.replace(plan.out / f"{name}.npy")
    write_whole(plan.out / f"{name}.jsonl", "".join(f"{row}\n" for row in rows))


def _truth(picture: Picture) -> dict[str, Any]:
    seen = [person for person in picture.seen if person.box[2]]
    return {
        "boxes": [list(person.box) for person in seen],
        "visible": [round(person.visibility * person.in_frame, 3) for person in seen],
    }


class _Scene:
    """One camera of a domain, and where people may stand before it."""

    def __init__(self, domain: Domain, camera: int, plan: FramesPlan, rng: np.random.Generator) -> None:
        self._rng = rng
        place = domain.place()
        mount = place.mounts[camera % len(place.mounts)]
        if domain.variation:
            place = cluttered(place, rng, int(rng.integers(CLUTTER[0], CLUTTER[1] + 1)))
        ways = Ways(place)
        if domain.variation and (camera % 2 or not is_useful(place, ways, Camera(mount, *plan.size))):
            mount = any_mount(place, ways, plan.size, rng)
        self._view = View(place, Camera(mount, *plan.size), domain.style, seed=1000 * plan.seed + camera)
        self._sensors = [self._view.sensor]
        if domain.variation:
            empty = np.asarray(self._view.key + self._view.ambient, np.float32)
            for _ in range(SENSORS - 1):
                style = jittered(domain.style, rng, 2.0) if plan.style else random_style(rng)
                self._sensors.append(Sensor(style, empty))
        lens = self._view.camera
        self._whole = good_spots(place, lens, ways, LEAST_PX * lens.height, most_share=1.0)
        self._anywhere = _in_front(lens, free_ground(place, ways, 0.3))

    def draw(self, crowd: Crowd) -> Picture:
        """A picture of some of the crowd."""
        poses = self._poses(crowd)
        self._view.sensor = self._sensors[int(self._rng.integers(len(self._sensors)))]
        crowd.pose(poses)
        return render(self._view, crowd, poses, crowd.shadows(self._view, poses), self._rng)

    def _poses(self, crowd: Crowd) -> dict[int, Pose]:
        rng, poses = self._rng, dict[int, Pose]()
        if rng.random() < EMPTY:
            return poses
        low, high = CROWDS[int(rng.choice(len(CROWDS), p=CROWD_SHARES))]
        who = rng.permutation(len(crowd.people))[: int(rng.integers(low, high + 1))]
        apart = IN_A_GROUP_M if rng.random() < 0.3 else APART_M
        for index in who:
            spots = self._whole if len(self._whole) and rng.random() < WHOLE else self._anywhere
            x, y = spots[int(rng.integers(len(spots)))] + rng.normal(0, 0.1, 2)
            if all(math.hypot(x - other.x, y - other.y) > apart for other in poses.values()):
                poses[int(index)] = self._pose(float(x), float(y))
        return poses

    def _pose(self, x: float, y: float) -> Pose:
        rng = self._rng
        heading, phase, t = (float(number) for number in rng.uniform(0, (2 * math.pi, 1, 40)))
        return Pose(x, y, heading, phase, float(rng.random() < 0.7), str(rng.choice(ACTS)), t)


def _in_front(camera: Camera, ground: F64) -> F64:
    """Ground before the lens where a part of a standing body may be in the picture."""
    points = [camera.project(np.column_stack([ground, np.full(len(ground), z)])) for z in (0.1, 0.9, 1.6)]
    inside = np.zeros(len(ground), bool)
    for point in points:
        x, y = point[:, 0], point[:, 1]
        inside |= (x > 0) & (x < camera.width) & (y > 0) & (y < camera.height) & (point[:, 2] > 1.0)
    return ground[inside] if inside.any() else ground
