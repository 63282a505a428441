"""Signed distance to a body made of rounded primitives, and its surface as a mesh (surface nets)."""

import math

import numpy as np

from trainers.world.compiled import F32, F64, I32, compiled, inlined

# A primitive is a row of 16 numbers.
KIND, AX, AY, AZ, BX, BY, BZ, RA, RB, ASPECT, BLEND, BONE, CUT, OFFSET, CARVES, BULGE = range(16)
CAPSULE, BOX, ELLIPSOID, LOFT = range(4)
TORSO_BONE, SKIRT_BONE = 101, 100  # codes for weights that blend over several bones
BLOCK = 4  # cells along an edge of the blocks that share one choice of near primitives
BLOCK_REACH = 2.6  # cells from the middle of a block to its corner


def capsule(
    a: F64, b: F64, ra: float, rb: float, *, aspect: float = 1.0, blend: float = 0.03, bone: int = 0,
    cut: float = -1.0, offset: float = 0.0, bulge: float = 0.0,
) -> list[float]:  # fmt: skip
    """A rounded cone from `a` to `b`; `offset` is added to the radius up to the fraction `cut` (a sleeve)."""
    return [CAPSULE, *a, *b, ra, rb, aspect, blend, bone, cut, offset, 0, bulge]


def ellipsoid(centre: F64, radii: F64, *, blend: float = 0.03, bone: int = 0) -> list[float]:
    """An ellipsoid with axes along x, y, z."""
    return [ELLIPSOID, *centre, *radii, 0, 0, 1, blend, bone, -1, 0, 0, 0]


def box(
    centre: F64, half: F64, *, edge: float = 0.0, blend: float = 0.03, bone: int = 0, carves: bool = False
) -> list[float]:
    """A box with edges rounded by `edge`; `carves` takes it away instead of adding it."""
    return [BOX, *centre, *half, edge, 0, 1, blend, bone, -1, 0, float(carves), 0]


def loft(table: int, z0: float, z1: float, *, power: float, blend: float, bone: int) -> list[float]:
    """Superelliptic slices between two heights; half width, half depth and centre y come from `table`."""
    return [LOFT, table, z0, z1, 0, 0, 0, 0, 0, power, blend, bone, -1, 0, 0, 0]


@inlined
def _capsule(p: F64, i: int, x: float, y: float, z: float) -> float:
    dx, dy, dz = p[i, BX] - p[i, AX], p[i, BY] - p[i, AY], p[i, BZ] - p[i, AZ]
    px, py, pz = x - p[i, AX], y - p[i, AY], z - p[i, AZ]
    along = (px * dx + py * dy + pz * dz) / (dx * dx + dy * dy + dz * dz + 1e-9)
    u = min(1.0, max(0.0, along))
    radius = p[i, RA] + (p[i, RB] - p[i, RA]) * u + p[i, BULGE] * 4 * u * (1 - u)
    if along < p[i, CUT]:
        radius += p[i, OFFSET]
    qx, qy, qz = px - u * dx, (py - u * dy) / p[i, ASPECT], pz - u * dz
    return float(math.sqrt(qx * qx + qy * qy + qz * qz) - radius)


@inlined
def _box(p: F64, i: int, x: float, y: float, z: float) -> float:
    qx = abs(x - p[i, AX]) - p[i, BX] + p[i, RA]
    qy = abs(y - p[i, AY]) - p[i, BY] + p[i, RA]
    qz = abs(z - p[i, AZ]) - p[i, BZ] + p[i, RA]
    ox, oy, oz = max(qx, 0.0), max(qy, 0.0), max(qz, 0.0)
    return float(math.sqrt(ox * ox + oy * oy + oz * oz) + min(max(qx, qy, qz), 0.0) - p[i, RA])


@inlined
def _ellipsoid(p: F64, i: int, x: float, y: float, z: float) -> float:
    qx, qy, qz = (x - p[i, AX]) / p[i, BX], (y - p[i, AY]) / p[i, BY], (z - p[i, AZ]) / p[i, BZ]
    return float((math.sqrt(qx * qx + qy * qy + qz * qz) - 1) * min(p[i, BX], p[i, BY], p[i, BZ]))


