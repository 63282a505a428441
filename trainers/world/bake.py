"""What a camera sees of an empty place, ray-cast once: colour in a key-lit and an ambient part, and depth."""

import math
from typing import NamedTuple

import numpy as np

from trainers.world.compiled import F32, F64, compiled
from trainers.world.materials import LAMP, M_GLOSS, M_KIND, POSTER, albedo, value_noise

NOTHING, GROUND, BOX, CYLINDER = range(4)
TOP_FACE = 99  # of a cylinder
B_MATERIAL, B_CASTS = 6, 7
FAR = 300.0  # metres
LIT_CELL = 2  # pixels along the edge of the cells that share one look at the light


class Solids(NamedTuple):
    """All that stands in a place, as the kernels take it.

    Attributes:
        boxes: (B, 8) low xyz, high xyz, material, casts a shadow.
        cylinders: (C, 6) x, y, radius, low z, high z, material.
        materials: (M, 11) rows of `Material.row`; row 0 is the ground.
        posters: (P, H, W, 3) linear.
    """

    boxes: F64
    cylinders: F64
    materials: F64
    posters: F64


class Light(NamedTuple):
    """How a place is lit; colours are linear rgb and near infrared (4,).

    Attributes:
        key: Direction of the sun or of the ceiling's light, unit, pointing down.
        key_colour: Its colour.
        soft: Angular size of the key light; 0 = hard shadows.
        above, below: Ambient light from the sky and from the ground.
        lamps: (L, 7) position and colour.
        sky: What is seen where nothing stands.
        fog: Share lost per metre.
    """

    key: F64
    key_colour: F64
    soft: float
    above: F64
    below: F64
    lamps: F64
    sky: F64
    fog: float


@compiled
def _slab(
    o: float, inverse: float, low: float, high: float, enter: float, leave: float
) -> tuple[float, float]:
    """Cuts the part of a ray that lies between two planes; nothing is left when enter >= leave."""
    near, far = (low - o) * inverse, (high - o) * inverse
    return max(enter, min(near, far)), min(leave, max(near, far))


@compiled
def _inverse(d: float) -> float:
    """1 / d, large and finite where a ray runs along the planes."""
    return 1 / d if abs(d) > 1e-9 else 1e9


@compiled
def _hit_box(
    boxes: F64, i: int, o: F64, inverse: tuple[float, float, float], nearest: float
) -> tuple[float, int]:
    """Distance and axis of the face that a ray enters by; axis -1 = missed."""
    x, leave = _slab(o[0], inverse[0], boxes[i, 0], boxes[i, 3], 1e-4, nearest)
    if x >= leave:
        return nearest, -1
    y, leave = _slab(o[1], inverse[1], boxes[i, 1], boxes[i, 4], x, leave)
    if y >= leave:
        return nearest, -1
    z, leave = _slab(o[2], inverse[2], boxes[i, 2], boxes[i, 5], y, leave)
    if z >= leave or z <= 1e-4:
        return nearest, -1
    return z, 2 if z > y else (1 if y > x else 0)


@compiled
def _hit_cylinder(cylinders: F64, i: int, o: F64, d: F64, nearest: float) -> tuple[float, int]:
    """Distance and face; face -1 = missed."""
    radius, low, high = cylinders[i, 2], cylinders[i, 3], cylinders[i, 4]
    px, py = o[0] - cylinders[i, 0], o[1] - cylinders[i, 1]
    qa, qb, qc = d[0] * d[0] + d[1] * d[1], d[0] * px + d[1] * py, px * px + py * py - radius * radius
    inside, found, face = qb * qb - qa * qc, nearest, -1
    if inside > 0 and qa > 1e-12:
        t = (-qb - math.sqrt(inside)) / qa
        z = o[2] + t * d[2]
        if 1e-4 < t < found and low < z < high:
            found, face = t, 0
    if abs(d[2]) > 1e-9:
        t = (high - o[2]) / d[2]
        if 1e-4 < t < found and (px + t * d[0]) ** 2 + (py + t * d[1]) ** 2 < radius * radius:
            found, face = t, TOP_FACE
    return found, face


@compiled
def hit(o: F64, d: F64, solids: Solids, farthest: float, shadow: bool) -> tuple[float, int, int, int]:
    """Nearest thing along a ray: distance, kind, index, face; `shadow` skips what casts none."""
    found, kind, index, face = farthest, NOTHING, 0, 0
    inverse = _inverse(d[0]), _inverse(d[1]), _inverse(d[2])
    if d[2] < -1e-6 and o[2] > 1e-4 and -o[2] / d[2] < found:
        found, kind = -o[2] / d[2], GROUND
    for i in range(solids.boxes.shape[0]):
        if shadow and solids.boxes[i, B_CASTS] == 0:
            continue
        t, axis = _hit_box(solids.boxes, i, o, inverse, found)
        if axis >= 0:
            found, kind, index, face = t, BOX, i, axis
    for i in range(solids.cylinders.shape[0]):
        t, side = _hit_cylinder(solids.cylinders, i, o, d, found)
        if side >= 0:
            found, kind, index, face = t, CYLINDER, i, side
    return found, kind, index, face


