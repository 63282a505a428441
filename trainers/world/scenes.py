"""`world scenes`: find a person in whole pictures, by a crop and a text; scenes with and without them, in galleries.

The form of M2ReID (PS-ReID, section III): `queries.jsonl` holds a crop, a text and the scenes that show the person;
`scenes.jsonl` holds every scene with boxes and identities; `masks/` holds who is where, as index + 1;
`galleries.json` holds, for each size and query, the scenes to search, those that show the person among them.
"""

import json
import math
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import cv2
import numpy as np

from trainers.world.crops import make_views
from trainers.world.crowd import Crowd
from trainers.world.domains import Domain, identity_seeds
from trainers.world.hard import Hardness, harden
from trainers.world.jobs import Report, run_jobs, write_whole
from trainers.world.looks import Look, sample_look
from trainers.world.person import kept_person
from trainers.world.records import record
from trainers.world.render import Picture, render
from trainers.world.rig import ACTS, Pose
from trainers.world.view import View
from trainers.world.ways import Ways, good_spots

BATCH = 12  # scenes drawn by one job
CROWD = (1, 5)  # people in a scene
LEAST_VISIBLE, LEAST_PX = 0.4, 75  # what counts as shown: the paper drops boxes under 75 pixels
GALLERIES = (50, 100, 500)
APART_M = 0.6
TOUCHING_M = (0.42, 0.7)
QUERY_PAD = 0.03  # of the box's height


@dataclass(frozen=True, slots=True)
class ScenesPlan:
    """All that decides the scenes."""

    out: Path
    domain: Domain
    split: str
    seed: int
    people: int
    scenes: int
    cameras: int
    size: tuple[int, int]
    kept: Path | None
    hardness: Hardness

    @property
    def looks(self) -> list[Look]:
        """Everybody, in the order of their numbers."""
        seeds = identity_seeds(self.split, self.seed, self.people)
        looks = [sample_look(seed, self.domain.wardrobe) for seed in seeds]
        return harden(looks, self.hardness, self.domain.wardrobe)

    @property
    def batches(self) -> int:
        """How many parts the work has."""
        return math.ceil(self.scenes / BATCH)

    def numbers(self, batch: int) -> range:
        """Scenes of a batch."""
        return range(batch * BATCH, min(self.scenes, (batch + 1) * BATCH))


def make_scenes(plan: ScenesPlan, workers: int | None = None) -> None:
    """Draws the scenes that are still missing, then lists scenes, queries and galleries."""
    for folder in ("scenes", "masks", "queries"):
        (plan.out / folder).mkdir(exist_ok=True)
    missing = [batch for batch in range(plan.batches) if not _records_file(plan, batch).exists()]
    total = sum(len(plan.numbers(batch)) for batch in missing)
    run_jobs(_draw_batch, [(plan, batch) for batch in missing], "scenes", total, workers)
    parts = [_records_file(plan, batch).read_text(encoding="utf-8") for batch in range(plan.batches)]
    write_whole(plan.out / "scenes.jsonl", "".join(parts))
    scenes = [json.loads(line) for line in "".join(parts).splitlines()]
    queries = _queries(plan, scenes)
    write_whole(plan.out / "queries.jsonl", "".join(f"{json.dumps(query)}\n" for query in queries))
    write_whole(
        plan.out / "galleries.json", json.dumps(galleries(queries, [s["scene"] for s in scenes], plan.seed))
    )


def galleries(
    queries: Sequence[dict[str, Any]], scenes: Sequence[str], seed: int
) -> dict[str, dict[str, list[str]]]:
    """For each size: the scenes that each query is searched in, shuffled.

    The scenes that show the person are in, but not the one that the crop was cut from. A gallery is smaller
    where there are too few.
    """
    made: dict[str, dict[str, list[str]]] = {}
    for size in GALLERIES:
        rng = np.random.default_rng([100, seed, size])
        made[str(size)] = {}
        for query in queries:
            present = query["present"][:size]
            taken = {*query["present"], query["from"]}
            others = [scene for scene in scenes if scene not in taken]
            chosen = rng.permutation(others)[: size - len(present)].tolist() if others else []
            made[str(size)][query["query"]] = rng.permutation([*present, *chosen]).tolist()
    return made


def _records_file(plan: ScenesPlan, batch: int) -> Path:
    return plan.out / ".batches" / f"{batch:05d}.jsonl"