@inlined
def _loft(p: F64, n: int, tables: F64, x: float, y: float, z: float) -> float:
    which, z0, z1, rows = int(p[n, AX]), p[n, AY], p[n, AZ], tables.shape[1]
    f = (z - z0) / (z1 - z0) * (rows - 1)
    i = int(min(rows - 2, max(0, math.floor(f))))
    g = min(1.0, max(0.0, f - i))
    wide = tables[which, i, 0] * (1 - g) + tables[which, i + 1, 0] * g
    deep = tables[which, i, 1] * (1 - g) + tables[which, i + 1, 1] * g
    middle = tables[which, i, 2] * (1 - g) + tables[which, i + 1, 2] * g
    power = p[n, ASPECT]
    q = (abs(x) / wide) ** power + (abs(y - middle) / deep) ** power
    return float(max((q ** (1 / power) - 1) * min(wide, deep), z0 - z, z - z1))


@inlined
def _distance(prims: F64, i: int, tables: F64, x: float, y: float, z: float) -> float:
    """Signed distance to one primitive, metres; negative inside."""
    kind = int(prims[i, KIND])
    if kind == CAPSULE:
        return _capsule(prims, i, x, y, z)
    if kind == BOX:
        return _box(prims, i, x, y, z)
    if kind == ELLIPSOID:
        return _ellipsoid(prims, i, x, y, z)
    return _loft(prims, i, tables, x, y, z)


@compiled
def distance_to_near(prims: F64, near: I32, count: int, tables: F64, x: float, y: float, z: float) -> float:
    """Smooth union and difference of the primitives `near[:count]`, in their order."""
    d = 1e9
    for n in range(count):
        i = near[n]
        own = _distance(prims, i, tables, x, y, z)
        k = prims[i, BLEND]
        if prims[i, CARVES] == 0:
            h = max(k - abs(d - own), 0.0) / k
            d = min(d, own) - h * h * k * 0.25
        else:
            h = max(k - abs(-d - own), 0.0) / k
            d = max(d, -own) + h * h * k * 0.25
    return d


@compiled
def distances_to_all(prims: F64, tables: F64, x: float, y: float, z: float, own: F64) -> float:
    """Distance of a point to every primitive, into `own`; returns the least to one that carves nothing."""
    nearest = 1e9
    for i in range(prims.shape[0]):
        own[i] = _distance(prims, i, tables, x, y, z)
        if prims[i, CARVES] == 0 and own[i] < nearest:
            nearest = own[i]
    return nearest


@compiled
def choose_near(prims: F64, own: F64, nearest: float, margin: float, near: I32) -> int:
    """Primitives that can matter within `margin` of a point, into `near`; returns how many.

    Args:
        prims: All.
        own: `distances_to_all`.
        nearest: What that returned.
        margin: Metres.
        near: Gets their numbers.
    """
    count = 0
    for i in range(prims.shape[0]):
        if own[i] < nearest + margin or (prims[i, CARVES] != 0 and own[i] < margin):
            near[count] = i
            count += 1
    return count


@compiled
def sample_grid(prims: F64, tables: F64, origin: F64, shape: tuple[int, int, int], step: float) -> F32:
    """The field on a grid; blocks far from the surface are filled with the value at their centre."""
    field = np.empty(shape, np.float32)
    near, own = np.empty(prims.shape[0], np.int32), np.empty(prims.shape[0])
    reach = 2 * BLOCK_REACH * step + 0.05
    for bi in range(0, shape[0], BLOCK):
        for bj in range(0, shape[1], BLOCK):
            for bk in range(0, shape[2], BLOCK):
                x, y, z = (
                    origin[0] + (bi + 1.5) * step,
                    origin[1] + (bj + 1.5) * step,
                    origin[2] + (bk + 1.5) * step,
                )
                nearest = distances_to_all(prims, tables, x, y, z, own)
                count = choose_near(prims, own, nearest, reach, near)
                d = distance_to_near(prims, near, count, tables, x, y, z)
                _fill_block(field, prims, near, count, tables, origin, step, bi, bj, bk, d)
    return field


@compiled
def _fill_block(
    field: F32, prims: F64, near: I32, count: int, tables: F64, origin: F64, step: float,
    bi: int, bj: int, bk: int, centre: float,
) -> None:  # fmt: skip
    far = abs(centre) > 1.6 * BLOCK_REACH * step
    for i in range(bi, min(bi + BLOCK, field.shape[0])):
        for j in range(bj, min(bj + BLOCK, field.shape[1])):
            for k in range(bk, min(bk + BLOCK, field.shape[2])):
                if far:
                    field[i, j, k] = centre
                else:
                    field[i, j, k] = distance_to_near(
                        prims,
                        near,
                        count,
                        tables,
                        origin[0] + i * step,
                        origin[1] + j * step,
                        origin[2] + k * step,
                    )


