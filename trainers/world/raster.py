"""Draws people over a baked view: skinning, a depth buffer, lit and textured pixels, shadows on the ground."""

import math
from typing import NamedTuple

import numpy as np

from trainers.world.compiled import F32, F64, I32, U8, compiled

NEAR_LENS = 0.3  # metres: triangles nearer to the lens are not drawn
NOBODY = -1


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
    """The light that falls on each person: (P, L, 3) directions, (P, L, 4) colours, and around them (4,)."""

    directions: F32
    colours: F32
    above: F64
    below: F64
    sky: F64
    fog: float


@compiled
def skin(vertices: F32, normals: F32, bones: I32, weights: F32, moved: F32, to: F32, to_normals: F32) -> None:
    """Linear blend skinning of (V, 3) vertices by (BONES, 3, 4) transforms, into `to` and `to_normals`."""
    for i in range(vertices.shape[0]):
        x, y, z = vertices[i, 0], vertices[i, 1], vertices[i, 2]
        nx, ny, nz = normals[i, 0], normals[i, 1], normals[i, 2]
        for row in range(3):
            p, q = np.float32(0), np.float32(0)
            for k in range(4):
                w = weights[i, k]
                if w > 0:
                    m = moved[bones[i, k], row]
                    p += w * (m[0] * x + m[1] * y + m[2] * z + m[3])
                    q += w * (m[0] * nx + m[1] * ny + m[2] * nz)
            to[i, row], to_normals[i, row] = p, q


@compiled
def rasterise(
    points: F32,
    triangles: I32,
    base: int,
    origin: tuple[int, int],
    depth: F32,
    owners: I32,
    stamp: I32,
    mark: int,
) -> int:
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
        a, b, c = points[triangles[k, 0]], points[triangles[k, 1]], points[triangles[k, 2]]
        ax, ay, bx, by = a[0] - origin[0], a[1] - origin[1], b[0] - origin[0], b[1] - origin[1]
        cx, cy = c[0] - origin[0], c[1] - origin[1]
        area = (bx - ax) * (cy - ay) - (by - ay) * (cx - ax)
        if area >= 0 or min(a[2], b[2], c[2]) < NEAR_LENS:  # y points down: what faces us winds the other way
            continue
        u0, u1 = (
            max(0, math.ceil(min(ax, bx, cx) - 0.5)),
            min(wide - 1, math.floor(max(ax, bx, cx) - 0.5)),
        )
        v0, v1 = (
            max(0, math.ceil(min(ay, by, cy) - 0.5)),
            min(high - 1, math.floor(max(ay, by, cy) - 0.5)),
        )
        ia, iz0, iz1, iz2 = 1 / area, 1 / a[2], 1 / b[2], 1 / c[2]
        for v in range(v0, v1 + 1):
            fy = v + 0.5
            for u in range(u0, u1 + 1):
                fx = u + 0.5
                w0 = ((bx - fx) * (cy - fy) - (by - fy) * (cx - fx)) * ia
                w1 = ((cx - fx) * (ay - fy) - (cy - fy) * (ax - fx)) * ia
                w2 = 1 - w0 - w1
                if w0 >= 0 and w1 >= 0 and w2 >= 0:
                    if stamp[v, u] != mark:
                        stamp[v, u] = mark
                        covered += 1
                    z = 1 / (w0 * iz0 + w1 * iz1 + w2 * iz2)
                    if z < depth[v, u]:
                        depth[v, u] = z
                        owners[v, u] = base + k
    return covered


@compiled
def _texel(atlas: U8, u: float, v: float, scale: float, linear: F32, colour: F32) -> None:
    x = min(max(int(u * scale), 0), atlas.shape[1] - 1)
    y = min(max(int(v * scale), 0), atlas.shape[0] - 1)
    for c in range(3):
        colour[c] = linear[atlas[y, x, c]]
    colour[3] = atlas[y, x, 3] / np.float32(255)


@compiled
def _sample_colour(
    cloth: Cloth, person: int, u: float, v: float, footprint: float, linear: F32, out: F32
) -> None:
    """Texture at the level that fits the size of a sample on the cloth."""
    if footprint > 2.4:
        _texel(cloth.quarter[person], u, v, 0.25, linear, out)
    elif footprint > 1.2:
        _texel(cloth.half[person], u, v, 0.5, linear, out)
    else:
        _texel(cloth.full[person], u, v, 1.0, linear, out)


@compiled
def _part_at(atlas: U8, u: float, v: float) -> int:
    x = min(max(int(u), 0), atlas.shape[1] - 1)
    return int(atlas[min(max(int(v), 0), atlas.shape[0] - 1), x, 4])


@compiled
def _light_sample(
    person: int,
    normal: F32,
    occlusion: float,
    at: F32,
    eye: F64,
    depth: float,
    lit: Lit,
    colour: F32,
    out: F32,
) -> None:
    """Adds what a sample of cloth sends to the eye."""
    nx, ny, nz = normal[0], normal[1], normal[2]
    vx, vy, vz = eye[0] - at[0], eye[1] - at[1], eye[2] - at[2]
    rim = 1 - max(0.0, (nx * vx + ny * vy + nz * vz) / math.sqrt(vx * vx + vy * vy + vz * vz))
    rim = rim * rim * rim * 0.10 * occlusion
    up, low = 0.5 + 0.5 * nz, min(1.0, 0.55 + 0.45 * at[2] / 0.9)
    clear = math.exp(-depth * lit.fog)
    for c in range(4):
        incoming = (lit.above[c] * up + lit.below[c] * (1 - up)) * occlusion * low
        for light in range(lit.directions.shape[1]):
            towards = lit.directions[person, light]
            cosine = -(nx * towards[0] + ny * towards[1] + nz * towards[2])
            cosine = max(0.0, (cosine + 0.18) / 1.18)
            incoming += lit.colours[person, light, c] * cosine * (0.45 + 0.55 * occlusion)
        out[c] += (colour[c] * incoming + rim * lit.above[c]) * clear + (1 - clear) * lit.sky[c] * 0.8


