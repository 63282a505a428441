"""What stands in each place: a hall, a street by day and by night, a garage, a park."""

from collections.abc import Callable

import numpy as np

from trainers.world.bake import Light
from trainers.world.camera import Mount
from trainers.world.materials import (
    ASPHALT,
    BRICKS,
    CHECKER,
    FOLIAGE,
    GRASS,
    LAMP,
    PLAIN,
    PLANKS,
    RIBS,
    TILES,
    WINDOWS,
    Material,
)  # fmt: skip
from trainers.world.places import Builder, Place, door_gate, light

Scenery = Callable[[np.random.Generator, float], Place]


def hall(rng: np.random.Generator, vary: float = 0.0) -> Place:
    """A bright concourse: polished tiles, glass fronts, pillars, three doors with a lobby behind each."""
    x0, x1, y0, y1, high = -11.0, 11.0, -7.0, 7.0, 4.6
    doors = ((-6.8, -5.0), (4.9, 6.7)), ((-3.6, -1.8),)
    build = Builder({
        "tiles": Material(TILES, (186, 180, 170), (120, 116, 110), 0.6, 0.5, 0.16),
        "wall": Material(PLAIN, (206, 200, 190), nir=0.6),
        "glass": Material(WINDOWS, (70, 84, 92), (150, 150, 150), 1.1, 0.3, 0.1),
        "wood": Material(PLANKS, (140, 98, 62), (60, 40, 25), 0.14, 0.5),
        "steel": Material(PLAIN, (120, 124, 130), nir=0.3, gloss=0.1),
        "plant": Material(FOLIAGE, (50, 84, 40), (30, 55, 28), 1, 0.8),
        "lamp": Material(LAMP, (255, 250, 240), nir=1.0),
        "red": Material(PLAIN, (160, 52, 44)),
    })  # fmt: skip
    build.box((x0 - 0.3, y0, 0), (x0, y1, high), "wall")
    build.box((x1, y0, 0), (x1 + 0.3, y1, high), "wall")
    build.wall(x0, x1, y1, y1 + 0.3, high, "wall", doors[0])
    build.wall(x0, x1, y0 - 0.3, y0, high, "wall", doors[1])
    build.wall(-9, -2.5, y1 - 0.06, y1, 2.9, "glass", doors[0], casts=False)
    build.wall(2, 8.5, y1 - 0.06, y1, 2.9, "glass", doors[0], casts=False)
    build.wall(-6, 1, y0, y0 + 0.06, 2.9, "glass", doors[1], casts=False)
    build.box((x1 - 0.06, -4, 0), (x1, 3, 2.6), "glass", casts=False)
    build.box((x0, y0, high), (x1, y1, high + 0.2), "wall", casts=False)
    for x in (-8.0, -3.0, 2.0, 7.0):
        for y in (-4.0, 0.0, 4.0):
            build.box((x, y, high - 0.06), (x + 1.5, y + 0.5, high - 0.01), "lamp", casts=False)
    for number, (x, y) in enumerate(((-1.6, y1), (0.6, y1), (9.3, y1), (3.2, y0), (5.2, y0), (7.2, y0))):
        build.poster(x, y, faces_south=y > 0, number=number)
    for bench in ((-4.2, -0.3, -2.4, 0.3), (3.2, 1.6, 5.0, 2.2)):
        build.box((*bench[:2], 0), (*bench[2:], 0.46), "wood")
    build.box((7.2, -4.6, 0), (8.0, -3.4, 1.15), "red")
    build.box((-0.6, -3.4, 0), (0.6, -2.8, 0.5), "steel")
    build.box((-0.6, -3.3, 0.5), (0.6, -2.9, 0.95), "plant")
    build.box((-9.7, 3.2, 0), (-8.8, 3.3, 1.9), "red")
    for x, y in ((-5.2, -2.6), (1.4, 2.9), (6.2, -1.2)):
        build.cylinder(x, y, 0.28, 0, high, "wall")
    build.cylinder(9.2, 5.2, 0.22, 0, 0.8, "steel")
    for door in doors[0]:
        build.lobby(door, y1, True, "wall", "steel")
    build.lobby(doors[1][0], y0, False, "wall", "steel")
    gates = (
        *door_gate(doors[0][0], y1, True), *door_gate(doors[0][1], y1, True), *door_gate(doors[1][0], y0, False)
    )  # fmt: skip
    mounts = (
        Mount((-10.6, -6.7, 3.0), (-6.3, 3.0, 1.0), 46),
        Mount((-0.5, 6.7, 3.1), (-1.2, -3, 0.95), 46),
        Mount((10.6, -6.6, 2.9), (7.0, 3.2, 1.0), 46),
    )
    lit = light(
        (0.18, 0.28, -1), (0.62, 0.60, 0.55, 0.5), 0.35, (0.62, 0.60, 0.57, 0.5), (0.30, 0.28, 0.25, 0.25),
        (0.9, 0.9, 0.9, 0.9),
    )  # fmt: skip
    return Place(build.solids(rng, vary), lit, (-10, 10, -6, 6), gates, mounts, ceiling=high)


