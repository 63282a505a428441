"""Paints the head of a doll (neck, face, beard, glasses, short hair), and the tiles of hair, hat, bag and prop."""

import numpy as np

from trainers.world.compiled import F64, U8
from trainers.world.doll import (
    BAG,
    FACE,
    HAIR,
    HAT,
    PROP,
    SHEET_W,
    SKIN,
    TILE_H,
    TILE_W,
    TILES,
    UPPER,
    Doll,
    Mask,
)  # fmt: skip
from trainers.world.looks import Look
from trainers.world.patterns import COARSE, DRAPED, NIR_OF_LUMINANCE, SKIN_NIR, Dyes, noise

_HIGH_NECK = ("shirt", "suit", "coat", "jacket", "puffer", "hoodie")
_FRAMES = (22, 22, 26)
_EYE_NIR = 95.0


def paint_head(doll: Doll, look: Look, dyes: Dyes) -> None:
    """Skin, collar, then a face in front or a hairline behind."""
    skin = dyes.skin
    doll.fill(doll.head, skin, SKIN_NIR, SKIN)
    x, z = doll.on_head()
    if doll.front:
        doll.fill(doll.head & (np.hypot(x, z / 1.15) < 1), skin, part=FACE)
    if look.outfit.upper in _HIGH_NECK:
        below_chin = doll.z < doll.figure.collar + 0.022 * doll.figure.height
        around = (doll.across > 0.030) | (not doll.front) | (look.outfit.upper == "puffer")
        doll.fill(doll.head & around & below_chin, dyes.upper * 0.92, dyes.upper_nir * 0.92, UPPER)
    if doll.front:
        _face(doll, look, x, z, skin, dyes.hair)
        if look.body.beard != "none":
            _beard(doll, x, z, dyes, 0.85 if look.body.beard == "beard" else 0.35)
        if look.outfit.glasses != "none":
            _glasses(doll, x, z, dark=look.outfit.glasses == "sun")
    else:
        share = 0.04 if look.body.hair == "bald" else 0.6
        behind = doll.head & (z > -0.45)
        _grow_hair(doll, behind, dyes, share)
        doll.part[behind] = HAIR if share > 0.3 else SKIN
    if look.body.hair in ("short", "crop"):
        line = doll.head & (z > 0.55)
        _grow_hair(doll, line, dyes, 0.6)


def _grow_hair(doll: Doll, where: Mask, dyes: Dyes, share: float) -> None:
    doll.fill(
        where,
        doll.rgb * (1 - share) + dyes.hair * share,
        doll.nir * (1 - share) + dyes.hair_nir * share,
    )


def _face(doll: Doll, look: Look, x: F64, z: F64, skin: F64, hair: F64) -> None:
    man, from_eye = look.body.male, np.abs(x) - 0.40
    eye = np.hypot(from_eye / 0.21, (z - 0.02) / 0.075)
    doll.darken(eye < 1.7, 0.92)
    doll.fill(eye < 1, skin * 0.35 + np.array((38, 30, 28)) * 0.65, _EYE_NIR)
    doll.fill(np.hypot(from_eye / 0.22, (z - 0.20) / 0.045) < 1, np.minimum(hair, skin * 0.5))
    lips = skin * (0.66, 0.48, 0.48) if man else skin * 0.35 + np.array((165, 60, 66)) * 0.65
    doll.fill(np.hypot(x / (0.30 if man else 0.26), (z + 0.60) / 0.07) < 1, lips)
    doll.darken(np.hypot(x / 0.20, (z + 0.30) / 0.06) < 1, 0.80)
    doll.darken(doll.head & (z < -0.90), 0.80)
    doll.darken(np.hypot((np.abs(x) - 0.55) / 0.3, (z + 0.25) / 0.22) < 1, np.array((1.03, 0.95, 0.94)))


def _beard(doll: Doll, x: F64, z: F64, dyes: Dyes, share: float) -> None:
    mouth = (np.abs(x) < 0.28) & (np.abs(z + 0.60) < 0.09)
    where = doll.head & (z < -0.28) & (z > -1.15) & ~mouth & (np.abs(x) > 0.12 - (z + 0.28) * 0.6)
    _grow_hair(doll, where, dyes, share)


def _glasses(doll: Doll, x: F64, z: F64, dark: bool) -> None:
    lens = np.maximum(np.abs(np.abs(x) - 0.42) / 0.34, np.abs(z - 0.03) / 0.15)
    doll.fill((lens < 1) if dark else (lens < 1) & (lens > 0.72), _FRAMES, 60)
    doll.fill((np.abs(z - 0.05) < 0.03) & (np.abs(x) < 1.1) & doll.head, _FRAMES)


def paint_tiles(atlas: U8, look: Look, dyes: Dyes) -> None:
    """Hair, hat, bag and prop, front and back of each."""
    rng = np.random.default_rng([14, look.body.seed, look.outfit.seed])
    rows = (
        (dyes.hair, dyes.hair_nir, HAIR), (dyes.hat, dyes.hat_nir, HAT), (dyes.bag, dyes.bag_nir, BAG),
        (dyes.prop, dyes.prop_nir, PROP),
    )  # fmt: skip
    y, x = np.mgrid[0:TILE_H, 0:TILE_W] / float(TILE_H)
    for row, (name, (colour, nir, part)) in enumerate(zip(TILES, rows, strict=True)):
        for side in (0, 1):
            grain = (0.10 if name == "hair" else 0.05) * noise(
                DRAPED if name == "hair" else COARSE, x, y, 0.006, rng
            )
            tile = np.ones((TILE_H, TILE_W, 3)) * colour * (1 + grain)[..., None]
            if name == "hat":
                _hat_tile(tile, look.outfit.hat, side)
            elif name == "bag":
                _bag_tile(tile, look.outfit.bag, side, x, y, dyes)
            top, left = row * TILE_H, 2 * SHEET_W + side * TILE_W
            out = atlas[top : top + TILE_H, left : left + TILE_W]
            details = NIR_OF_LUMINANCE * (tile - colour).mean(-1)
            out[..., :3], out[..., 3], out[..., 4] = (
                np.clip(tile, 4, 250), np.clip(nir + details, 4, 250), part,
            )  # fmt: skip


def _hat_tile(tile: F64, hat: str, side: int) -> None:
    if hat == "cap" and side == 0:
        y, x = np.mgrid[0:TILE_H, 0:TILE_W] / float(TILE_H)
        tile[np.hypot(x - 0.36, y - 0.42) < 0.09] = 240 if tile.mean() < 128 else 40
    elif hat == "beanie":
        tile[:, ::4] *= 0.88
        tile[62:] *= 0.85


def _bag_tile(tile: F64, bag: str, side: int, x: F64, y: F64, dyes: Dyes) -> None:
    if bag == "backpack":
        if side == 1:
            tile[np.abs(y - 0.62) < 0.008] *= 0.5
            tile[np.abs(y - 0.30) < 0.008] *= 0.6
            tile[np.hypot(x - 0.36, y - 0.42) < 0.07] = dyes.upper2
    elif bag == "suitcase":
        tile[:, ::7] *= 0.75
    elif bag == "shopping":
        tile[np.hypot(x - 0.36, y - 0.7) < 0.13] = 235 - dyes.bag * 0.8
    else:
        tile[np.abs(y - 0.45) < 0.012] *= 0.6
