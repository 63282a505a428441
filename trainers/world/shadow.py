"""Shadows of people on the ground: marked on a grid, and laid over the empty view."""

import numpy as np

from trainers.world.compiled import F32, compiled, inlined


@compiled
def splat_shadow(
    vertices: F32,
    slope: tuple[float, float],
    corner: tuple[float, float],
    cell: float,
    cast: F32,
    contact: F32,
) -> tuple[int, int, int, int]:
    """Marks where a cloud of vertices keeps the key light, and the sky near the feet, off the ground.

    Args:
        vertices: (V, 3) of one person.
        slope: How far the key light moves in x and y per metre that it falls.
        corner: x, y of the grid's first cell.
        cell: Metres.
        cast: (h, w) grid in [0, 1] for the key light.
        contact: (h, w) grid in [0, 1] for the sky.

    Returns:
        Columns and rows of the grid from u0, v0 up to u1, v1 that hold all marks.
    """
    high, wide = cast.shape
    u0, v0, u1, v1 = wide, high, 0, 0
    for i in range(vertices.shape[0]):
        x, y, z = vertices[i, 0], vertices[i, 1], vertices[i, 2]
        u, v = int((x + slope[0] * z - corner[0]) / cell), int((y + slope[1] * z - corner[1]) / cell)
        if 0 <= u < wide and 0 <= v < high:
            cast[v, u] = 1.0
            u0, v0, u1, v1 = min(u0, u), min(v0, v), max(u1, u + 1), max(v1, v + 1)
        if z < 0.7:
            u, v = int((x - corner[0]) / cell), int((y - corner[1]) / cell)
            if 0 <= u < wide and 0 <= v < high:
                contact[v, u] = max(contact[v, u], np.float32(1 - z / 0.7))
                u0, v0, u1, v1 = min(u0, u), min(v0, v), max(u1, u + 1), max(v1, v + 1)
    return u0, v0, u1, v1


@inlined
def _between(grid: F32, u: int, v: int, fu: float, fv: float) -> float:
    """Bilinear value."""
    top = grid[v, u] * (1 - fu) + grid[v, u + 1] * fu
    return float(top * (1 - fv) + (grid[v + 1, u] * (1 - fu) + grid[v + 1, u + 1] * fu) * fv)


@compiled
def compose(
    key: F32,
    ambient: F32,
    cell_x: F32,
    cell_y: F32,
    first: tuple[int, int],
    cast: F32,
    contact: F32,
    out: F32,
) -> None:
    """The empty view with shadows on its ground, into `out`.

    Args:
        key: (h, w, 4) as `bake` made it.
        ambient: The other part of that.
        cell_x: (h, w) column of each pixel on the grid of shadows; far off where it is not ground.
        cell_y: Row.
        first: Cell of that grid at which `cast` and `contact` begin.
        cast: Strength of the shadow of the key light, in [0, 1].
        contact: Strength of the shadow near feet, in [0, 1].
        out: (h, w, 4).
    """
    high, wide = cast.shape
    for y in range(out.shape[0]):
        for x in range(out.shape[1]):
            a, b = np.float32(1), np.float32(1)
            at_u, at_v = cell_x[y, x] - first[0], cell_y[y, x] - first[1]
            if 0 <= at_u < wide - 1 and 0 <= at_v < high - 1:
                u, v = int(at_u), int(at_v)
                a = np.float32(1 - 0.85 * _between(cast, u, v, at_u - u, at_v - v))
                b = np.float32(1 - 0.45 * _between(contact, u, v, at_u - u, at_v - v))
            for c in range(4):
                out[y, x, c] = key[y, x, c] * a + ambient[y, x, c] * b
