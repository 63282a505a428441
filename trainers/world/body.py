"""A dressed body as primitives: proportions from height, build and age, thickness from the clothes."""

import math

import numpy as np

from trainers.world.compiled import F64
from trainers.world.figure import ARM_ANGLE, Figure
from trainers.world.looks import Body, Look
from trainers.world.rig import (
    CHEST,
    HEAD,
    PELVIS,
    SIDES,
)
from trainers.world.sdf import SKIRT_BONE, TORSO_BONE, box, capsule, ellipsoid, loft
from trainers.world.wardrobe import LOWER_THICKNESS, UPPERS

TABLE_ROWS = 48

# Slices of the torso: height, half width of men and women, half depth, middle, how much fat goes there.
_LEVELS = np.array([0.45, 0.49, 0.53, 0.58, 0.625, 0.69, 0.745, 0.79, 0.815, 0.835, 0.852, 0.87])
_WIDE_M = np.array([0.078, 0.092, 0.095, 0.090, 0.086, 0.094, 0.100, 0.096, 0.078, 0.050, 0.034, 0.032])
_WIDE_F = np.array([0.080, 0.097, 0.102, 0.090, 0.075, 0.080, 0.087, 0.085, 0.070, 0.045, 0.030, 0.028])
_DEEP = np.array([0.062, 0.072, 0.071, 0.064, 0.058, 0.063, 0.068, 0.064, 0.054, 0.044, 0.034, 0.032])
_MIDDLE = np.array([-0.008, -0.010, -0.008, 0, 0.004, 0.006, 0.004, -0.004, -0.010, -0.012, -0.010, -0.004])
_FAT = np.array([0.8, 0.9, 1.0, 1.25, 1.4, 1.0, 0.7, 0.5, 0.4, 0.5, 0.6, 0.5])


def build_figure(look: Look) -> Figure:
    """The body under its clothes, as primitives and the measures that the painter needs."""
    body, outfit = look.body, look.outfit
    rng, cut = np.random.default_rng(body.seed), np.random.default_rng(outfit.seed)
    figure = _measures(look, rng, cut)
    figure.tables.append(figure.torso)
    height, upper = figure.height, UPPERS[outfit.upper]
    figure.prims.append(loft(0, 0.45 * height, 0.87 * height, power=2.4, blend=0.02, bone=TORSO_BONE))
    if not body.male and body.age != "child":
        bust = np.array([0.040 * height, 0.036 * height + upper.body * 0.5, 0.042 * height])
        for s in (1, -1):
            at = np.array([s * 0.043 * height, 0.052 * height + 0.4 * upper.body, 0.727 * height])
            figure.prims.append(ellipsoid(at, bust, blend=0.035, bone=CHEST))
    widened = float(cut.choice([0, 0.006, 0.018])) if outfit.lower in ("trousers", "jeans") else 0.0
    for side in SIDES:
        _leg(figure, look, side, widened)
        _arm(figure, look, side)
    _tails(figure, look, cut)
    _head(figure, look)
    return figure


def _measures(look: Look, rng: np.random.Generator, cut: np.random.Generator) -> Figure:
    body, upper = look.body, UPPERS[look.outfit.upper]
    height, child = body.height, body.age == "child"
    fat = {"slim": -0.09, "average": 0.02, "heavy": 0.22}[body.shape] + float(rng.uniform(-0.03, 0.05))
    broad = (0.103 if body.male else 0.091) + float(rng.uniform(-0.004, 0.006))
    down = np.array([math.sin(ARM_ANGLE), 0, -math.cos(ARM_ANGLE)])
    shoulder = np.array([height * broad * (0.94 if child else 1.0), -0.01, 0.803 * height])
    elbow = shoulder + 0.178 * height * (down + (0, -0.01, 0))
    wrist = elbow + 0.148 * height * (down + (0, 0.08, 0))
    hem = float(cut.uniform(*upper.hem))
    scale = 1.16 if child else 1.0
    radii = np.array([0.0435 * (1 if body.male else 0.96), 0.0535, 0.0655]) * height * scale
    levels = np.linspace(0.45, 0.87, TABLE_ROWS)
    bare = _bare_torso(body, fat, levels)
    return Figure(
        height=height,
        fat=fat,
        shoulder=shoulder,
        elbow=elbow,
        wrist=wrist,
        hand=wrist + 0.055 * height * (down + (0, 0.1, 0)),
        hip_x=height * 0.05 + 0.012,
        hem=hem * height,
        head=np.array([0, 0.012 * height, height - 0.065 * height * scale]),
        head_radii=radii,
        torso_z=levels * height,
        torso=_dressed(bare, look, levels, hem),
        bare_torso=bare,
        strap_side=1 if cut.random() < 0.5 else -1,
    )


def _smooth(values: F64, levels: F64) -> F64:
    padded = np.pad(np.interp(levels, _LEVELS, values), 2, "edge")
    return np.convolve(padded, np.ones(5) / 5, "valid")


