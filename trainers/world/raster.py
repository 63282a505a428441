"""Draws people over a baked view: skinning, a depth buffer, lit and textured pixels."""

import math
from typing import NamedTuple

import numpy as np

from trainers.world.compiled import F32, F64, I32, U8, compiled, inlined

NEAR_LENS = 0.3  # metres: triangles nearer to the lens are not drawn
NOBODY = -1
SAMPLES_SEEN, LEFT, TOP, RIGHT, LOW, FIRST_PART = range(6)  # columns of what is found of a person


class Cloth(NamedTuple):
    """Everybody's triangles and textures, people one after the other.

    Attributes:
        uv: (V, 2) texels. occlusion: (V,). triangles: (T, 4) vertices and shift of u. owner: (T,) person's index.
        full, half, quarter: (P, h, w, 5) atlases at three sizes.
    """

    uv: F32
    occlusion: F32
    triangles: I32
    owner: I32
    full: U8
    half: U8
    quarter: U8


class Lit(NamedTuple):
    """The light that falls on each person, and around them.

    Attributes:
        directions: (P, L, 3). colours: (P, L, 4). clear: (P,) share that fog leaves.
        above, below, sky: (4,).
    """

    directions: F32
    colours: F32
    clear: F32
    above: F64
    below: F64
    sky: F64


def nobody_found(people: int, parts: int) -> I32:
    """What `shade` counts of each person: samples, first column and row, last column and row, pixels of each part."""
    found = np.zeros((people, FIRST_PART + parts), np.int32)
    found[:, [LEFT, TOP]], found[:, [RIGHT, LOW]] = np.iinfo(np.int32).max, -1
    return found


@compiled
def skin(vertices: F32, normals: F32, bones: I32, weights: F32, moved: F32, to: F32, to_normals: F32) -> None:
    """Linear blend skinning of (V, 3) vertices by (BONES, 3, 4) transforms, into `to` and `to_normals`."""
    for i in range(vertices.shape[0]):
        x, y, z = vertices[i, 0], vertices[i, 1], vertices[i, 2]
        nx, ny, nz = normals[i, 0], normals[i, 1], normals[i, 2]
        for row in range(3):
            a, b, c, d = np.float32(0), np.float32(0), np.float32(0), np.float32(0)
            for k in range(4):
                w, bone = weights[i, k], bones[i, k]
                if w > 0:
                    a += w * moved[bone, row, 0]
                    b += w * moved[bone, row, 1]
                    c += w * moved[bone, row, 2]
                    d += w * moved[bone, row, 3]
            to[i, row], to_normals[i, row] = a * x + b * y + c * z + d, a * nx + b * ny + c * nz


@compiled
def rasterise(
    points: F32, triangles: I32, base: int, origin: tuple[int, int], depth: F32, owners: I32, stamp: I32, mark: int
) -> int:  # fmt: skip
    """Draws one person into the depth buffer.

    Args:
        points: (V, 3) sample x, sample y, depth.
        triangles: (T, 4) of those vertices.
        base: Number of the first triangle among everybody's.
        origin: Sample at the window's top left.
        depth: (h, w) metres, nearest so far.
        owners: (h, w) number of the triangle seen, `NOBODY` where none is.
        stamp: (h, w) scratch, never equal to `mark` before.
        mark: A number of this person's own.

    Returns:
        Samples in the window that the person would cover if nothing stood before them.
    """
    high, wide = depth.shape
    covered = 0
    for k in range(triangles.shape[0]):
        i, j, m = triangles[k, 0], triangles[k, 1], triangles[k, 2]
        ax, ay = float(points[i, 0]) - origin[0], float(points[i, 1]) - origin[1]
        bx, by = float(points[j, 0]) - origin[0], float(points[j, 1]) - origin[1]
        cx, cy = float(points[m, 0]) - origin[0], float(points[m, 1]) - origin[1]
        area = (bx - ax) * (cy - ay) - (by - ay) * (cx - ax)
        if area >= 0 or min(points[i, 2], points[j, 2], points[m, 2]) < NEAR_LENS:
            continue  # y points down: what faces us winds the other way
        u0, u1 = max(0, math.ceil(min(ax, bx, cx) - 0.5)), min(wide - 1, math.floor(max(ax, bx, cx) - 0.5))
        v0, v1 = max(0, math.ceil(min(ay, by, cy) - 0.5)), min(high - 1, math.floor(max(ay, by, cy) - 0.5))
        if u0 > u1 or v0 > v1:
            continue
        ia, iz2 = 1 / area, 1 / points[m, 2]
        iz0, iz1 = 1 / points[i, 2] - iz2, 1 / points[j, 2] - iz2
        for v in range(v0, v1 + 1):
            fy = v + 0.5
            for u in range(u0, u1 + 1):
                fx = u + 0.5
                w0 = ((bx - fx) * (cy - fy) - (by - fy) * (cx - fx)) * ia
                w1 = ((cx - fx) * (ay - fy) - (cy - fy) * (ax - fx)) * ia
                if w0 >= 0 and w1 >= 0 and w0 + w1 <= 1:
                    if stamp[v, u] != mark:
                        stamp[v, u] = mark
                        covered += 1
                    nearness = iz2 + w0 * iz0 + w1 * iz1
                    if nearness * depth[v, u] > 1:
                        depth[v, u] = 1 / nearness
                        owners[v, u] = base + k
    return covered


