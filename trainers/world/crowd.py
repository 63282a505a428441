"""Everybody in a place, posed once per step for all cameras, with the shadows they cast."""

import itertools
import math
from collections.abc import Iterable, Mapping, Sequence
from typing import NamedTuple

import cv2
import numpy as np

from trainers.world.compiled import F32, U8
from trainers.world.person import Person
from trainers.world.raster import Cloth, skin
from trainers.world.rig import Pose
from trainers.world.shadow import splat_shadow
from trainers.world.view import SHADOW_CELL, View

CONTACT_BLUR = 2.2  # cells


class Shadows(NamedTuple):
    """Strength of cast and of contact shadow on the ground, and the cell of the view's grid where they begin."""

    cast: F32
    contact: F32
    first: tuple[int, int]


class Crowd:
    """People as one body of geometry.

    Args:
        people: In the order of their index.
    """

    def __init__(self, people: Sequence[Person]) -> None:
        self.people = tuple(people)
        self.first_vertex = np.cumsum([0, *(len(person.vertices) for person in people)])
        self.first_triangle = np.cumsum([0, *(len(person.triangles) for person in people)])
        self._own = [slice(int(a), int(b)) for a, b in itertools.pairwise(self.first_vertex)]
        count = int(self.first_vertex[-1])
        self.vertices, self.normals = np.zeros((count, 3), np.float32), np.zeros((count, 3), np.float32)
        self.points = np.zeros((count, 3), np.float32)
        shift = np.array([1, 1, 1, 0], np.int32)
        pairs = list(zip(people, self.first_vertex, strict=False))
        self.cloth = Cloth(
            uv=np.concatenate([person.uv for person in people]),
            occlusion=np.concatenate([person.occlusion for person in people]),
            triangles=np.concatenate([person.triangles + first * shift for person, first in pairs]).astype(
                np.int32
            ),
            owner=np.repeat(np.arange(len(people), dtype=np.int32), np.diff(self.first_triangle)),
            full=np.stack([person.atlas for person in people]),
            half=np.stack([_shrunk(person.atlas, 0.5) for person in people]),
            quarter=np.stack([_shrunk(person.atlas, 0.25) for person in people]),
        )

    def vertices_of(self, index: int) -> slice:
        """Where somebody's vertices lie among all."""
        return self._own[index]

    def pose(self, poses: Mapping[int, Pose]) -> None:
        """Puts people, by index, where they are."""
        for index, pose in poses.items():
            person, own = self.people[index], self.vertices_of(index)
            moved = person.pose_bones(pose)
            skin(
                person.vertices, person.normals, person.bones, person.weights, moved,
                self.vertices[own], self.normals[own],
            )  # fmt: skip

    def shadows(
        self, view: View, indices: Iterable[int], around: tuple[float, float, float] | None = None
    ) -> Shadows:
        """Shadows of those people; the same for all views of a place.

        Args:
            view: Any view of the place.
            indices: Whose.
            around: x, y and half width in metres of a window that is enough; None = the whole area.
        """
        (high, wide), first, corner = view.grid_shape, (0, 0), view.corner
        if around is not None:
            x, y, half = around
            first = int((x - half - corner[0]) / SHADOW_CELL), int((y - half - corner[1]) / SHADOW_CELL)
            corner = corner[0] + SHADOW_CELL * first[0], corner[1] + SHADOW_CELL * first[1]
            high = wide = int(2 * half / SHADOW_CELL)
        cast, contact = np.zeros((high, wide), np.float32), np.zeros((high, wide), np.float32)
        light = view.place.light
        slope = float(light.key[0] / -light.key[2]), float(light.key[1] / -light.key[2])
        marked = [
            splat_shadow(self.vertices[self.vertices_of(index)], slope, corner, SHADOW_CELL, cast, contact)
            for index in indices
        ]
        blur = max(0.9, (3 + light.soft * 14) * 0.45)
        return Shadows(_blurred(cast, blur, marked), _blurred(contact, CONTACT_BLUR, marked), first)


def _shrunk(atlas: U8, by: float) -> U8:
    return np.asarray(cv2.resize(atlas, None, fx=by, fy=by, interpolation=cv2.INTER_AREA), np.uint8)


def _blurred(grid: F32, sigma: float, marked: Iterable[tuple[int, int, int, int]]) -> F32:
    """Blurs around the marks only; elsewhere the grid is 0, as its blur would be."""
    out, reach = np.zeros_like(grid), math.ceil(4 * sigma) + 1
    for u0, v0, u1, v1 in marked:
        if u0 < u1:
            u2, v2 = max(0, u0 - 2 * reach), max(0, v0 - 2 * reach)
            around = cv2.GaussianBlur(grid[v2 : v1 + 2 * reach, u2 : u1 + 2 * reach], (0, 0), sigma)
            left, top = max(0, u0 - reach), max(0, v0 - reach)
            near = out[top : v1 + reach, left : u1 + reach]
            near[:] = around[top - v2 :, left - u2 :][: near.shape[0], : near.shape[1]]
    return out