@compiled
def blocked(o: F64, d: F64, solids: Solids, farthest: float) -> bool:
    """Whether anything that casts a shadow is in the way."""
    inverse = _inverse(d[0]), _inverse(d[1]), _inverse(d[2])
    for i in range(solids.boxes.shape[0]):
        if solids.boxes[i, B_CASTS] != 0 and _hit_box(solids.boxes, i, o, inverse, farthest)[1] >= 0:
            return True
    for i in range(solids.cylinders.shape[0]):  # noqa: SIM110 (numba knows no any())
        if _hit_cylinder(solids.cylinders, i, o, d, farthest)[1] >= 0:
            return True
    return False


@compiled
def _box_surface(p: F64, n: F64, d: F64, index: int, axis: int, solids: Solids, out: F64) -> float:
    b = solids.boxes[index]
    material = solids.materials[int(b[B_MATERIAL])]
    n[axis] = -1.0 if d[axis] > 0 else 1.0
    first, second = (1 if axis == 0 else 0), (1 if axis == 2 else 2)
    u, v = p[first], p[second]
    if material[M_KIND] == POSTER:
        u = (u - b[first]) / (b[3 + first] - b[first])
        v = (v - b[second]) / (b[3 + second] - b[second])
        u = u if axis != 2 and d[axis] > 0 else 1 - u
    albedo(material, solids.posters, u, v, out)
    return float(material[M_GLOSS])


@compiled
def surface(p: F64, n: F64, d: F64, kind: int, index: int, face: int, solids: Solids, out: F64) -> float:
    """Normal into `n` and albedo into `out` at a point that was hit; returns its gloss."""
    n[0], n[1], n[2] = 0.0, 0.0, 0.0
    if kind == BOX:
        return _box_surface(p, n, d, index, face, solids, out)
    if kind == GROUND:
        n[2] = 1.0
        albedo(solids.materials[0], solids.posters, p[0], p[1], out)
        return float(solids.materials[0, M_GLOSS])
    c = solids.cylinders[index]
    material = solids.materials[int(c[5])]
    if face == TOP_FACE:
        n[2] = 1.0
        albedo(material, solids.posters, p[0], p[1], out)
    else:
        n[0], n[1] = (p[0] - c[0]) / c[2], (p[1] - c[1]) / c[2]
        albedo(material, solids.posters, math.atan2(n[1], n[0]) * c[2], p[2], out)
    return 0.0


@compiled
def _incoming(p: F64, n: F64, solids: Solids, light: Light, rays: tuple[int, int], out: F64) -> None:
    """Light at a point into `out`: key visibility, openness, lamps (4)."""
    towards = np.empty(3)
    out[:] = 0.0
    if n[0] * light.key[0] + n[1] * light.key[1] + n[2] * light.key[2] < 0:
        for _ in range(rays[0]):
            for a in range(3):
                towards[a] = -light.key[a] + light.soft * np.random.normal()
            out[0] += 0.0 if blocked(p, towards, solids, 60.0) else 1.0 / rays[0]
    for _ in range(rays[1]):
        x, y, z = np.random.normal(), np.random.normal(), np.random.normal()
        length = math.sqrt(x * x + y * y + z * z)
        towards[0] = x / length + n[0] * 1.02
        towards[1] = y / length + n[1] * 1.02
        towards[2] = z / length + n[2] * 1.02
        t, kind, _, _ = hit(p, towards, solids, 2.5, True)
        out[1] += (1.0 if kind == NOTHING else min(1.0, t / 2.5) * 0.8) / rays[1]
    for lamp in light.lamps:
        for a in range(3):
            towards[a] = lamp[a] - p[a]
        far = math.sqrt(towards[0] ** 2 + towards[1] ** 2 + towards[2] ** 2)
        towards /= far
        cosine = n[0] * towards[0] + n[1] * towards[1] + n[2] * towards[2]
        if cosine > 0 and not blocked(p, towards, solids, far):
            for c in range(4):
                out[2 + c] += cosine / (1 + far * far) * lamp[3 + c]