@inlined
def _texel(
    atlases: U8, who: int, u: float, v: float, scale: float, linear: F32
) -> tuple[float, float, float, float]:
    x = min(max(int(u * scale), 0), atlases.shape[2] - 1)
    y = min(max(int(v * scale), 0), atlases.shape[1] - 1)
    return (
        linear[atlases[who, y, x, 0]],
        linear[atlases[who, y, x, 1]],
        linear[atlases[who, y, x, 2]],
        atlases[who, y, x, 3] / np.float32(255),
    )


@inlined
def _colour(
    cloth: Cloth, who: int, u: float, v: float, footprint: float, linear: F32
) -> tuple[float, float, float, float]:
    """Texture at the level that fits the size of a sample on the cloth."""
    if footprint > 2.4:
        return _texel(cloth.quarter, who, u, v, 0.25, linear)
    if footprint > 1.2:
        return _texel(cloth.half, who, u, v, 0.5, linear)
    return _texel(cloth.full, who, u, v, 1.0, linear)


@inlined
def _part_at(atlases: U8, who: int, u: float, v: float) -> int:
    x = min(max(int(u), 0), atlases.shape[2] - 1)
    return int(atlases[who, min(max(int(v), 0), atlases.shape[1] - 1), x, 4])


@inlined
def _incoming(
    who: int, nx: float, ny: float, nz: float, z: float, occlusion: float, lit: Lit
) -> tuple[float, float, float, float]:
    """Light that falls on cloth with a unit normal at a height."""
    up, open_low = 0.5 + 0.5 * nz, min(1.0, 0.55 + 0.45 * z / 0.9) * occlusion
    above, below = up * open_low, (1 - up) * open_low
    r = lit.above[0] * above + lit.below[0] * below
    g = lit.above[1] * above + lit.below[1] * below
    b = lit.above[2] * above + lit.below[2] * below
    i = lit.above[3] * above + lit.below[3] * below
    for k in range(lit.directions.shape[1]):
        cosine = (
            nx * lit.directions[who, k, 0] + ny * lit.directions[who, k, 1] + nz * lit.directions[who, k, 2]
        )
        falls = (0.18 - cosine) * (1 / 1.18) * (0.45 + 0.55 * occlusion)
        if falls > 0:
            r += lit.colours[who, k, 0] * falls
            g += lit.colours[who, k, 1] * falls
            b += lit.colours[who, k, 2] * falls
            i += lit.colours[who, k, 3] * falls
    return r, g, b, i


@inlined
def _corner_weights(points: F32, i: int, j: int, m: int, x: float, y: float) -> tuple[float, float, float]:
    ax, ay, bx, by = points[i, 0] - x, points[i, 1] - y, points[j, 0] - x, points[j, 1] - y
    cx, cy = points[m, 0] - x, points[m, 1] - y
    inverse = 1 / ((bx - ax) * (cy - ay) - (by - ay) * (cx - ax))
    w0, w1 = (bx * cy - by * cx) * inverse, (cx * ay - cy * ax) * inverse
    return w0, w1, 1 - w0 - w1


@inlined
def _rim(nx: float, ny: float, nz: float, vx: float, vy: float, vz: float) -> float:
    """Light that grazes a surface towards the eye at (vx, vy, vz) from it."""
    flat = 1 - max(0.0, (nx * vx + ny * vy + nz * vz) / math.sqrt(vx * vx + vy * vy + vz * vz))
    return flat * flat * flat * 0.10


