"""`world crops`: pictures of people cut out as a detector would, in the tree of Market-1501, with texts and masks."""

import json
import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path

import cv2
import numpy as np

from trainers.world.camera import Camera, project_vertices
from trainers.world.compiled import F64, U8
from trainers.world.crowd import Crowd
from trainers.world.domains import Domain, identity_seeds
from trainers.world.hard import Hardness, harden
from trainers.world.jobs import Report, run_jobs, write_whole
from trainers.world.looks import Look, sample_look
from trainers.world.person import kept_person
from trainers.world.records import record
from trainers.world.render import Picture, Seen, render
from trainers.world.rig import Pose
from trainers.world.view import View
from trainers.world.ways import Ways, good_spots

BATCH = 24  # people built and drawn together: they are each other's passers-by
TRIES = 12  # for each picture
LEAST_PX = 70  # height of a person in the camera's picture
NEAR_M = (0.55, 1.9)  # passers-by
NEARLY_WHOLE = (
    0.9  # share of a body that is seen and in the picture, from which its outline tells slim from heavy
)
ACTS_DRAWN = ("walk", "walk", "walk", "phone", "pockets")
NARROWEST = 0.40  # of the height: detectors rarely give slivers
SHARE_OF_TRAINING = 0.5  # of the identities
FOLDERS = ("bounding_box_train", "query", "bounding_box_test")


@dataclass(frozen=True, slots=True)
class CropsPlan:
    """All that decides the crops."""

    out: Path
    domain: Domain
    split: str
    seed: int
    people: int
    cameras: int
    per_camera: int
    texts: int
    size: tuple[int, int]
    view: tuple[int, int]
    masks: bool
    least_visible: float
    hardness: Hardness
    kept: Path | None

    @property
    def seeds(self) -> range:
        """Of the bodies; person number 1 is the first."""
        return identity_seeds(self.split, self.seed, self.people)

    def numbers(self, batch: int) -> range:
        """People of a batch, from 1."""
        return range(batch * BATCH + 1, min(self.people, (batch + 1) * BATCH) + 1)

    @property
    def batches(self) -> int:
        """How many parts the work has."""
        return math.ceil(self.people / BATCH)


@dataclass(frozen=True, slots=True)
class Crop:
    """A picture of person `index` of the crowd, where it was cut (x0, y0, x1, y1), and the truth about it."""

    index: int
    picture: Picture
    box: tuple[int, int, int, int]
    seen: Seen
    pose: Pose


def make_crops(plan: CropsPlan, workers: int | None = None) -> None:
    """Draws the batches that are still missing, then joins their records into `attributes.jsonl`."""
    for folder in FOLDERS:
        (plan.out / folder).mkdir(exist_ok=True)
    missing = [batch for batch in range(plan.batches) if not _records_file(plan, batch).exists()]
    total = sum(len(plan.numbers(batch)) for batch in missing) * plan.cameras * plan.per_camera
    run_jobs(_draw_batch, [(plan, batch) for batch in missing], "crops", total, workers)
    parts = [_records_file(plan, batch).read_text(encoding="utf-8") for batch in range(plan.batches)]
    write_whole(plan.out / "attributes.jsonl", "".join(parts))


def _records_file(plan: CropsPlan, batch: int) -> Path:
    return plan.out / ".batches" / f"{batch:05d}.jsonl"


@lru_cache(maxsize=1)
def make_views(domain: Domain, cameras: int, seed: int, size: tuple[int, int]) -> tuple[View, ...]:
    """As many views as asked for; past the place's mounts, the same mounts with other sensors.

    The last are kept: ray-casting a place takes longer than many crops of it.
    """
    place = domain.place()
    lenses = [Camera(place.mounts[number % len(place.mounts)], *size) for number in range(cameras)]
    return tuple(
        View(place, lens, domain.style, seed=1000 * seed + number) for number, lens in enumerate(lenses)
    )


def _draw_batch(job: tuple[CropsPlan, int], report: Report) -> None:
    plan, batch = job
    cv2.setNumThreads(1)
    numbers = plan.numbers(batch)
    looks = _looks(plan, numbers)
    crowd = Crowd([kept_person(look, plan.kept) for look in looks])
    rng, wording = (np.random.default_rng([use, plan.seed, batch]) for use in (70, 71))
    rows: list[str] = []
    for camera, view in enumerate(make_views(plan.domain, plan.cameras, plan.seed, plan.view), start=1):
        shot = Shooting(view, crowd, rng, plan.least_visible, plan.hardness)
        for index, number in enumerate(numbers):
            for take, crop in enumerate(shot.crops(index, plan.per_camera)):
                rows.append(_write(plan, looks[index], number, camera, take, crop, view, wording))
            report(plan.per_camera)
    write_whole(_records_file(plan, batch), "".join(f"{row}\n" for row in rows))


def _looks(plan: CropsPlan, numbers: range) -> list[Look]:
    seeds = [plan.seeds[number - 1] for number in numbers]
    return harden(
        [sample_look(seed, plan.domain.wardrobe) for seed in seeds], plan.hardness, plan.domain.wardrobe
    )


