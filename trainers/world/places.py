"""The places: geometry, light, ways in and where cameras hang, of a hall, a street, a garage and a park."""

import math
from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np

from trainers.world.bake import Light, Solids
from trainers.world.camera import Mount
from trainers.world.compiled import F64
from trainers.world.materials import POSTER, Material, draw_posters

Point = tuple[float, float]
POSTERS = 8
BODY_LOW, BODY_HIGH = 0.3, 1.2  # metres: what lies between is in a walker's way


@dataclass(frozen=True, slots=True)
class Place:
    """Somewhere people walk.

    Attributes:
        area: x0, x1, y0, y1 that is walked in, metres.
        gates: Ways in, each from a point that no camera sees to one inside.
        mounts: Where cameras hang.
        ceiling: Its height in metres, above which no camera hangs; infinite under the sky.
        obstacles: (N, 4) x0, y0, x1, y1 of what stands in the way.
    """

    solids: Solids
    light: Light
    area: tuple[float, float, float, float]
    gates: tuple[tuple[Point, ...], ...]
    mounts: tuple[Mount, ...]
    ceiling: float = math.inf

    @property
    def obstacles(self) -> F64:
        """Footprints of all that a walker must go around."""
        boxes, cylinders = self.solids.boxes, self.solids.cylinders
        solid = boxes[(boxes[:, 2] < BODY_HIGH) & (boxes[:, 5] > BODY_LOW) & (boxes[:, 7] > 0)]
        reach = cylinders[:, 2:3]
        return np.concatenate(
            [solid[:, [0, 1, 3, 4]], np.hstack([cylinders[:, :2] - reach, cylinders[:, :2] + reach])]
        )


@dataclass(slots=True)
class Builder:
    """Collects boxes and cylinders by the name of their material; the first material is the ground."""

    materials: dict[str, Material]
    boxes: list[list[float]] = field(default_factory=list)
    cylinders: list[list[float]] = field(default_factory=list)

    def box(self, low: Sequence[float], high: Sequence[float], material: str, casts: bool = True) -> None:
        """A box between two corners."""
        self.boxes.append([*low, *high, list(self.materials).index(material), float(casts)])

    def cylinder(self, x: float, y: float, radius: float, low: float, high: float, material: str) -> None:
        """An upright cylinder."""
        self.cylinders.append([x, y, radius, low, high, list(self.materials).index(material)])

    def poster(self, x: float, y: float, faces_south: bool, number: int) -> None:
        """A poster on a wall that runs along x."""
        name = f"poster{number}"
        self.materials.setdefault(name, Material(POSTER, (0, 0, 0), poster=number))
        deep = (-0.07, 0.02) if faces_south else (-0.02, 0.07)
        self.box((x - 0.55, y + deep[0], 0.9), (x + 0.55, y + deep[1], 2.45), name, casts=False)

    def wall(
        self, x0: float, x1: float, y0: float, y1: float, high: float, material: str,
        doors: Sequence[tuple[float, float]] = (), casts: bool = True, door_high: float = 2.6,
    ) -> None:  # fmt: skip
        """A wall along x with openings from x to x."""
        at = x0
        for left, right in sorted(door for door in doors if door[0] < x1 and door[1] > x0):
            self.box((at, y0, 0), (left, y1, high), material, casts)
            if high > door_high:
                self.box((left, y0, door_high), (right, y1, high), material, casts)
            at = right
        self.box((at, y0, 0), (x1, y1, high), material, casts)

    def lobby(self, door: tuple[float, float], y: float, north: bool, material: str, frame: str) -> None:
        """A closed room behind a door in the wall at `y`, where people wait unseen."""
        a, b = door[0] - 3.2, door[1] + 3.2
        low, high = (y + 0.3, y + 2.6) if north else (y - 2.6, y - 0.3)
        end = (high, high + 0.2) if north else (low - 0.2, low)
        self.box((a, end[0], 0), (b, end[1], 3), material)
        self.box((a - 0.2, low, 0), (a, high, 3), material)
        self.box((b, low, 0), (b + 0.2, high, 3), material)
        self.box((a, low, 3), (b, high, 3.2), material, casts=False)
        face = (y - 0.08, y + 0.3) if north else (y - 0.3, y + 0.08)
        for x in door:
            self.box((x - 0.07, face[0], 0), (x + 0.07, face[1], 2.6), frame)
        self.box((door[0] - 0.07, face[0], 2.6), (door[1] + 0.07, face[1], 2.72), frame)

    def solids(self, rng: np.random.Generator, vary: float) -> Solids:
        """As the kernels take it; `vary` > 0 draws the colours of everything anew around what they are."""
        rows = np.array([material.row() for material in self.materials.values()])
        if vary:
            rows[:, 1:7] = np.clip(rows[:, 1:7] * np.exp(rng.normal(0, vary, (len(rows), 6))), 0.005, 0.95)
            rows[:, 7] *= np.exp(rng.normal(0, vary / 2, len(rows)))
        return Solids(
            np.array(self.boxes), np.array(self.cylinders).reshape(-1, 6), rows, draw_posters(rng, POSTERS)
        )


def light(
    key: Sequence[float], colour: Sequence[float], soft: float, above: Sequence[float], below: Sequence[float],
    sky: Sequence[float], fog: float = 0.0, lamps: Sequence[Sequence[float]] = (),
) -> Light:  # fmt: skip
    """Light of a place; `key` need not be of unit length."""
    direction = np.array(key, np.float64)
    return Light(
        direction / np.linalg.norm(direction), np.array(colour, np.float64), soft, np.array(above, np.float64),
        np.array(below, np.float64), np.array(lamps, np.float64).reshape(-1, 7), np.array(sky, np.float64), fog,
    )  # fmt: skip


def door_gate(door: tuple[float, float], y: float, north: bool) -> tuple[tuple[Point, ...], ...]:
    """Ways through a door from both ends of its lobby."""
    middle, out = (door[0] + door[1]) / 2, 1 if north else -1
    inside = ((middle, y + out * 1.4), (middle, y - out * 0.7))
    return tuple(((x, y + out * 1.6), *inside) for x in (door[0] - 2.0, door[1] + 2.0))