@inlined
def _shade_sample(
    k: int, who: int, x: float, y: float, points: F32, vertices: F32, normals: F32, cloth: Cloth, lit: Lit,
    eye: F64, texel_px: float, linear: F32,
) -> tuple[float, float, float, float, float, float]:  # fmt: skip
    """What one sample of triangle `k` sends to the eye (4), and its place on the atlas (2)."""
    i, j, m = cloth.triangles[k, 0], cloth.triangles[k, 1], cloth.triangles[k, 2]
    w0, w1, w2 = _corner_weights(points, i, j, m, x, y)
    u = w0 * cloth.uv[i, 0] + w1 * cloth.uv[j, 0] + w2 * cloth.uv[m, 0] + cloth.triangles[k, 3]
    v = w0 * cloth.uv[i, 1] + w1 * cloth.uv[j, 1] + w2 * cloth.uv[m, 1]
    nx = w0 * normals[i, 0] + w1 * normals[j, 0] + w2 * normals[m, 0]
    ny = w0 * normals[i, 1] + w1 * normals[j, 1] + w2 * normals[m, 1]
    nz = w0 * normals[i, 2] + w1 * normals[j, 2] + w2 * normals[m, 2]
    unit = 1 / (math.sqrt(nx * nx + ny * ny + nz * nz) + 1e-6)
    nx, ny, nz = nx * unit, ny * unit, nz * unit
    occlusion = w0 * cloth.occlusion[i] + w1 * cloth.occlusion[j] + w2 * cloth.occlusion[m]
    depth = points[i, 2]
    r, g, b, n = _colour(cloth, who, u, v, texel_px * depth, linear)
    to_r, to_g, to_b, to_n = _incoming(who, nx, ny, nz, vertices[i, 2], occlusion, lit)
    rim = (
        _rim(nx, ny, nz, eye[0] - vertices[i, 0], eye[1] - vertices[i, 1], eye[2] - vertices[i, 2])
        * occlusion
    )
    clear = lit.clear[who]
    haze = (1 - clear) * 0.8
    return (
        (r * to_r + rim * lit.above[0]) * clear + haze * lit.sky[0],
        (g * to_g + rim * lit.above[1]) * clear + haze * lit.sky[1],
        (b * to_b + rim * lit.above[2]) * clear + haze * lit.sky[2],
        (n * to_n + rim * lit.above[3]) * clear + haze * lit.sky[3],
        u,
        v,
    )


@inlined
def _tally(found: I32, who: int, x: int, y: int, part: int) -> None:
    """Counts a pixel of a person: first and last column and row, and how many of each part."""
    found[who, LEFT], found[who, TOP] = min(found[who, LEFT], x), min(found[who, TOP], y)
    found[who, RIGHT], found[who, LOW] = max(found[who, RIGHT], x), max(found[who, LOW], y)
    found[who, FIRST_PART + part] += 1


@compiled
def shade(
    points: F32, vertices: F32, normals: F32, cloth: Cloth, lit: Lit, eye: F64, owners: I32,
    origin: tuple[int, int], scale: int, window: tuple[int, int, int, int], texel_px: float, linear: F32,
    frame: F32, ids: I32, parts: U8, found: I32,
) -> None:  # fmt: skip
    """Lights the samples that people own and lays them over the background.

    Args:
        points: Everybody's vertices, projected as `rasterise` takes them.
        vertices: The same in the world.
        normals: Of them.
        cloth: Triangles and textures.
        lit: Light.
        eye: Position of the camera.
        owners: As `rasterise` left it.
        origin: Pixel at the frame's top left.
        scale: Samples along a pixel's edge; colour is taken on the diagonal, coverage everywhere.
        window: x0, y0, x1, y1 in the frame: where people are.
        texel_px: Texels on a sample at a metre's distance.
        linear: (256,) sRGB to linear.
        frame: (h, w, 4) linear, holds the background.
        ids: (h, w) gets the person's index + 1 where most samples are theirs.
        parts: (h, w) gets the label of the part.
        found: (P, FIRST_PART + parts) as `nobody_found` makes it; gets what is seen of each person.
    """
    for oy in range(window[1], window[3]):
        for ox in range(window[0], window[2]):
            count, shaded, person, votes, first, at_u, at_v = 0, 0, NOBODY, 0, 0, 0.0, 0.0
            r, g, b, n = 0.0, 0.0, 0.0, 0.0
            for dy in range(scale):
                for dx in range(scale):
                    u, v = ox * scale + dx, oy * scale + dy
                    k = owners[v, u]
                    if k < 0:
                        continue
                    count += 1
                    who = int(cloth.owner[k])
                    found[who, SAMPLES_SEEN] += 1
                    person = who if votes == 0 else person
                    votes += 1 if who == person else -1
                    if shaded > 0 and dx != dy:
                        continue
                    shaded += 1
                    sent = _shade_sample(
                        k, who, u + origin[0] * scale + 0.5, v + origin[1] * scale + 0.5, points, vertices, normals,
                        cloth, lit, eye, texel_px, linear,
                    )  # fmt: skip
                    r, g, b, n = r + sent[0], g + sent[1], b + sent[2], n + sent[3]
                    if shaded == 1:
                        first, at_u, at_v = who, sent[4], sent[5]
            if count:
                share, each = count / (scale * scale), count / (scale * scale * shaded)
                frame[oy, ox, 0] = frame[oy, ox, 0] * (1 - share) + r * each
                frame[oy, ox, 1] = frame[oy, ox, 1] * (1 - share) + g * each
                frame[oy, ox, 2] = frame[oy, ox, 2] * (1 - share) + b * each
                frame[oy, ox, 3] = frame[oy, ox, 3] * (1 - share) + n * each
                if count * 2 >= scale * scale:
                    part = _part_at(cloth.full, first, at_u, at_v)
                    ids[oy, ox], parts[oy, ox] = person + 1, part
                    _tally(found, person, ox, oy, part)
