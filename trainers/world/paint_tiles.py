"""Paints the tiles of an atlas: hair, hat, bag and prop, front and back of each."""

import numpy as np

from trainers.world.compiled import F64, U8
from trainers.world.doll import BAG, HAIR, HAT, PROP, SHEET_W, TILE_H, TILE_W, TILES
from trainers.world.dyes import Dyes
from trainers.world.looks import Look
from trainers.world.patterns import COARSE, DRAPED, noise


def paint_tiles(atlas: U8, look: Look, dyes: Dyes) -> None:
    """Hair, hat, bag and prop, front and back of each."""
    rng = np.random.default_rng([14, look.body.seed, look.outfit.seed])
    hair_nir = 70 + 0.3 * float(np.mean(dyes.hair))
    rows = (
        (dyes.hair, hair_nir, HAIR), (dyes.hat, dyes.hat_nir, HAT), (dyes.bag, dyes.bag_nir, BAG),
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
            out[..., :3], out[..., 3], out[..., 4] = np.clip(tile, 4, 250), nir, part


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