@inlined
def _is_uniform(field: F32, i: int, j: int, k: int) -> bool:
    """Whether all corners of a cell are on one side of the surface."""
    inside = field[i, j, k] < 0
    same = ((field[i, j, k + 1] < 0) == inside) & ((field[i, j + 1, k] < 0) == inside)
    same &= ((field[i, j + 1, k + 1] < 0) == inside) & ((field[i + 1, j, k] < 0) == inside)
    same &= ((field[i + 1, j, k + 1] < 0) == inside) & ((field[i + 1, j + 1, k] < 0) == inside)
    return bool(same & ((field[i + 1, j + 1, k + 1] < 0) == inside))


@compiled
def _crossing(field: F32, i: int, j: int, k: int, at: F64) -> int:
    """Mean of the edge crossings of a cell, in cells, into `at`; returns how many edges are crossed."""
    count = 0
    at[:] = 0.0
    if _is_uniform(field, i, j, k):
        return 0
    for axis in range(3):
        for corner in range(4):
            u, v = corner & 1, corner >> 1
            if axis == 0:
                o0, o1, o2 = 0, u, v
            elif axis == 1:
                o0, o1, o2 = u, 0, v
            else:
                o0, o1, o2 = u, v, 0
            e0, e1, e2 = o0 + (axis == 0), o1 + (axis == 1), o2 + (axis == 2)
            f0, f1 = field[i + o0, j + o1, k + o2], field[i + e0, j + e1, k + e2]
            if (f0 < 0) != (f1 < 0):
                t = f0 / (f0 - f1)
                at[0] += o0 + t * (e0 - o0)
                at[1] += o1 + t * (e1 - o1)
                at[2] += o2 + t * (e2 - o2)
                count += 1
    return count


@compiled
def surface_nets(field: F32, origin: F64, step: float) -> tuple[F32, I32]:
    """The zero surface: one vertex in each crossed cell, a quad around each crossed edge.

    Returns:
        Vertices (V, 3) in metres and triangles (T, 3) that wind outwards.

    Source: Gibson, Constrained Elastic Surface Nets, 1998.
    """
    nx, ny, nz = field.shape
    index = np.full((nx, ny, nz), -1, np.int32)
    cells = np.empty((nx * ny * nz // 4 + 64, 3), np.float32)
    at, count = np.zeros(3), 0
    for i in range(nx - 1):
        for j in range(ny - 1):
            for k in range(nz - 1):
                edges = _crossing(field, i, j, k, at)
                if edges:
                    index[i, j, k] = count
                    cells[count, 0] = origin[0] + (i + at[0] / edges) * step
                    cells[count, 1] = origin[1] + (j + at[1] / edges) * step
                    cells[count, 2] = origin[2] + (k + at[2] / edges) * step
                    count += 1
    return cells[:count].copy(), _quads(field, index, count)


@compiled
def _quads(field: F32, index: I32, vertices: int) -> I32:
    nx, ny, nz = field.shape
    out = np.empty((vertices * 4 + 64, 3), np.int32)
    count = 0
    for i in range(1, nx - 1):
        for j in range(1, ny - 1):
            for k in range(1, nz - 1):
                inside = field[i, j, k] < 0
                for axis in range(3):
                    if axis == 0:
                        other = field[i + 1, j, k] < 0
                        b, d = index[i, j, k - 1], index[i, j - 1, k]
                        a = index[i, j - 1, k - 1]
                    elif axis == 1:
                        other = field[i, j + 1, k] < 0
                        b, d = index[i - 1, j, k], index[i, j, k - 1]
                        a = index[i - 1, j, k - 1]
                    else:
                        other = field[i, j, k + 1] < 0
                        b, d = index[i, j - 1, k], index[i - 1, j, k]
                        a = index[i - 1, j - 1, k]
                    if inside != other:
                        c = index[i, j, k]
                        if not inside:
                            b, d = d, b
                        out[count, 0], out[count, 1], out[count, 2] = a, b, c
                        out[count + 1, 0], out[count + 1, 1], out[count + 1, 2] = a, c, d
                        count += 2
    return out[:count].copy()