def _daylight() -> Light:
    return light(
        (0.75, -0.42, -0.75), (1.5, 1.38, 1.15, 1.2), 0.04, (0.42, 0.50, 0.64, 0.4), (0.20, 0.20, 0.19, 0.25),
        (0.62, 0.72, 0.88, 0.3), fog=0.004,
    )  # fmt: skip


def _lamplight() -> Light:
    lamps = (
        (8.2, 2.6, 5.8, 9.0, 6.8, 3.8, 10.0), (-9.2, 2.6, 5.8, 9.0, 6.8, 3.8, 10.0),
        (0, -6.4, 4.5, 4.2, 4.3, 4.6, 1.0), (0, 6.8, 4.2, 5.0, 4.0, 2.6, 5.0),
    )  # fmt: skip
    return light(
        (0.3, -0.2, -1), (0.006, 0.007, 0.010, 0.004), 0.3, (0.012, 0.014, 0.020, 0.006),
        (0.006, 0.007, 0.009, 0.003), (0.006, 0.008, 0.014, 0.003), lamps=lamps,
    )  # fmt: skip


def street(rng: np.random.Generator, vary: float = 0.0) -> Place:
    """A brick street in the sun: shop fronts, a parked van, a planter, poles."""
    return _street(rng, vary, _daylight())


def street_by_night(rng: np.random.Generator, vary: float = 0.0) -> Place:
    """The same street under four lamps."""
    return _street(rng, vary, _lamplight())


def _street(rng: np.random.Generator, vary: float, lit: Light) -> Place:
    build = Builder({
        "asphalt": Material(ASPHALT, (116, 114, 112), nir=0.3),
        "brick": Material(BRICKS, (138, 84, 66), (170, 160, 148), 0.22, 0.5),
        "shop": Material(WINDOWS, (56, 66, 78), (96, 92, 88), 1.3, 0.25, 0.1),
        "wood": Material(PLANKS, (98, 76, 56), (40, 32, 25), 0.12, 0.55),
        "iron": Material(PLAIN, (70, 74, 78), nir=0.3),
        "plant": Material(FOLIAGE, (66, 92, 44), (36, 58, 26), 1, 0.85),
        "paving": Material(TILES, (150, 146, 140), (110, 106, 100), 0.4, 0.45),
        "shutter": Material(RIBS, (112, 126, 132), scale=0.14),
        "pale brick": Material(BRICKS, (176, 166, 150), (140, 132, 120), 0.3, 0.5),
        "van": Material(PLAIN, (44, 62, 96), nir=0.35, gloss=0.2),
    })  # fmt: skip
    build.box((-14, 7.5, 0), (-1, 8, 7), "brick")
    build.box((-0.6, 7.5, 0), (14, 8, 6), "pale brick")
    build.box((-14, -8, 0), (14, -7.5, 6), "pale brick")
    build.box((-40, 14, 0), (-18, 15, 11), "brick")
    build.box((18, 12, 0), (40, 13, 9), "pale brick")
    build.box((-24, -30, 0), (-23, 14, 8), "pale brick")
    build.box((24, -30, 0), (25, 12, 10), "brick")
    for x0, z0, x1, z1, what in (
        (-12, 0.5, -8, 2.8, "shop"), (-6.5, 0, -3, 2.8, "shutter"), (1, 0.4, 6, 2.9, "shop"), (8, 0, 9.4, 2.4, "wood"),
    ):  # fmt: skip
        build.box((x0, 7.44, z0), (x1, 7.5, z1), what, casts=False)
    build.box((-9, -7.5, 0.4), (-3, -7.44, 3), "shop", casts=False)
    build.box((2, -7.5, 0), (6, -7.44, 2.8), "shutter", casts=False)
    build.box((-12, 3.5, 0), (12, 7.5, 0.004), "paving", casts=False)
    build.box((-12, -7.5, 0), (12, -4.2, 0.004), "paving", casts=False)
    for number, (x, y) in enumerate(((-2.0, 7.45), (7.15, 7.45), (-0.2, -7.45))):
        build.poster(x, y, faces_south=y > 0, number=number)
    build.box((3.4, -3.4, 0.25), (7.6, -1.6, 0.95), "van")
    build.box((4.2, -3.3, 0.95), (6.9, -1.7, 1.5), "van")
    for x in (3.7, 6.6):
        build.box((x, -3.45, 0), (x + 0.6, -1.55, 0.5), "iron")
    build.box((-5.8, 3.0, 0), (-4.0, 3.5, 0.46), "wood")
    build.box((-8.6, -1.0, 0), (-7.4, 0.2, 0.6), "pale brick")
    build.box((-8.5, -0.9, 0.6), (-7.5, 0.1, 1.3), "plant")
    build.materials["board"] = Material(PLAIN, (186, 150, 60))
    build.box((0.4, 4.6, 0), (1.6, 4.7, 1.6), "board")
    for x, y, radius, high, what in (
        (-2.2, -3.9, 0.14, 4.5, "wood"), (9.0, 3.2, 0.09, 6, "iron"), (-10, 3.2, 0.09, 6, "iron"),
        (2.4, 3.3, 0.25, 0.9, "iron"),
    ):  # fmt: skip
        build.cylinder(x, y, radius, 0, high, what)
    gates = tuple(
        ((side * 17.0, north * 10.0), (side * 16.0, north * 8.6), (side * 14.8, north * 5.4))
        for side in (-1, 1) for north in (-1, 1)
    )  # fmt: skip
    mounts = (
        Mount((-12.5, 6.4, 4.0), (-4.5, 0.4, 0.8), 52),
        Mount((11.5, 5.5, 3.6), (3.6, 0.6, 0.8), 50),
        Mount((-1, -7.2, 3.2), (-1.5, 2.0, 0.9), 58),
    )
    return Place(build.solids(rng, vary), lit, (-12, 12, -6.6, 6.8), gates, mounts)