@compiled
def _corner_weights(a: F32, b: F32, c: F32, x: float, y: float) -> tuple[float, float, float]:
    area = (b[0] - a[0]) * (c[1] - a[1]) - (b[1] - a[1]) * (c[0] - a[0])
    w0 = ((b[0] - x) * (c[1] - y) - (b[1] - y) * (c[0] - x)) / area
    w1 = ((c[0] - x) * (a[1] - y) - (c[1] - y) * (a[0] - x)) / area
    return w0, w1, 1 - w0 - w1


@compiled
def _shade_sample(
    k: int, x: float, y: float, points: F32, vertices: F32, normals: F32, cloth: Cloth, lit: Lit, eye: F64,
    texel_px: float, linear: F32, scratch: F32, total: F32,
) -> int:  # fmt: skip
    """Adds the light of one sample of triangle `k` to `total`; returns the label of its part."""
    who = int(cloth.owner[k])
    i, j, m = cloth.triangles[k, 0], cloth.triangles[k, 1], cloth.triangles[k, 2]
    w0, w1, w2 = _corner_weights(points[i], points[j], points[m], x, y)
    tu = w0 * cloth.uv[i, 0] + w1 * cloth.uv[j, 0] + w2 * cloth.uv[m, 0] + cloth.triangles[k, 3]
    tv = w0 * cloth.uv[i, 1] + w1 * cloth.uv[j, 1] + w2 * cloth.uv[m, 1]
    colour, normal = scratch[:4], scratch[4:7]
    _sample_colour(cloth, who, tu, tv, texel_px * points[i, 2], linear, colour)
    length = 0.0
    for a in range(3):
        normal[a] = w0 * normals[i, a] + w1 * normals[j, a] + w2 * normals[m, a]
        length += normal[a] * normal[a]
    normal /= np.float32(math.sqrt(length) + 1e-6)
    occlusion = w0 * cloth.occlusion[i] + w1 * cloth.occlusion[j] + w2 * cloth.occlusion[m]
    _light_sample(who, normal, occlusion, vertices[i], eye, points[i, 2], lit, colour, total)
    return _part_at(cloth.full[who], tu, tv)


@compiled
def shade(
    points: F32, vertices: F32, normals: F32, cloth: Cloth, lit: Lit, eye: F64, owners: I32,
    origin: tuple[int, int], scale: int, window: tuple[int, int, int, int], texel_px: float, linear: F32,
    frame: F32, ids: I32, parts: U8,
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
    """
    scratch, total = np.zeros(8, np.float32), np.zeros(4, np.float32)
    for oy in range(window[1], window[3]):
        for ox in range(window[0], window[2]):
            count, shaded, person, votes, part = 0, 0, NOBODY, 0, 0
            total[:] = 0.0
            for s in range(scale * scale):
                v, u = oy * scale + s // scale, ox * scale + s % scale
                k = owners[v, u]
                if k < 0:
                    continue
                count += 1
                who = int(cloth.owner[k])
                if votes == 0:
                    person = who
                votes += 1 if who == person else -1
                if shaded > 0 and s % scale != s // scale:
                    continue
                shaded += 1
                seen = _shade_sample(
                    k, u + origin[0] * scale + 0.5, v + origin[1] * scale + 0.5, points, vertices, normals, cloth,
                    lit, eye, texel_px, linear, scratch, total,
                )  # fmt: skip
                part = seen if shaded == 1 else part
            if count:
                share = count / (scale * scale)
                for c in range(4):
                    frame[oy, ox, c] = frame[oy, ox, c] * (1 - share) + total[c] / shaded * share
                if count * 2 >= scale * scale:
                    ids[oy, ox], parts[oy, ox] = person + 1, part


@compiled
def splat_shadow(
    vertices: F32,
    slope: tuple[float, float],
    corner: tuple[float, float],
    cell: float,
    cast: F32,
    contact: F32,
) -> None:
    """Marks where a cloud of vertices keeps the key light, and the sky near the feet, off the ground.

    Args:
        vertices: (V, 3) of one person.
        slope: How far the key light moves in x and y per metre that it falls.
        corner: x, y of the grid's first cell.
        cell: Metres.
        cast: (h, w) grid in [0, 1] for the key light.
        contact: (h, w) grid in [0, 1] for the sky.
    """
    for i in range(vertices.shape[0]):
        x, y, z = vertices[i, 0], vertices[i, 1], vertices[i, 2]
        u, v = int((x + slope[0] * z - corner[0]) / cell), int((y + slope[1] * z - corner[1]) / cell)
        if 0 <= u < cast.shape[1] and 0 <= v < cast.shape[0]:
            cast[v, u] = 1.0
        if z < 0.7:
            u, v = int((x - corner[0]) / cell), int((y - corner[1]) / cell)
            if 0 <= u < contact.shape[1] and 0 <= v < contact.shape[0]:
                contact[v, u] = max(contact[v, u], np.float32(1 - z / 0.7))


@compiled
def compose(key: F32, ambient: F32, cast: F32, contact: F32, out: F32) -> None:
    """The empty view (h, w, 4) with shadows of these strengths (h, w) on it, into `out`."""
    for y in range(out.shape[0]):
        for x in range(out.shape[1]):
            a, b = 1 - 0.85 * cast[y, x], 1 - 0.45 * contact[y, x]
            for c in range(4):
                out[y, x, c] = key[y, x, c] * a + ambient[y, x, c] * b