def _draw_batch(job: tuple[ScenesPlan, int], report: Report) -> None:
    plan, batch = job
    cv2.setNumThreads(1)
    rng, wording = (np.random.default_rng([use, plan.seed, batch]) for use in (110, 111))
    views = make_views(plan.domain, plan.cameras, plan.seed, plan.size)
    ways = Ways(views[0].place)
    spots = [good_spots(view.place, view.camera, ways, LEAST_PX * 1.1) for view in views]
    looks, rows = plan.looks, []
    for number in plan.numbers(batch):
        camera = int(rng.integers(len(views)))
        scene = _draw(plan, looks, number, camera, views[camera], spots[camera], rng, wording)
        rows.append(json.dumps(scene))
        report(1)
    write_whole(_records_file(plan, batch), "".join(f"{row}\n" for row in rows))


def _draw(
    plan: ScenesPlan,
    looks: Sequence[Look],
    number: int,
    camera: int,
    view: View,
    spots: Any,
    rng: np.random.Generator,
    wording: np.random.Generator,
) -> dict[str, Any]:
    count = min(plan.people, int(rng.integers(CROWD[0], CROWD[1] + 1)))
    who = sorted(int(index) for index in rng.permutation(plan.people)[:count])
    crowd = Crowd([kept_person(looks[index], plan.kept or plan.out / ".people") for index in who])
    poses = _places(spots, count, rng, view, plan.hardness)
    crowd.pose(poses)
    picture = render(view, crowd, poses, crowd.shadows(view, poses), rng)
    name = f"{number:06d}"
    cv2.imwrite(str(plan.out / "scenes" / f"{name}.jpg"), picture.image, [cv2.IMWRITE_JPEG_QUALITY, 90])
    cv2.imwrite(str(plan.out / "masks" / f"{name}.png"), np.asarray(picture.ids, np.uint8))
    people = []
    for seen in picture.seen:
        if seen.box[2]:
            mine = record(looks[who[seen.index]], picture, seen, poses[seen.index], view, 2, wording)
            shown = seen.visibility * seen.in_frame >= LEAST_VISIBLE and seen.box[3] >= LEAST_PX
            people.append(
                {"person_id": who[seen.index] + 1, "mask_value": seen.index + 1, "shown": shown} | mine
            )
    _save_crops(plan, name, picture, people)
    return {
        "scene": f"scenes/{name}.jpg",
        "mask": f"masks/{name}.png",
        "camera": camera + 1,
        "people": people,
    }


def _places(
    spots: Any, count: int, rng: np.random.Generator, view: View, hardness: Hardness
) -> dict[int, Pose]:
    poses: dict[int, Pose] = {}
    for x, y in rng.permutation(spots):
        if len(poses) == count:
            break
        if all(math.hypot(x - pose.x, y - pose.y) > APART_M for pose in poses.values()):
            poses[len(poses)] = _pose(float(x), float(y), rng, view, hardness)
            if hardness.groups and len(poses) < count:
                far, angle = rng.uniform(*TOUCHING_M), rng.uniform(0, 2 * math.pi)
                beside = float(x + far * math.cos(angle)), float(y + far * math.sin(angle))
                poses[len(poses)] = _pose(*beside, rng, view, hardness)
    return poses


def _pose(x: float, y: float, rng: np.random.Generator, view: View, hardness: Hardness) -> Pose:
    heading, phase, t = (float(number) for number in rng.uniform(0, (2 * math.pi, 1, 40)))
    walking, act = float(rng.random() < 0.7), str(rng.choice(ACTS))
    if hardness.from_behind:
        eye = view.camera.position
        heading = math.atan2(eye[0] - x, y - eye[1]) + float(rng.uniform(-0.6, 0.6))
    return Pose(x, y, heading, phase, walking, act, t)


def _save_crops(plan: ScenesPlan, name: str, picture: Picture, people: Sequence[dict[str, Any]]) -> None:
    for person in people:
        if person["shown"]:
            x, y, w, h = person["box"]
            pad = round(QUERY_PAD * h)
            crop = picture.image[max(0, y - pad) : y + h + pad, max(0, x - pad) : x + w + pad]
            cv2.imwrite(str(plan.out / "queries" / f"{person['person_id']:04d}_{name}.jpg"), crop)


def _queries(plan: ScenesPlan, scenes: Sequence[dict[str, Any]]) -> list[dict[str, Any]]:
    """One for each person: the crop of the first scene that shows them; that scene is not searched for."""
    found: list[dict[str, Any]] = []
    for number in range(1, plan.people + 1):
        sights = [
            (scene, person)
            for scene in scenes
            for person in scene["people"]
            if person["person_id"] == number and person["shown"]
        ]
        if not sights:
            continue
        scene, person = sights[0]
        stem = Path(scene["scene"]).stem
        found.append(
            {
                "query": f"queries/{number:04d}_{stem}.jpg",
                "person_id": number,
                "from": scene["scene"],
                "captions": person["captions"],
                "present": [other["scene"] for other, _ in sights[1:]],
                "absent": not sights[1:],
            }
        )
    return found