class Shooting:
    """Takes pictures of people at good places in front of one camera, with passers-by.

    Args:
        view: The camera.
        crowd: The people; one at a time is in focus, others pass.
        rng: Of places, poses, boxes and noise.
        least_visible: Share of the body that must be seen.
        hardness: What makes it hard.
    """

    def __init__(
        self, view: View, crowd: Crowd, rng: np.random.Generator, least_visible: float, hardness: Hardness
    ) -> None:
        self._view, self._crowd, self._rng = view, crowd, rng
        self._least_visible, self._hardness = least_visible, hardness
        least_px = max(LEAST_PX, 0.16 * view.camera.height)
        self._spots: F64 = good_spots(view.place, view.camera, Ways(view.place), least_px)

    def crops(self, index: int, count: int) -> Iterator[Crop]:
        """Up to `count` pictures of a person; fewer where too many tries fail."""
        made = 0
        for _ in range(count * TRIES):
            if made == count:
                return
            crop = self._attempt(index)
            if crop is not None:
                made += 1
                yield crop

    def _attempt(self, index: int) -> Crop | None:
        x, y = self._spots[self._rng.integers(len(self._spots))] + self._rng.normal(0, 0.1, 2)
        poses = {index: self._pose(float(x), float(y), focus=True)} | self._passers_by(
            index, float(x), float(y)
        )
        self._crowd.pose(poses)
        box = self._box(index)
        if box is None:
            return None
        shadows = self._crowd.shadows(self._view, poses, (float(x), float(y), 3.0))
        picture = render(self._view, self._crowd, poses, shadows, self._rng, box)
        for seen in picture.seen:
            if seen.index == index and seen.box[2] and seen.visibility >= self._least_visible:
                return Crop(index, picture, box, seen, poses[index])
        return None

    def _pose(self, x: float, y: float, focus: bool = False) -> Pose:
        rng = self._rng
        heading = float(rng.uniform(0, 2 * math.pi))
        if focus and self._hardness.from_behind:
            eye = self._view.camera.position
            heading = math.atan2(eye[0] - x, y - eye[1]) + float(rng.uniform(-0.6, 0.6))
        act = ACTS_DRAWN[int(rng.integers(len(ACTS_DRAWN)))]
        amplitude = 1.0 if rng.random() < 0.8 else 0.0
        return Pose(x, y, heading, float(rng.random()), amplitude, act, float(rng.random() * 40))

    def _passers_by(self, index: int, x: float, y: float) -> dict[int, Pose]:
        rng, found = self._rng, {}
        near = (0.42, 0.75) if self._hardness.groups else NEAR_M
        count = 2 if self._hardness.groups else min(3, int(rng.poisson(0.8)))
        for other in rng.permutation(len(self._crowd.people))[:count]:
            if int(other) != index:
                far, angle = rng.uniform(*near), rng.uniform(0, 2 * math.pi)
                found[int(other)] = self._pose(x + far * math.cos(angle), y + far * math.sin(angle))
        return found

    def _box(self, index: int) -> tuple[int, int, int, int] | None:
        """What a detector would give: the body's box, a little off, never a sliver."""
        camera = self._view.camera
        some = self._crowd.vertices[self._crowd.vertices_of(index)][::7].copy()
        size = camera.width, camera.height
        left, top, right, bottom = project_vertices(
            some, camera.position, camera.rows, camera.focal, size, camera.k1, 1, some
        )
        if some[:, 2].min() < 1.0:
            return None
        tall = bottom - top
        pad = max(0.0, NARROWEST * tall - (right - left)) / 2 + 0.03 * tall
        off = self._rng.normal(0, 0.025, 4) * tall
        x0, y0 = max(0, int(left - pad + off[0])), max(0, int(top - 0.02 * tall + off[1]))
        x1 = min(camera.width, int(right + pad + off[2]))
        y1 = min(camera.height, int(bottom + 0.02 * tall + off[3]))
        return (x0, y0, x1, y1) if x1 - x0 >= 12 and y1 - y0 >= 0.55 * tall else None


def _write(
    plan: CropsPlan,
    look: Look,
    number: int,
    camera: int,
    take: int,
    crop: Crop,
    view: View,
    wording: np.random.Generator,
) -> str:
    """Saves the picture and its mask; returns its record."""
    name = f"{number:04d}_c{camera}s1_{take + 1:06d}_00"
    folder = _folder(plan, number, camera, take)
    image = cv2.resize(crop.picture.image, plan.size, interpolation=cv2.INTER_CUBIC)
    cv2.imwrite(str(plan.out / folder / f"{name}.jpg"), image, [cv2.IMWRITE_JPEG_QUALITY, 92])
    if plan.masks:
        mask = np.asarray(crop.picture.ids == crop.index + 1, np.uint8) * 255
        resized = cv2.resize(mask, plan.size, interpolation=cv2.INTER_NEAREST)
        (plan.out / "masks" / folder).mkdir(parents=True, exist_ok=True)
        cv2.imwrite(str(plan.out / "masks" / folder / f"{name}.png"), resized)
    where = {"file": f"{folder}/{name}.jpg"}
    seen = record(look, crop.picture, crop.seen, crop.pose, view, plan.texts, wording)
    people = int((crop.picture.ids != 0).sum())
    seen["own_share"] = round(int((crop.picture.ids == crop.index + 1).sum()) / people, 3)
    return json.dumps(where | {"person_id": number, "camera": camera, "domain": plan.domain.name} | seen)


def _folder(plan: CropsPlan, number: int, camera: int, take: int) -> str:
    """Of each camera the first picture asks and the others are searched; with one a camera, the first camera asks."""
    if number <= SHARE_OF_TRAINING * plan.people:
        return FOLDERS[0]
    asks = take == 0 if plan.per_camera > 1 else camera == 1
    return FOLDERS[1] if asks else FOLDERS[2]


def contact_rows(
    views: Sequence[View], crowd: Crowd, rng: np.random.Generator, per_view: int, hardness: Hardness
) -> list[list[U8]]:
    """Crops of every person: a row each, cameras from left to right."""
    shots = [Shooting(view, crowd, rng, 0.5, hardness) for view in views]
    return [
        [crop.picture.image for shot in shots for crop in shot.crops(index, per_view)]
        for index in range(len(crowd.people))
    ]
