"""One picture of one camera with the truth about everybody in it."""

import math
from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from trainers.world.camera import project_vertices
from trainers.world.compiled import F32, I32, U8
from trainers.world.crowd import Crowd, Shadows
from trainers.world.doll import PARTS
from trainers.world.light import LIGHTS
from trainers.world.materials import linear
from trainers.world.raster import (
    FIRST_PART,
    LEFT,
    LOW,
    NOBODY,
    RIGHT,
    SAMPLES_SEEN,
    TOP,
    Lit,
    nobody_found,
    rasterise,
    shade,
)
from trainers.world.rig import Pose
from trainers.world.shadow import compose
from trainers.world.view import SAMPLES, View

TEXEL = 0.0062  # metres of a texel of the body's sheet
IN_FRONT = 0.8  # metres from the lens where people begin to be drawn
_LINEAR = linear(np.arange(256)).astype(np.float32)
Roi = tuple[int, int, int, int]


@dataclass(frozen=True, slots=True)
class Seen:
    """The truth about one person in one picture.

    Attributes:
        index: In the crowd; the picture's `ids` hold it + 1.
        box: x, y, w, h of the visible pixels; w = 0 when none are.
        amodal: x0, y0, x1, y1 of the whole body, not cut at the picture's edge.
        visibility: Visible share of the body's part that lies in the picture, in [0, 1].
        in_frame: Share of the amodal box that lies in the picture, in [0, 1].
        parts: Share of the visible pixels by name of `doll.PARTS`.
    """

    index: int
    box: tuple[int, int, int, int]
    amodal: tuple[float, float, float, float]
    visibility: float
    in_frame: float
    parts: dict[str, float]


@dataclass(frozen=True, slots=True)
class Picture:
    """BGR (H, W, 3), who is where (H, W) as index + 1, which part (H, W), and everybody who reaches into it."""

    image: U8
    ids: I32
    parts: U8
    seen: tuple[Seen, ...]


def render(
    view: View,
    crowd: Crowd,
    poses: Mapping[int, Pose],
    shadows: Shadows,
    rng: np.random.Generator,
    roi: Roi | None = None,
) -> Picture:
    """Draws the crowd as posed (`Crowd.pose`).

    Args:
        view: The camera.
        crowd: The people.
        poses: Of those who are there, by index.
        shadows: `Crowd.shadows`.
        rng: Of the sensor's noise.
        roi: x0, y0, x1, y1 of the pixels wanted; None = all.
    """
    x0, y0, x1, y1 = roi or (0, 0, view.camera.width, view.camera.height)
    frame = _background(view, shadows, (x0, y0, x1, y1))
    depth = view.depth[y0 * SAMPLES : y1 * SAMPLES, x0 * SAMPLES : x1 * SAMPLES].copy()
    owners, stamp = np.full(depth.shape, NOBODY, np.int32), np.zeros(depth.shape, np.int32)
    drawn: list[tuple[int, F32, int]] = []
    for index, pose in poses.items():
        box = _project(view, crowd, index, pose)
        if box is None or box[2] < x0 or box[0] > x1 or box[3] < y0 or box[1] > y1:
            continue
        covered = rasterise(
            crowd.points[crowd.vertices_of(index)], crowd.people[index].triangles, int(crowd.first_triangle[index]),
            (x0 * SAMPLES, y0 * SAMPLES), depth, owners, stamp, index + 1,
        )  # fmt: skip
        if covered:
            drawn.append((index, box, covered))
    ids, parts = np.zeros(frame.shape[:2], np.int32), np.zeros(frame.shape[:2], np.uint8)
    found = nobody_found(len(crowd.people), len(PARTS))
    if drawn:
        _shade(view, crowd, poses, drawn, owners, (x0, y0), frame, ids, parts, found)
    seen = tuple(_seen(view, person, found[person[0]], (x0, y0)) for person in drawn)
    return Picture(view.sensor.develop(frame, (x0, y0), rng), ids, parts, seen)


