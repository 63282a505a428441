"""A pinhole camera with one radial term: world to pixels and back."""

import math
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from trainers.world.compiled import F32, F64, compiled

NEAREST = 0.05  # metres: nothing is projected from nearer to the lens
WIDEST = (
    2.0  # squared tangent of the angle from the axis where the radial polynomial is held, lest it folds back
)


@dataclass(frozen=True, slots=True)
class Mount:
    """Where a camera hangs and looks, metres, and its horizontal field of view in degrees."""

    position: tuple[float, float, float]
    target: tuple[float, float, float]
    hfov_deg: float


@dataclass(slots=True)
class Camera:
    """A mount at a picture size. Depth everywhere = metres along the optical axis.

    Attributes:
        rows: (3, 3) right, down, forward in the world.
        focal: Pixels.
        k1: Radial term: tangent r becomes r (1 + k1 r r).
    """

    mount: Mount
    width: int
    height: int
    k1: float = -0.06
    position: F64 = field(init=False)
    rows: F64 = field(init=False)
    focal: float = field(init=False)

    def __post_init__(self) -> None:
        self.position = np.array(self.mount.position, np.float64)
        forward = np.array(self.mount.target, np.float64) - self.position
        forward /= np.linalg.norm(forward)
        right = np.cross(forward, [0, 0, 1.0])
        right /= np.linalg.norm(right)
        self.rows = np.stack([right, np.cross(forward, right), forward])
        self.focal = self.width / 2 / math.tan(math.radians(self.mount.hfov_deg) / 2)

    def project(self, points: Any) -> F64:
        """World points (..., 3) to (..., 3): pixel x, pixel y, depth."""
        local = (np.asarray(points, np.float64) - self.position) @ self.rows.T
        depth = np.maximum(local[..., 2], NEAREST)
        x, y = local[..., 0] / depth, local[..., 1] / depth
        s = 1 + self.k1 * np.minimum(x * x + y * y, WIDEST)
        return np.stack(
            [x * s * self.focal + self.width / 2, y * s * self.focal + self.height / 2, local[..., 2]], -1
        )

    def rays(self, u: F64, v: F64) -> F64:
        """Directions (..., 3) of pixels, of unit depth, so that a distance along them is a depth."""
        distorted_x, distorted_y = (u - self.width / 2) / self.focal, (v - self.height / 2) / self.focal
        x, y = distorted_x, distorted_y
        for _ in range(6):
            s = 1 + self.k1 * (x * x + y * y)
            x, y = distorted_x / s, distorted_y / s
        return np.asarray(np.stack([x, y, np.ones_like(x)], -1) @ self.rows)


@compiled
def project_vertices(
    vertices: F32,
    position: F64,
    rows: F64,
    focal: float,
    size: tuple[int, int],
    k1: float,
    scale: int,
    out: F32,
) -> tuple[float, float, float, float]:
    """`Camera.project` for many vertices, in samples (`scale` to a pixel), into `out` (V, 3); returns their bounds."""
    left, top, right, low = 1e9, 1e9, -1e9, -1e9
    for i in range(vertices.shape[0]):
        x, y, z = vertices[i, 0] - position[0], vertices[i, 1] - position[1], vertices[i, 2] - position[2]
        depth = max(NEAREST, rows[2, 0] * x + rows[2, 1] * y + rows[2, 2] * z)
        cx = (rows[0, 0] * x + rows[0, 1] * y + rows[0, 2] * z) / depth
        cy = (rows[1, 0] * x + rows[1, 1] * y + rows[1, 2] * z) / depth
        s = 1 + k1 * min(cx * cx + cy * cy, WIDEST)
        u, v = (cx * s * focal + size[0] / 2) * scale, (cy * s * focal + size[1] / 2) * scale
        left, top, right, low = min(left, u), min(top, v), max(right, u), max(low, v)
        out[i, 0], out[i, 1], out[i, 2] = u, v, depth
    return left, top, right, low