def garage(rng: np.random.Generator, vary: float = 0.0) -> Place:
    """An underground car park: concrete columns, strip lights, parked cars."""
    x0, x1, y0, y1, high = -12.0, 12.0, -7.5, 7.5, 2.9
    doors = ((-8.6, -6.8), (6.0, 7.8)), ((-0.9, 0.9),)
    build = Builder({
        "floor": Material(ASPHALT, (128, 126, 122), nir=0.35, gloss=0.05),
        "concrete": Material(PLAIN, (150, 148, 142), nir=0.45),
        "column": Material(CHECKER, (196, 176, 64), (40, 40, 42), 0.5, 0.4),
        "lamp": Material(LAMP, (235, 250, 240), nir=1.0),
        "paint": Material(PLAIN, (205, 204, 196), nir=0.6),
        "tyre": Material(PLAIN, (26, 26, 28), nir=0.1),
        "steel": Material(PLAIN, (96, 104, 112), nir=0.3),
        "glass": Material(PLAIN, (40, 48, 54), nir=0.2, gloss=0.2),
    })  # fmt: skip
    build.box((x0 - 0.3, y0, 0), (x0, y1, high), "concrete")
    build.box((x1, y0, 0), (x1 + 0.3, y1, high), "concrete")
    build.wall(x0, x1, y1, y1 + 0.3, high, "concrete", doors[0], door_high=2.3)
    build.wall(x0, x1, y0 - 0.3, y0, high, "concrete", doors[1], door_high=2.3)
    build.box((x0, y0, high), (x1, y1, high + 0.2), "concrete", casts=False)
    for x in (-9, -4.5, 0, 4.5, 9):
        for y in (-3.6, 0, 3.6):
            build.box((x - 0.7, y - 0.06, high - 0.08), (x + 0.7, y + 0.06, high - 0.02), "lamp", casts=False)
    for x in (-6.6, 0.4, 6.6):
        for y in (-2.6, 3.0):
            build.box((x - 0.22, y - 0.22, 0), (x + 0.22, y + 0.22, 1.5), "column")
            build.box((x - 0.22, y - 0.22, 1.5), (x + 0.22, y + 0.22, high), "concrete")
    for number, x in enumerate((-10.6, -5.2, 3.2, 8.4)):
        car = f"car{number}"
        build.materials[car] = Material(PLAIN, tuple(int(c) for c in rng.integers(30, 190, 3)), gloss=0.15)  # type: ignore[arg-type]
        build.box((x, -7.0, 0.25), (x + 1.8, -3.4, 0.85), car)
        build.box((x + 0.15, -6.4, 0.85), (x + 1.65, -4.3, 1.4), "glass")
        for y in (-6.5, -4.4):
            build.box((x - 0.02, y, 0), (x + 1.82, y + 0.6, 0.5), "tyre")
    for x in (-11, -8, -5.6, -3, 2.8, 5.4, 8, 10.6):
        build.box((x, -7.4, 0), (x + 0.1, -3.2, 0.004), "paint", casts=False)
    for door in doors[0]:
        build.lobby(door, y1, True, "concrete", "steel")
    build.lobby(doors[1][0], y0, False, "concrete", "steel")
    gates = (
        *door_gate(doors[0][0], y1, True), *door_gate(doors[0][1], y1, True), *door_gate(doors[1][0], y0, False)
    )  # fmt: skip
    mounts = (
        Mount((-11.6, -2.6, 2.6), (-7.6, 3.6, 0.9), 60),
        Mount((3.6, 7.2, 2.6), (1.0, 0.2, 0.9), 58),
        Mount((11.6, -2.6, 2.6), (8.0, 3.6, 0.9), 60),
    )
    lit = light(
        (0.05, 0.1, -1), (0.20, 0.22, 0.20, 0.16), 0.5, (0.20, 0.22, 0.20, 0.16), (0.08, 0.085, 0.08, 0.08),
        (0.1, 0.1, 0.1, 0.1),
    )  # fmt: skip
    return Place(build.solids(rng, vary), lit, (-11, 11, -2.8, 6.6), gates, mounts, ceiling=high)