def _bare_torso(body: Body, fat: float, levels: F64) -> F64:
    more = np.clip(fat, -0.1, 0.4) * _smooth(_FAT, levels)
    wide = _smooth(_WIDE_M if body.male else _WIDE_F, levels) * (1 + 0.75 * more)
    deep = _smooth(_DEEP, levels) * (1 + 1.25 * more)
    middle = _smooth(_MIDDLE, levels) + 0.028 * np.clip(more, 0, 1)
    return np.stack([wide, deep, middle], 1) * body.height


def _dressed(bare: F64, look: Look, levels: F64, hem: float) -> F64:
    upper = UPPERS[look.outfit.upper]
    covered = ((levels > hem) & (levels < 0.85)).astype(np.float64)
    ribbed = look.outfit.upper in ("hoodie", "puffer", "sweater")
    flare = np.clip((0.60 - levels) / 0.1, 0, 1) * covered * (-0.004 if ribbed else 0.010)
    under = np.where(levels <= hem, LOWER_THICKNESS[look.outfit.lower] * 0.6, 0)
    more = upper.body * covered + flare + under
    return bare + np.stack([more, more - 0.2 * flare, np.zeros_like(more)], 1)


def _leg(
    figure: Figure, look: Look, side: tuple[int, float, int, int, int, int, int], widened: float
) -> None:
    s, _, thigh, shin, foot, _, _ = side
    outfit, height, hip_x = look.outfit, figure.height, figure.hip_x
    limb, loose = 1 + figure.fat * 0.55, LOWER_THICKNESS[outfit.lower]
    bare = outfit.upper == "dress" or outfit.lower == "skirt"
    shorts = outfit.lower == "shorts"
    below = 0.0 if bare or shorts else loose
    seat = np.array([s * 0.045 * height, -0.052 * height, 0.505 * height])
    hip = np.array([s * hip_x, 0, 0.50 * height])
    knee = np.array([s * (hip_x + 0.006), 0.012, figure.knee])
    ankle = np.array([s * (hip_x + 0.010), -0.012, figure.ankle + 0.015])
    toe = 0.105 * height
    boots = outfit.shoes == "boots"
    figure.prims += [
        ellipsoid(seat, np.array([0.048, 0.040, 0.055]) * height, blend=0.04, bone=PELVIS),
        capsule(
            hip, knee, 0.0525 * height * limb, 0.0315 * height * limb, aspect=1.06, bone=thigh,
            cut=-1 if bare else (0.82 if shorts else 2.0), offset=loose,
        ),
        capsule(
            knee, ankle, 0.03 * height * limb + below, 0.0215 * height + below * 1.25 + widened, blend=0.02,
            bone=shin, bulge=0.006 if below == 0 or outfit.lower == "leggings" else 0.002,
        ),
        capsule(
            np.array([s * (hip_x + 0.012), -0.045, 0.030]), np.array([s * (hip_x + 0.022), toe - 0.025, 0.022]),
            0.036 + 0.004 * boots, 0.030, blend=0.02, bone=foot,
        ),
        box(
            np.array([s * (hip_x + 0.017), toe / 2 - 0.045, 0.012]), np.array([0.040, toe / 2 + 0.045, 0.013]),
            edge=0.012, blend=0.012, bone=foot,
        ),
    ]  # fmt: skip
    if boots:
        top, bottom = (np.array([s * (hip_x + x), -0.012, z]) for x, z in ((0.011, 0.05), (0.008, 0.17)))
        figure.prims.append(capsule(top, bottom, 0.046, 0.050, blend=0.015, bone=shin))


def _arm(figure: Figure, look: Look, side: tuple[int, float, int, int, int, int, int]) -> None:
    flip, upper_arm, forearm = np.array([side[0], 1, 1]), side[5], side[6]
    upper, sleeve = UPPERS[look.outfit.upper], look.outfit.sleeve
    height, limb = figure.height, 1 + figure.fat * 0.55
    padding = upper.body * 0.5 * (sleeve > 0)
    below = upper.arm if sleeve > 1 else 0.0
    radii = np.array([0.033 * limb, 0.034, 0.033]) * height + np.array([1.2, 1, 1]) * padding
    joint = figure.shoulder + (-0.006, 0, -0.004)
    finger = figure.hand + 0.02 * (figure.hand - figure.wrist) / np.linalg.norm(figure.hand - figure.wrist)
    thumb = figure.wrist + (-0.015, 0.025, -0.03), figure.wrist + (-0.010, 0.055, -0.075)
    figure.prims += [
        ellipsoid(joint * flip, radii, blend=0.045, bone=upper_arm),
        capsule(
            figure.shoulder * flip, figure.elbow * flip, 0.029 * height * limb, 0.0228 * height * limb,
            bone=upper_arm, cut=2 if sleeve > 1 else sleeve * 1.9, offset=upper.arm,
        ),
        capsule(
            figure.elbow * flip, figure.wrist * flip, 0.0232 * height * limb + below, 0.0165 * height + below,
            blend=0.02, bone=forearm,
        ),
        capsule(figure.wrist * flip, finger * flip, 0.022, 0.026, aspect=1.25, blend=0.014, bone=forearm),
        capsule(thumb[0] * flip, thumb[1] * flip, 0.011, 0.010, blend=0.012, bone=forearm),
    ]  # fmt: skip


