"""Things that stand about and are nobody, and cameras that hang anywhere: what a detector must not be fooled by."""

import dataclasses
import math

import numpy as np

from trainers.world.bake import NOTHING, hit
from trainers.world.camera import Camera, Mount
from trainers.world.compiled import F64
from trainers.world.materials import (
    BRICKS,
    CHECKER,
    FOLIAGE,
    PLAIN,
    PLANKS,
    POSTER,
    RIBS,
    TILES,
    WINDOWS,
    Material,
)
from trainers.world.places import POSTERS, Place
from trainers.world.ways import Ways, good_spots

KINDS = (PLAIN, PLAIN, PLAIN, TILES, BRICKS, CHECKER, FOLIAGE, PLANKS, POSTER, RIBS, WINDOWS)
PAINTS = 8  # materials that the things of one place share
LOWEST_M, ABOVE_MOUNTS_M = 1.4, 0.2  # of a camera that hangs anywhere
HFOV_DEG = (40.0, 95.0)
LEAST_PX, LEAST_SPOTS = 0.11, 15  # a camera must see people of that share of the picture at so many spots
CHEST_M = 1.1
TRIES = 100


def cluttered(place: Place, rng: np.random.Generator, count: int) -> Place:
    """The place with so many things more on its free ground: pillars, boxes, signs, tables, dummies."""
    solids, ways = place.solids, Ways(place)
    paints = np.array([_paint(rng).row() for _ in range(PAINTS)])
    first = len(solids.materials)
    boxes, cylinders = [solids.boxes], [solids.cylinders]
    for _ in range(count):
        x, y = _free_point(place, ways, rng)
        paint = [float(first + number) for number in rng.integers(0, PAINTS, 2)]
        more_boxes, more_cylinders = _THINGS[int(rng.integers(len(_THINGS)))](x, y, paint, rng)
        boxes.append(np.array(more_boxes, np.float64).reshape(-1, 8))
        cylinders.append(np.array(more_cylinders, np.float64).reshape(-1, 6))
    more = solids._replace(
        boxes=np.concatenate(boxes),
        cylinders=np.concatenate(cylinders),
        materials=np.concatenate([solids.materials, paints]),
    )
    return dataclasses.replace(place, solids=more)


def any_mount(place: Place, ways: Ways, size: tuple[int, int], rng: np.random.Generator) -> Mount:
    """A camera somewhere in the place, at any height and angle, that sees ground where people can stand.

    One of the place's own mounts where none is found.
    """
    highest = max(mount.position[2] for mount in place.mounts) + ABOVE_MOUNTS_M
    for _ in range(TRIES):
        x, y = _free_point(place, ways, rng)
        far, angle = rng.uniform(3, 10), rng.uniform(0, 2 * math.pi)
        target = x + far * math.cos(angle), y + far * math.sin(angle), float(rng.uniform(0.6, 1.3))
        mount = Mount((x, y, float(rng.uniform(LOWEST_M, highest))), target, float(rng.uniform(*HFOV_DEG)))
        if is_useful(place, ways, Camera(mount, *size)):
            return mount
    return place.mounts[int(rng.integers(len(place.mounts)))]


def is_useful(place: Place, ways: Ways, camera: Camera) -> bool:
    """Whether a camera sees enough ground where people can stand; it may hang behind a thing, or over a ceiling."""
    spots = good_spots(place, camera, ways, LEAST_PX * camera.height)
    return sum(_is_seen(place, camera, spot) for spot in spots) >= LEAST_SPOTS


def _is_seen(place: Place, camera: Camera, spot: F64) -> bool:
    """Also behind what throws no shadow, which `good_spots` looks through."""
    ray = np.array([*spot, CHEST_M]) - camera.position
    far = float(np.linalg.norm(ray))
    return bool(hit(camera.position, ray / far, place.solids, far - 0.1, False)[1] == NOTHING)


def free_ground(place: Place, ways: Ways, step: float) -> F64:
    """Points (N, 2) of a grid of `step` metres where somebody can stand."""
    x0, x1, y0, y1 = place.area
    grid = [(float(x), float(y)) for x in np.arange(x0, x1, step) for y in np.arange(y0, y1, step)]
    return np.array([point for point in grid if ways.is_free(point)]).reshape(-1, 2)


def _free_point(place: Place, ways: Ways, rng: np.random.Generator) -> tuple[float, float]:
    x0, x1, y0, y1 = place.area
    while True:
        point = float(rng.uniform(x0, x1)), float(rng.uniform(y0, y1))
        if ways.is_free(point):
            return point


def _paint(rng: np.random.Generator) -> Material:
    r1, g1, b1, r2, g2, b2 = (int(n) for n in rng.integers(15, 245, 6))
    return Material(
        int(rng.choice(KINDS)), (r1, g1, b1), (r2, g2, b2), float(rng.uniform(0.1, 0.8)),
        float(rng.uniform(0.1, 0.9)), float(rng.choice([0.0, 0.0, 0.1])), int(rng.integers(POSTERS)),
    )  # fmt: skip


Things = tuple[list[list[float]], list[list[float]]]


def _pillar(x: float, y: float, paint: list[float], rng: np.random.Generator) -> Things:
    return [], [[x, y, rng.uniform(0.08, 0.3), 0, rng.uniform(0.5, 2.3), paint[0]]]


def _box(x: float, y: float, paint: list[float], rng: np.random.Generator) -> Things:
    wide, deep, high = rng.uniform(0.15, 0.6), rng.uniform(0.1, 0.5), rng.uniform(0.3, 2.1)
    return [[x - wide, y - deep, 0, x + wide, y + deep, high, paint[0], 1]], []


def _sign(x: float, y: float, paint: list[float], rng: np.random.Generator) -> Things:
    wide, low = rng.uniform(0.15, 0.5), rng.uniform(0.5, 1.6)
    board = [x - wide, y - 0.03, low, x + wide, y + 0.03, low + rng.uniform(0.3, 0.8), paint[0], 1]
    return [board], [[x, y, rng.uniform(0.02, 0.06), 0, low + 0.2, paint[1]]]


def _table(x: float, y: float, paint: list[float], rng: np.random.Generator) -> Things:
    wide, deep, high = rng.uniform(0.3, 0.8), rng.uniform(0.3, 0.6), rng.uniform(0.5, 1.1)
    top = [x - wide, y - deep, high - 0.06, x + wide, y + deep, high, paint[0], 1]
    return [top], [[x + side * wide * 0.8, y, 0.04, 0, high, paint[1]] for side in (-1, 1)]


def _dummy(x: float, y: float, paint: list[float], rng: np.random.Generator) -> Things:
    """A bin or a bollard with a smaller top: nearly a body with a head, and nobody."""
    wide, high = rng.uniform(0.14, 0.32), rng.uniform(0.5, 1.2)
    top = [x, y, wide * rng.uniform(0.4, 1.3), high, high + rng.uniform(0.1, 0.5), paint[1]]
    return [], [[x, y, wide, 0, high, paint[0]], top]


_THINGS = (_pillar, _box, _box, _sign, _table, _dummy)
