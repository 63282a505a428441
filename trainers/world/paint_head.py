"""Paints the head of a doll: neck, face, beard, glasses, and hair that is too short for a mesh."""

import numpy as np

from trainers.world.compiled import F64
from trainers.world.doll import HAIR, SKIN, UPPER, Doll
from trainers.world.looks import Look

_HIGH_NECK = ("shirt", "suit", "coat", "jacket", "puffer", "hoodie")
_FRAMES = (22, 22, 26)


def paint_head(doll: Doll, look: Look, skin: F64, hair: F64, upper: F64, upper_nir: float) -> None:
    """Skin, collar, then a face in front or a hairline behind."""
    doll.fill(doll.head, skin, 175, SKIN)
    if look.outfit.upper in _HIGH_NECK:
        below_chin = doll.z < doll.figure.collar + 0.022 * doll.figure.height
        around = (doll.across > 0.030) | (not doll.front) | (look.outfit.upper == "puffer")
        doll.fill(doll.head & around & below_chin, upper * 0.92, upper_nir, UPPER)
    x, z = doll.on_head()
    if doll.front:
        _face(doll, look, x, z, skin, hair)
        if look.body.beard != "none":
            _beard(doll, x, z, hair, 0.85 if look.body.beard == "beard" else 0.35)
        if look.outfit.glasses != "none":
            _glasses(doll, x, z, dark=look.outfit.glasses == "sun")
    else:
        share = 0.04 if look.body.hair == "bald" else 0.6
        behind = doll.head & (z > -0.45)
        doll.rgb[behind] = doll.rgb[behind] * (1 - share) + hair * share
        doll.part[behind] = HAIR if share > 0.3 else SKIN
    if look.body.hair in ("short", "crop"):
        line = doll.head & (z > 0.55)
        doll.rgb[line] = doll.rgb[line] * 0.4 + hair * 0.6


def _face(doll: Doll, look: Look, x: F64, z: F64, skin: F64, hair: F64) -> None:
    man, from_eye = look.body.male, np.abs(x) - 0.40
    eye = np.hypot(from_eye / 0.21, (z - 0.02) / 0.075)
    doll.darken(eye < 1.7, 0.92)
    doll.fill(eye < 1, skin * 0.35 + np.array((38, 30, 28)) * 0.65)
    doll.fill(np.hypot(from_eye / 0.22, (z - 0.20) / 0.045) < 1, np.minimum(hair, skin * 0.5))
    lips = skin * (0.66, 0.48, 0.48) if man else skin * 0.35 + np.array((165, 60, 66)) * 0.65
    doll.fill(np.hypot(x / (0.30 if man else 0.26), (z + 0.60) / 0.07) < 1, lips)
    doll.darken(np.hypot(x / 0.20, (z + 0.30) / 0.06) < 1, 0.80)
    doll.darken(doll.head & (z < -0.90), 0.80)
    doll.darken(np.hypot((np.abs(x) - 0.55) / 0.3, (z + 0.25) / 0.22) < 1, np.array((1.03, 0.95, 0.94)))


def _beard(doll: Doll, x: F64, z: F64, hair: F64, share: float) -> None:
    mouth = (np.abs(x) < 0.28) & (np.abs(z + 0.60) < 0.09)
    where = doll.head & (z < -0.28) & (z > -1.15) & ~mouth & (np.abs(x) > 0.12 - (z + 0.28) * 0.6)
    doll.rgb[where] = doll.rgb[where] * (1 - share) + hair * share


def _glasses(doll: Doll, x: F64, z: F64, dark: bool) -> None:
    lens = np.maximum(np.abs(np.abs(x) - 0.42) / 0.34, np.abs(z - 0.03) / 0.15)
    doll.fill((lens < 1) if dark else (lens < 1) & (lens > 0.72), _FRAMES, 60)
    doll.fill((np.abs(z - 0.05) < 0.03) & (np.abs(x) < 1.1) & doll.head, _FRAMES)