def park(rng: np.random.Generator, vary: float = 0.0) -> Place:
    """A park under clouds: paths in grass, hedges, trees, benches, a kiosk."""
    build = Builder({
        "grass": Material(GRASS, (84, 104, 52), (128, 116, 78), 1, 0.8),
        "path": Material(ASPHALT, (176, 160, 134), nir=0.5),
        "hedge": Material(FOLIAGE, (58, 88, 42), (34, 58, 28), 1, 0.85),
        "bark": Material(RIBS, (92, 74, 58), scale=0.4, nir=0.5),
        "bench": Material(PLANKS, (112, 78, 50), (60, 42, 30), 0.11, 0.55),
        "kiosk": Material(PLANKS, (150, 60, 50), (90, 40, 36), 0.2, 0.5),
        "wall": Material(BRICKS, (168, 150, 132), (140, 130, 120), 0.3, 0.5),
        "leaf": Material(FOLIAGE, (74, 104, 50), (48, 74, 34), 1, 0.85),
    })  # fmt: skip
    build.box((-16, -1.6, 0), (16, 1.6, 0.004), "path", casts=False)
    build.box((-1.5, -9, 0), (1.5, 9, 0.005), "path", casts=False)
    for x0, x1 in ((-15, -2.6), (2.6, 15)):
        build.box((x0, 7.6, 0), (x1, 8.4, 2.3), "hedge")
        build.box((x0, -8.4, 0), (x1, -7.6, 2.3), "hedge")
    build.box((-40, 15, 0), (40, 16, 4), "wall")
    build.box((-40, -16, 0), (40, -15, 6), "hedge")
    build.box((24, -20, 0), (25, 20, 7), "hedge")
    build.box((-25, -20, 0), (-24, 20, 7), "hedge")
    for x, y, wide in (
        (-7.5, 4.6, 2.0),
        (-4.0, -5.0, 1.7),
        (6.5, 5.2, 2.2),
        (9.5, -4.6, 1.8),
        (-11.5, -3.6, 1.6),
    ):
        build.cylinder(x, y, 0.22, 0, 3.2, "bark")
        build.box((x - wide, y - wide, 3.1), (x + wide, y + wide, 5.2), "leaf")
        build.box((x - wide * 0.6, y - wide * 0.6, 5.2), (x + wide * 0.6, y + wide * 0.6, 6.3), "leaf")
    for x, y in ((-5.0, 2.1), (4.0, 2.1), (-9.0, -2.6), (4.4, -2.6)):
        build.box((x, y, 0), (x + 1.8, y + 0.5, 0.46), "bench")
    build.box((9.6, 2.6, 0), (11.6, 4.4, 2.6), "kiosk")
    build.poster(10.6, 2.56, faces_south=True, number=0)
    build.box((2.2, -6.0, 0), (3.4, -4.8, 0.7), "wall")
    build.box((2.3, -5.9, 0.7), (3.3, -4.9, 1.2), "hedge")
    gates = tuple(
        ((side * 19.0, north * 10.5), (side * 17.2, north * 8.4), (side * 15.6, north * 1.0))
        for side in (-1, 1) for north in (-1, 1)
    )  # fmt: skip
    mounts = (
        Mount((-13.0, -6.6, 3.4), (-5.4, 1.0, 0.8), 52),
        Mount((0.6, 7.2, 3.2), (0.0, -1.8, 0.9), 50),
        Mount((13.2, -6.4, 3.4), (5.6, 0.8, 0.8), 50),
    )
    lit = light(
        (0.3, 0.35, -1), (0.55, 0.55, 0.55, 0.5), 0.5, (0.62, 0.66, 0.72, 0.6), (0.20, 0.22, 0.14, 0.35),
        (0.80, 0.84, 0.90, 0.5), fog=0.003,
    )  # fmt: skip
    return Place(build.solids(rng, vary), lit, (-13, 13, -6.8, 6.8), gates, mounts)


SCENES: dict[str, Scenery] = {
    "hall": hall, "street": street, "street-night": street_by_night, "garage": garage, "park": park,
}  # fmt: skip