def _background(view: View, shadows: Shadows, roi: Roi) -> F32:
    x0, y0, x1, y1 = roi
    window = slice(y0, y1), slice(x0, x1)
    frame = np.empty((y1 - y0, x1 - x0, 4), np.float32)
    compose(
        view.key[window], view.ambient[window], view.cell_x[window], view.cell_y[window], shadows.first,
        shadows.cast, shadows.contact, frame,
    )  # fmt: skip
    return frame


def _project(view: View, crowd: Crowd, index: int, pose: Pose) -> F32 | None:
    """Amodal box in pixels; the projected vertices stay in `crowd.points`."""
    camera, own = view.camera, crowd.vertices_of(index)
    if camera.rows[2] @ (np.array([pose.x, pose.y, 0.9]) - camera.position) < IN_FRONT:
        return None
    bounds = project_vertices(
        crowd.vertices[own], camera.position, camera.rows, camera.focal, (camera.width, camera.height), camera.k1,
        SAMPLES, crowd.points[own],
    )  # fmt: skip
    return np.asarray(np.array(bounds) / SAMPLES, np.float32)


def _shade(
    view: View, crowd: Crowd, poses: Mapping[int, Pose], drawn: list[tuple[int, F32, int]], owners: I32,
    corner: tuple[int, int], frame: F32, ids: I32, parts: U8, found: I32,
) -> None:  # fmt: skip
    count, light = len(crowd.people), view.place.light
    directions, colours = np.zeros((count, LIGHTS, 3), np.float32), np.zeros((count, LIGHTS, 4), np.float32)
    clear = np.ones(count, np.float32)
    for index, _, _ in drawn:
        pose = poses[index]
        directions[index], colours[index] = view.light.at(pose.x, pose.y)
        far = math.hypot(pose.x - view.camera.position[0], pose.y - view.camera.position[1])
        clear[index] = math.exp(-far * light.fog)
    boxes = np.array([box for _, box, _ in drawn])
    low, high = boxes[:, :2].min(0) - corner, boxes[:, 2:].max(0) - corner
    window = (
        max(0, int(low[0])), max(0, int(low[1])),
        min(frame.shape[1], int(high[0]) + 2), min(frame.shape[0], int(high[1]) + 2),
    )  # fmt: skip
    shade(
        crowd.points, crowd.vertices, crowd.normals, crowd.cloth,
        Lit(directions, colours, clear, light.above, light.below, light.sky), view.camera.position, owners,
        corner, SAMPLES, window, 1.4 / (view.camera.focal * SAMPLES) / TEXEL, _LINEAR, frame, ids, parts, found,
    )  # fmt: skip


def _seen(view: View, person: tuple[int, F32, int], found: I32, corner: tuple[int, int]) -> Seen:
    index, amodal, covered = person
    labels, box = found[FIRST_PART:], (0, 0, 0, 0)
    pixels = labels.sum()
    if pixels:
        left, top, right, low = (int(found[edge]) for edge in (LEFT, TOP, RIGHT, LOW))
        box = left + corner[0], top + corner[1], right - left + 1, low - top + 1
    return Seen(
        index=index,
        box=box,
        amodal=(float(amodal[0]), float(amodal[1]), float(amodal[2]), float(amodal[3])),
        visibility=float(found[SAMPLES_SEEN] / covered),
        in_frame=_share_inside(amodal, view.camera.width, view.camera.height),
        parts={name: round(float(n / pixels), 3) for name, n in zip(PARTS, labels, strict=True) if n},
    )


def _share_inside(amodal: F32, wide: int, high: int) -> float:
    left, top, right, bottom = (float(edge) for edge in amodal)
    inside = max(0.0, min(right, wide) - max(left, 0.0)) * max(0.0, min(bottom, high) - max(top, 0.0))
    return inside / max(1e-6, (right - left) * (bottom - top))
