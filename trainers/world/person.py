"""One person ready to be drawn: the mesh of a look with its skin weights, and its texture."""

import hashlib
import os
import zipfile
from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np

from trainers.world.accessories import SEAT_HEIGHT, accessories
from trainers.world.body import build_figure
from trainers.world.compiled import F32, F64, I32, U8
from trainers.world.doll import BOTTOM, HALF_WIDTH, SHEET_H, SHEET_W, TILE_H, TILE_W, TILES, TOP, Mask
from trainers.world.figure import ARM_ANGLE, Figure, Prims
from trainers.world.looks import Look
from trainers.world.paint import paint
from trainers.world.rig import Pose, joint_angles, place_bones, skin_weights
from trainers.world.sdf import AX, BULGE, BX, CAPSULE, CARVES, KIND, RA, RB, sample_grid, surface_nets

FORMAT = 4  # of kept people: raise it when the same look would be built differently
COVER_TEXELS = 17  # width of the square that is painted around a vertex; 4 texels lie between vertices
BODY_STEP = 0.026  # metres of the grid that a body's surface is found on


@dataclass(frozen=True, slots=True)
class Person:
    """A look as geometry at rest.

    Attributes:
        vertices, normals: (V, 3) metres.
        uv: (V, 2) texels of the atlas's front.
        occlusion: (V,) how open each vertex lies, in [0.25, 1].
        bones, weights: (V, 4) skinning; rows of weights sum to 1.
        triangles: (T, 4) three vertices, and the texels to the right at which its side of the atlas begins.
        atlas: (SHEET_H, ATLAS_W, 5) as `paint` makes it.
        pivots, feet, hand: As `rig.place_bones` takes them.
    """

    look: Look
    vertices: F32
    normals: F32
    uv: F32
    occlusion: F32
    bones: I32
    weights: F32
    triangles: I32
    atlas: U8
    pivots: F64
    feet: F64
    hand: F64

    def pose_bones(self, pose: Pose) -> F32:
        """World transforms of the bones in a pose."""
        seat = SEAT_HEIGHT if self.look.outfit.prop == "wheelchair" else 0.0
        angles = joint_angles(self.look, ARM_ANGLE, pose)
        return place_bones(self.pivots, angles, self.feet, self.hand, (pose.x, pose.y, pose.heading), seat)


def build_person(look: Look) -> Person:
    """Mesh and texture of a look; some 30 ms."""
    figure = build_figure(look)
    reach = figure.hand[0] + 0.09
    low, high = np.array([-reach, -0.28, -0.04]), np.array([reach, 0.34, figure.height + 0.05])
    tables = np.stack(figure.tables)
    meshes = [_mesh(figure, figure.prims, tables, (low, high), -1, BODY_STEP)]
    uvs = [_sheet_uv(meshes[0][0])]
    shifts = [SHEET_W]
    nothing = np.ones((1, 2, 3))
    for extra in accessories(look, figure):
        meshes.append(_mesh(figure, extra.prims, nothing, _bounds(extra.prims), extra.bone, extra.step))
        uvs.append(_tile_uv(meshes[-1][0], TILES.index(extra.tile)))
        shifts.append(TILE_W)
    starts = np.cumsum([0, *(len(mesh[0]) for mesh in meshes)])
    triangles = [
        _sided(mesh[5], mesh[1], start, shift)
        for mesh, start, shift in zip(meshes, starts, shifts, strict=False)
    ]
    vertices, normals, occlusion, weights = (
        np.concatenate([np.asarray(mesh[i], np.float32) for mesh in meshes]) for i in (0, 1, 2, 4)
    )
    return Person(
        look=look,
        vertices=vertices,
        normals=normals,
        uv=np.concatenate(uvs).astype(np.float32),
        occlusion=occlusion,
        bones=np.concatenate([mesh[3] for mesh in meshes]),
        weights=weights,
        triangles=np.concatenate(triangles),
        atlas=paint(look, figure, _covered(uvs[0])),
        pivots=figure.pivots(),
        feet=figure.feet,
        hand=figure.hand,
    )


def kept_person(look: Look, folder: Path | None) -> Person:
    """As `build_person`, from a folder if it was built before; None = always build."""
    if folder is None:
        return build_person(look)
    key = hashlib.sha256(f"{FORMAT} {look!r}".encode()).hexdigest()[:24]
    path = folder / key[:2] / f"{key}.npz"
    try:
        with np.load(path, allow_pickle=False) as arrays:
            return Person(look, **arrays)
    except (OSError, ValueError, TypeError, zipfile.BadZipFile):
        person = build_person(look)
    path.parent.mkdir(parents=True, exist_ok=True)
    part = path.with_name(f"{key}.{os.getpid()}.part.npz")
    np.savez(part, **{name: getattr(person, name) for name in Person.__slots__ if name != "look"})
    part.replace(path)
    return person


def _mesh(
    figure: Figure, rows: Prims, tables: F64, bounds: tuple[F64, F64], bone: int, step: float
) -> tuple[F32, F32, F32, I32, F32, I32]:
    """Vertices, normals, occlusion, bones, weights, triangles of one surface."""
    prims, (low, high) = np.array(rows, np.float64), bounds
    nx, ny, nz = (int(n) for n in np.ceil((high - low) / step).astype(int) + 2)
    field = sample_grid(prims, tables, low, (nx, ny, nz), step)
    vertices, triangles = surface_nets(field, low, step)
    skin = skin_weights(prims, tables, vertices, figure.waist, 0.53 * figure.height, bone)
    return vertices, *skin, triangles


def _bounds(rows: Prims) -> tuple[F64, F64]:
    """The box around all that is not carved away."""
    prims = np.array([row for row in rows if not row[CARVES]], np.float64)
    a, b = prims[:, AX : AX + 3], prims[:, BX : BX + 3]
    rod = (prims[:, KIND] == CAPSULE)[:, None]
    thick = (np.maximum(prims[:, RA], prims[:, RB]) + prims[:, BULGE])[:, None] * rod + 0.03
    low = np.where(rod, np.minimum(a, b), a - b) - thick
    high = np.where(rod, np.maximum(a, b), a + b) + thick
    return low.min(0), high.max(0)


def _sheet_uv(vertices: F32) -> F64:
    u = (vertices[:, 0] + HALF_WIDTH) / (2 * HALF_WIDTH) * SHEET_W
    return np.stack([u, (TOP - vertices[:, 2]) / (TOP - BOTTOM) * SHEET_H], 1)


def _covered(uv: F64) -> Mask:
    """Texels near a vertex of the body, wide enough for the smallest size of the atlas."""
    marks = np.zeros((SHEET_H, SHEET_W), np.uint8)
    columns, rows = uv.astype(int).T
    marks[rows.clip(0, SHEET_H - 1), columns.clip(0, SHEET_W - 1)] = 1
    return np.asarray(cv2.dilate(marks, np.ones((COVER_TEXELS, COVER_TEXELS), np.uint8)), bool)


def _tile_uv(vertices: F32, row: int) -> F64:
    share = (vertices - vertices.min(0)) / (np.ptp(vertices, 0) + 1e-6)
    u = 2 * SHEET_W + 2 + share[:, 0] * (TILE_W - 4)
    return np.stack([u, row * TILE_H + 2 + (1 - share[:, 2]) * (TILE_H - 4)], 1)


def _sided(triangles: I32, normals: F32, start: int, shift: int) -> I32:
    """Moves triangles to their place among all vertices; those that face backwards get the atlas's back."""
    behind = normals[triangles, 1].mean(1) < 0
    return np.concatenate([triangles + start, (behind * shift)[:, None]], 1).astype(np.int32)
