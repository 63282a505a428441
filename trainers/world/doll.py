"""The paper doll that clothes are painted on: front or back of a body, its regions and its layers."""

from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from trainers.world.compiled import F64, U8
from trainers.world.figure import ARM_ANGLE, Figure
from trainers.world.patterns import NIR_OF_LUMINANCE

HALF_WIDTH, BOTTOM, TOP = 0.80, -0.03, 2.17  # metres that a sheet covers
SHEET_W, SHEET_H, ATLAS_W = 256, 352, 640  # texels; an atlas is front | back | tiles of the accessories
TILE_W, TILE_H = 64, 88
TILES = ("hair", "hat", "bag", "prop")
PARTS = ("background", "skin", "hair", "hat", "upper", "lower", "shoes", "bag", "prop", "face")
SKIN, HAIR, HAT, UPPER, LOWER, SHOES, BAG, PROP, FACE = range(1, 10)

Mask = NDArray[np.bool_]


@dataclass(slots=True)
class Doll:
    """One side of a body as seen from the front: regions as masks, layers to paint into; only texels that it covers.

    Attributes:
        covers: (SHEET_H, SHEET_W) the texels that there are, N; every other array is of them.
        x, z: Metres of each texel; `across` = distance from the middle.
        along, beside: On the arm: 0 at the shoulder to 1 at the wrist, and metres off its axis.
        u, v: Cloth coordinates in metres: across and down from the collar, or along the arm.
        rgb, nir, part: sRGB 0 to 255, near-infrared albedo 0 to 255, label of `PARTS`.
    """

    figure: Figure
    covers: Mask
    front: bool
    rows: Any = field(init=False)
    columns: Any = field(init=False)
    x: F64 = field(init=False)
    z: F64 = field(init=False)
    across: F64 = field(init=False)
    along: F64 = field(init=False)
    beside: F64 = field(init=False)
    u: F64 = field(init=False)
    v: F64 = field(init=False)
    arm: Mask = field(init=False)
    head: Mask = field(init=False)
    leg: Mask = field(init=False)
    torso: Mask = field(init=False)
    rgb: F64 = field(init=False)
    nir: F64 = field(init=False)
    part: U8 = field(init=False)

    def __post_init__(self) -> None:
        fig = self.figure
        self.rows, self.columns = np.nonzero(self.covers)
        self.x = (self.columns + 0.5) / SHEET_W * 2 * HALF_WIDTH - HALF_WIDTH
        self.z = TOP - (self.rows + 0.5) / SHEET_H * (TOP - BOTTOM)
        down_x, down_z = np.sin(ARM_ANGLE), -np.cos(ARM_ANGLE)
        reach = float(np.hypot(fig.wrist[0] - fig.shoulder[0], fig.wrist[2] - fig.shoulder[2]))
        self.across = np.abs(self.x)
        off_x, off_z = self.across - fig.shoulder[0], self.z - fig.shoulder[2]
        self.along = (off_x * down_x + off_z * down_z) / reach
        self.beside = off_z * down_x - off_x * down_z
        self.arm = (
            (np.abs(self.beside) - 0.085 < self.across - fig.half_width(self.z))
            & (self.across > fig.shoulder[0] - 0.01)
            & (self.z > 0.42 * fig.height)
            & (self.z < fig.shoulder[2] + 0.12)
        )
        self.head = ((self.z > fig.collar) & (self.across < 0.068)) | (self.z > 0.868 * fig.height)
        self.leg = ~self.arm & (self.z < fig.hem)
        self.torso = ~self.arm & ~self.head & ~self.leg
        self.u = np.where(self.arm, self.beside, self.x)
        self.v = np.where(self.arm, self.along * reach, fig.collar - self.z)
        self.rgb = np.zeros((len(self.x), 3))
        self.nir = np.full(len(self.x), 150.0)
        self.part = np.full(len(self.x), SKIN, np.uint8)

    def fill(self, where: Mask, rgb: Any, nir: float | F64 | None = None, part: int | None = None) -> None:
        """Paints over a region.

        Args:
            where: The region.
            rgb: One colour, or a row for every texel of the doll.
            nir: Near-infrared albedo likewise; None = a detail of what is there: it differs as in brightness.
            part: Label; None = as it was.
        """
        before = self.rgb[where].mean(1)
        self.rgb[where] = rgb[where] if isinstance(rgb, np.ndarray) and rgb.ndim == 2 else rgb
        if nir is None:
            self.nir[where] += NIR_OF_LUMINANCE * (self.rgb[where].mean(1) - before)
        else:
            self.nir[where] = nir[where] if isinstance(nir, np.ndarray) else nir
        if part is not None:
            self.part[where] = part

    def darken(self, where: Mask, by: float | F64) -> None:
        """Multiplies what a region reflects: a seam, a crease, a quilt is as deep in near infrared."""
        self.rgb[where] *= by
        self.nir[where] *= by if np.ndim(by) == 0 else np.mean(by, axis=-1)

    def on_head(self) -> tuple[F64, F64]:
        """Coordinates around the face: 1 = the edge of the head."""
        head, radii = self.figure.head, self.figure.head_radii
        return self.x / radii[0], (self.z - head[2]) / radii[2]