def _tails(figure: Figure, look: Look, cut: np.random.Generator) -> None:
    """What hangs below the hips as one piece: dress, skirt, coat tails."""
    outfit, upper, height = look.outfit, UPPERS[look.outfit.upper], figure.height
    if upper.flare is None and outfit.lower != "skirt":
        return
    low = figure.hem
    if outfit.lower == "skirt":
        skirt = max(0.18, 0.50 - outfit.lower_length) * height
        low = min(skirt, figure.hem) if upper.flare is not None else skirt
    if low >= 0.47 * height:
        return
    flare = float(cut.uniform(*(upper.flare or (0.1, 0.7))))
    loose = upper.body if upper.flare is not None and outfit.upper != "dress" else 0.012
    z = np.linspace(low, 0.60 * height, TABLE_ROWS)
    at = np.maximum(z, 0.53 * height)
    below = np.clip(0.53 * height - z, 0, None)
    wide = np.interp(at, figure.torso_z, figure.bare_torso[:, 0]) + loose + below * flare * 0.55
    deep = np.interp(at, figure.torso_z, figure.bare_torso[:, 1]) + loose + below * flare * 0.5 + 0.01
    middle = np.interp(np.maximum(z, 0.5 * height), figure.torso_z, figure.bare_torso[:, 2])
    figure.tables.append(np.stack([wide, deep, middle], 1))
    figure.prims.append(loft(1, low, 0.60 * height, power=2.1, blend=0.015, bone=SKIRT_BONE))
    figure.skirt_hem = low


def _head(figure: Figure, look: Look) -> None:
    height, head, (wide, deep, tall) = figure.height, figure.head, figure.head_radii
    upper, man, fat = UPPERS[look.outfit.upper], look.body.male, figure.fat
    shoulder, scale = 0.803 * height, tall / (0.0655 * height)
    neck = 0.033 * height * (1 + fat * 0.4) * (1 if man else 0.85)
    figure.prims.append(
        capsule(
            np.array([0, -0.012 * height, shoulder + 0.01 * height]), head + (0, 0.004 - head[1], -0.3 * tall),
            neck, 0.031 * height * (1 if man else 0.86), blend=0.02, bone=HEAD,
        )
    )  # fmt: skip
    for s in (1, -1):
        figure.prims.append(
            capsule(
                np.array([s * 0.018, -0.016, 0.848]) * height,
                np.array([s * figure.shoulder[0] * 0.86, -0.014 * height, 0.816 * height]),
                0.022 * height, 0.021 * height + upper.body * 0.5, bone=CHEST,
            )
        )  # fmt: skip
    jaw = np.array([wide * (0.80 if man else 0.74) * (1 + 0.3 * max(fat, 0)), deep * 0.78, tall * 0.80])
    nose = head + (0, deep * 0.93, 0.004), head + (0, deep * 1.10, -0.028 * scale)
    figure.prims += [
        ellipsoid(head + (0, -0.006, 0.008), np.array([wide, deep, tall * 0.93]), blend=0.02, bone=HEAD),
        ellipsoid(head + (0, 0.016, -0.030 * scale), jaw, bone=HEAD),
        capsule(nose[0], nose[1], 0.010, 0.014, blend=0.012, bone=HEAD),
        *(
            ellipsoid(
                head + (s * wide, -0.008, -0.010), np.array([0.010, 0.018, 0.028]), blend=0.008, bone=HEAD
            )
            for s in (1, -1)
        ),
    ]
    if upper.collar:
        ring = [
            np.array([0, y * height, shoulder + z * height])
            for y, z in ((-0.014, 0.022), (-0.008, upper.collar))
        ]
        thick = 0.041 * height + upper.body * 0.25
        figure.prims.append(capsule(ring[0], ring[1], thick, thick - 0.001 * height, blend=0.012, bone=CHEST))
    if look.outfit.upper == "hoodie":
        z = shoulder + 0.022 * height
        hood = np.array([0, -0.062 * height, shoulder + 0.005 * height])
        figure.prims += [
            ellipsoid(hood, np.array([0.068, 0.034, 0.036]) * height, blend=0.02, bone=CHEST),
            capsule(
                np.array([-0.04 * height, -0.01 * height, z]), np.array([0.04 * height, -0.01 * height, z]),
                0.026 * height, 0.026 * height, aspect=1.4, blend=0.02, bone=CHEST,
            ),
        ]  # fmt: skip
