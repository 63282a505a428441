"""The measures of one dressed body at rest, which the sculptor of its mesh and the painter share."""

import math
from dataclasses import dataclass, field

import numpy as np

from trainers.world.compiled import F64
from trainers.world.rig import BONES, CHEST, HEAD, PELVIS, SIDES

ARM_ANGLE = math.radians(36)  # arms stand off the body at rest, so that they can be painted apart from it
Prims = list[list[float]]


@dataclass(slots=True)
class Figure:
    """Where things are on one dressed body at rest: metres, x = the person's right, y = forward, z = up."""

    height: float
    fat: float
    shoulder: F64
    elbow: F64
    wrist: F64
    hand: F64
    hip_x: float
    hem: float
    head: F64
    head_radii: F64
    torso_z: F64
    torso: F64
    bare_torso: F64
    strap_side: int
    skirt_hem: float | None = None
    prims: Prims = field(default_factory=list)
    tables: list[F64] = field(default_factory=list)

    @property
    def ankle(self) -> float:
        """Height of the ankle."""
        return 0.042 * self.height

    @property
    def knee(self) -> float:
        """Height of the knee."""
        return 0.285 * self.height

    @property
    def waist(self) -> float:
        """Height of the waist."""
        return 0.62 * self.height

    @property
    def collar(self) -> float:
        """Height where the neck begins."""
        return 0.836 * self.height

    def half_width(self, z: F64 | float) -> F64:
        """Of the dressed torso at a height."""
        return np.asarray(np.interp(z, self.torso_z, self.torso[:, 0]))

    def half_depth(self, z: float) -> float:
        """Of the dressed torso at a height."""
        return float(np.interp(z, self.torso_z, self.torso[:, 1]))

    @property
    def feet(self) -> F64:
        """Heel and toe of the right, then of the left foot."""
        toe = 0.105 * self.height - 0.02
        return np.array([[s * self.hip_x, y, 0] for s in (1, -1) for y in (-0.08, toe)])

    def pivots(self) -> F64:
        """Joint of every bone."""
        out = np.zeros((BONES, 3))
        out[[PELVIS, CHEST, HEAD], 2] = 0.525 * self.height, self.waist, 0.845 * self.height
        out[HEAD, 1] = -0.01
        for side, _, thigh, shin, foot, upper_arm, forearm in SIDES:
            flip = np.array([side, 1, 1])
            out[thigh] = side * self.hip_x, 0, 0.515 * self.height
            out[shin] = side * self.hip_x, 0.008, self.knee
            out[foot] = side * self.hip_x, -0.012, self.ankle + 0.01
            out[upper_arm], out[forearm] = self.shoulder * flip, self.elbow * flip
        return out