@compiled
def _mirrored(
    p: F64, n: F64, d: F64, gloss: float, solids: Solids, light: Light, wgt: float, out: F32
) -> None:
    """One bounce off a polished floor, added to `out`."""
    back = 2 * (d[0] * n[0] + d[1] * n[1] + d[2] * n[2])
    ray, at, normal, colour = np.empty(3), np.empty(3), np.empty(3), np.empty(4)
    for a in range(3):
        ray[a] = d[a] - back * n[a]
    t, kind, index, face = hit(p, ray, solids, 60.0, False)
    if kind <= GROUND:
        return
    for a in range(3):
        at[a] = p[a] + t * ray[a]
    surface(at, normal, ray, kind, index, face, solids, colour)
    steep = abs(d[2]) / math.sqrt(d[0] ** 2 + d[1] ** 2 + d[2] ** 2)
    share = gloss * (0.35 + 0.65 * (1 - steep) ** 3)
    if kind == BOX and solids.materials[int(solids.boxes[index, B_MATERIAL]), M_KIND] == LAMP:
        share *= 4.0
    for c in range(4):
        seen = 0.5 * light.above[c] + 0.5 * light.below[c] + 0.3 * light.key_colour[c]
        out[c] += wgt * share * colour[c] * seen


@compiled
def _sky(d: F64, light: Light, wgt: float, out: F32) -> None:
    length = math.sqrt(d[0] ** 2 + d[1] ** 2 + d[2] ** 2)
    cloud = value_noise(d[0] / length * 6, d[2] / length * 12) * 0.25 + 0.85
    for c in range(4):
        out[c] += wgt * light.sky[c] * (cloud - 0.35 * max(0.0, d[2] / length))


@compiled
def bake(
    position: F64, rays: F64, scale: int, solids: Solids, light: Light, samples: tuple[int, int], seed: int
) -> tuple[F32, F32, F32, F32]:
    """Ray-casts the empty view.

    Args:
        position: Of the camera.
        rays: (H * scale, W * scale, 3) of unit depth.
        scale: Samples along a pixel's edge.
        solids: What stands there.
        light: How it is lit.
        samples: Rays to the key light and into the open, for each pixel.
        seed: Of those rays.

    Returns:
        Key-lit and ambient colour (H, W, 4) linear, depth (H * scale, W * scale) metres, and where on the ground
        each pixel lies, (H, W, 2) metres, not a number where it is not ground.
    """
    high, wide = rays.shape[0] // scale, rays.shape[1] // scale
    key, ambient = np.zeros((high, wide, 4), np.float32), np.zeros((high, wide, 4), np.float32)
    depth, ground = np.empty(rays.shape[:2], np.float32), np.full((high, wide, 2), np.nan, np.float32)
    np.random.seed(seed)
    p, n, colour = np.empty(3), np.empty(3), np.zeros(4)
    lit_by, lit = np.full(wide, -1), np.zeros((wide, 6))  # light is taken once a cell and surface
    wgt = 1.0 / (scale * scale)
    for py in range(rays.shape[0]):
        for px in range(rays.shape[1]):
            d, y, x = rays[py, px], py // scale, px // scale
            cell = x // LIT_CELL
            t, kind, index, face = hit(position, d, solids, FAR, False)
            depth[py, px] = t
            if kind == NOTHING:
                _sky(d, light, wgt, ambient[y, x])
                continue
            for a in range(3):
                p[a] = position[a] + t * d[a]
            if kind == GROUND and py % scale == 0 and px % scale == 0:
                ground[y, x, 0], ground[y, x, 1] = p[0], p[1]
            gloss = surface(p, n, d, kind, index, face, solids, colour)
            for a in range(3):
                p[a] += n[a] * 0.004
            key_of = (kind * 4096 + index) * 128 + face
            if lit_by[cell] != key_of or (py % (scale * LIT_CELL) == 0 and px % (scale * LIT_CELL) == 0):
                lit_by[cell] = key_of
                _incoming(p, n, solids, light, samples, lit[cell])
            glow = kind == BOX and solids.materials[int(solids.boxes[index, B_MATERIAL]), M_KIND] == LAMP
            _add_light(colour, n, lit[cell], light, t, glow, wgt, key[y, x], ambient[y, x])
            if gloss > 0:
                _mirrored(p, n, d, gloss, solids, light, wgt, ambient[y, x])
    return key, ambient, depth, ground


@compiled
def _add_light(
    colour: F64, n: F64, lit: F64, light: Light, depth: float, glow: bool, wgt: float, key: F32, ambient: F32
) -> None:
    clear = math.exp(-depth * light.fog)
    cosine = max(0.0, -(n[0] * light.key[0] + n[1] * light.key[1] + n[2] * light.key[2]))
    up = 0.5 + 0.5 * n[2]
    for c in range(4):
        around = (
            (light.above[c] * up + light.below[c] * (1 - up)) * lit[1] + lit[2 + c] + (3.0 if glow else 0.0)
        )
        key[c] += wgt * clear * colour[c] * light.key_colour[c] * cosine * lit[0]
        ambient[c] += wgt * (clear * colour[c] * around + (1 - clear) * light.sky[c] * 0.8)
