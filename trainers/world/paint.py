"""Paints a look: an atlas of colour, near infrared and part labels, front and back, and accessory tiles."""

import cv2
import numpy as np

from trainers.world.compiled import F64, U8
from trainers.world.doll import (
    ATLAS_W,
    BAG,
    BOTTOM,
    LOWER,
    SHEET_H,
    SHEET_W,
    SHOES,
    SKIN,
    TOP,
    UPPER,
    Doll,
    Mask,
)  # fmt: skip
from trainers.world.figure import Figure
from trainers.world.looks import Look
from trainers.world.paint_details import paint_head, paint_tiles
from trainers.world.patterns import (
    CLOUDY,
    COARSE,
    DRAPED,
    FINE,
    SKIN_NIR,
    WIDE,
    Dyes,
    cloth,
    dye,
    noise,
    tint,
)
from trainers.world.wardrobe import COLOURS, UPPERS

REFLECTIVE = (205, 208, 205)


def paint(look: Look, figure: Figure, covers: Mask) -> U8:
    """The atlas (SHEET_H, ATLAS_W, 5): sRGB, near-infrared albedo, part label.

    Args:
        look: What to paint.
        figure: On whom.
        covers: (SHEET_H, SHEET_W) texels that the body's mesh comes near; the others stay black.
    """
    dyes = dye(look)
    atlas = np.zeros((SHEET_H, ATLAS_W, 5), np.uint8)
    for side in (0, 1):
        doll = Doll(figure, covers, front=side == 0)
        doll.rgb[:] = dyes.skin
        _lower(doll, look, dyes)
        _shoes(doll, look, dyes)
        _upper(doll, look, dyes)
        paint_head(doll, look, dyes)
        _straps(doll, look, dyes)
        _folds(doll, look, dyes, side)
        columns = doll.columns + side * SHEET_W
        atlas[doll.rows, columns, :3] = np.clip(doll.rgb, 4, 250)
        atlas[doll.rows, columns, 3] = np.clip(doll.nir, 4, 250)
        atlas[doll.rows, columns, 4] = doll.part
    paint_tiles(atlas, look, dyes)
    return atlas


def _lower(doll: Doll, look: Look, dyes: Dyes) -> None:
    outfit, fig = look.outfit, doll.figure
    if outfit.lower == "none":
        return
    rng = np.random.default_rng([8, dyes.seed])
    ends = {"shorts": 0.355 * fig.height, "skirt": fig.skirt_hem or 0.3 * fig.height}
    worn = ~doll.arm & ~doll.head & (doll.z < 0.64 * fig.height)
    worn &= doll.z > ends.get(outfit.lower, fig.ankle + 0.012)
    second = tint(COLOURS[outfit.upper_colour2], rng)
    pattern = "solid" if outfit.lower_pattern == "sidestripe" else outfit.lower_pattern
    colour = cloth(pattern, doll.x, doll.z, dyes.lower, second, rng)
    doll.fill(worn, dyes.lower, dyes.lower_nir, LOWER)
    doll.fill(worn, colour)
    from_leg = doll.across - fig.hip_x
    if outfit.lower == "jeans":
        _denim(doll, worn, from_leg, float(rng.uniform(0, 45)))
    if outfit.lower_pattern == "sidestripe":
        doll.fill(worn & (from_leg > 0.045) & (from_leg < 0.068), 235 - 0.8 * dyes.lower)
    if outfit.lower == "trousers" and doll.front:
        doll.darken(worn & (np.abs(from_leg) < 0.004) & (doll.z < 0.45 * fig.height), 0.82)
    doll.darken(worn & (doll.across < 0.012) & (doll.z < 0.49 * fig.height), 0.7)


def _denim(doll: Doll, worn: Mask, from_leg: F64, fade: float) -> None:
    """Faded thighs, seams, back pockets."""
    height = doll.figure.height
    faded = np.exp(-(((from_leg - 0.005) / 0.05) ** 2)) * np.clip((doll.z - 0.18 * height) / 0.3, 0, 1)
    doll.fill(worn, doll.rgb + (faded * fade * (1 if doll.front else 0.5))[:, None])
    doll.darken(worn & (np.abs(from_leg - 0.065) < 0.006), 0.8)
    if not doll.front:
        dx, dz = np.abs(from_leg - 0.015), np.abs(doll.z - 0.515 * height)
        rim = (dx < 0.05) & (dz < 0.055) & ~((dx < 0.044) & (dz < 0.048))
        doll.darken(worn & rim, 1.25)


def _shoes(doll: Doll, look: Look, dyes: Dyes) -> None:
    outfit, fig, rng = look.outfit, doll.figure, np.random.default_rng([9, dyes.seed])
    sneakers, boots = outfit.shoes == "sneakers", outfit.shoes == "boots"
    bare_shin = outfit.lower in ("shorts", "skirt", "leggings", "none")
    if (boots or bare_shin) and rng.random() < 0.6:
        sock = (doll.z < fig.ankle + 0.05) & ~doll.arm
        doll.fill(sock, (225, 225, 222) if sneakers else (40, 40, 44))
    shoe = (doll.z < fig.ankle + (0.10 if boots else 0.012)) & ~doll.arm
    doll.fill(shoe, dyes.shoes, dyes.shoes_nir, SHOES)
    if sneakers:
        bright = float(np.mean(dyes.shoes))
        doll.fill((doll.z < 0.022) & ~doll.arm, (215, 213, 208) if bright < 200 else (190, 185, 178))
        if doll.front:
            laces = (np.abs(doll.across - fig.hip_x - 0.015) < 0.014) & (doll.z > 0.045) & (doll.z < 0.075)
            doll.fill(laces, 240 if bright < 128 else 150)


def _upper(doll: Doll, look: Look, dyes: Dyes) -> None:
    outfit, fig, rng = look.outfit, doll.figure, np.random.default_rng([10, dyes.seed])
    garment, pattern = UPPERS[outfit.upper], outfit.upper_pattern
    worn = doll.torso.copy()
    if outfit.sleeve > 0:
        worn |= doll.arm & (doll.along < (1.02 if outfit.sleeve > 1 else outfit.sleeve))
    else:
        worn &= ~((doll.across > fig.shoulder[0] * 0.74) & (doll.z > 0.803 * fig.height - 0.05))
    if garment.flare is not None:
        worn |= ~doll.arm & ~doll.head & (doll.z > fig.hem)
    colour = cloth(pattern, doll.u, doll.v, dyes.upper, dyes.upper2, rng)
    if pattern == "twotone":
        colour[(doll.v > 0.30) & ~doll.arm] = dyes.upper2
    elif pattern == "raglan":
        colour[doll.arm | (doll.across > fig.shoulder[0] * 0.95)] = dyes.upper2
    elif pattern in ("logo", "text"):
        colour[_print_on_chest(doll, pattern, dyes.seed) & doll.torso] = dyes.upper2
    far, whole = np.abs(colour - dyes.upper).sum(-1), np.abs(dyes.upper2 - dyes.upper).sum()
    printed = np.minimum(1, far / max(whole, 60))
    doll.fill(worn, colour, dyes.upper_nir + printed * (dyes.upper2_nir - dyes.upper_nir), UPPER)
    if doll.front and garment.opens:
        _opening(doll, look, dyes, worn, np.random.default_rng([11, dyes.seed]))
    _trimmings(doll, look, dyes, worn)
    if garment.neckline:
        _neckline(doll, dyes, worn, garment.neckline, wide=outfit.upper == "tank")
    doll.darken(worn & (np.abs(doll.z - fig.hem - 0.010) < 0.010) & ~doll.arm, 0.80)
    if outfit.sleeve > 0:
        doll.darken(doll.arm & (np.abs(doll.along - min(outfit.sleeve, 1.0) + 0.02) < 0.018), 0.80)


def _print_on_chest(doll: Doll, pattern: str, seed: int) -> Mask:
    """A shape or letters; on the back only now and then."""
    rng = np.random.default_rng([12, seed])
    ink = np.zeros(doll.covers.shape, np.uint8)
    if not doll.front and rng.random() > 0.25:
        return np.zeros(len(doll.x), bool)
    x, y = SHEET_W // 2, int((TOP - (0.803 * doll.figure.height - 0.15)) / (TOP - BOTTOM) * SHEET_H)
    if pattern == "text":
        word = "".join(rng.choice(list("ABDEHKNORSTUX"), int(rng.integers(3, 6))))
        cv2.putText(ink, word, (x - 7 * len(word), y + 6), cv2.FONT_HERSHEY_DUPLEX, 0.7, 255, 2)
        cv2.putText(ink, word[::-1], (x - 5 * len(word), y + 18), cv2.FONT_HERSHEY_DUPLEX, 0.4, 255, 1)
    else:
        _emblem(ink, int(rng.integers(5)), x, y, int(rng.integers(11, 19)))
    return np.asarray((ink[:, ::-1] if doll.front else ink)[doll.rows, doll.columns] > 0)


def _emblem(ink: U8, shape: int, x: int, y: int, r: int) -> None:
    if shape == 0:
        cv2.circle(ink, (x, y + 5), r, 255, -1)
    elif shape == 1:
        cv2.rectangle(ink, (x - r, y - r + 6), (x + r, y + r), 255, -1)
    elif shape == 2:
        cv2.fillPoly(ink, [np.array([[x, y - r + 4], [x + r, y + r], [x - r, y + r]])], 255)
    elif shape == 3:
        cv2.circle(ink, (x, y + 5), r, 255, 5)
    else:
        cv2.line(ink, (x - r - 6, y + 4), (x + r + 6, y + 4), 255, 9)


def _opening(doll: Doll, look: Look, dyes: Dyes, worn: Mask, rng: np.random.Generator) -> None:
    """Zip or buttons, and what is worn below where it stands open."""
    upper, below = look.outfit.upper, doll.figure.collar - doll.z
    inner = tint(COLOURS[str(rng.choice(["white", "white", "grey", "black", "light blue"]))], rng)
    gap = np.zeros_like(below)
    if upper == "hivis":
        gap = np.clip(0.06 - below * 0.2, 0, 1)
    elif upper == "suit" or rng.random() < 0.55:
        hangs_open = upper in ("jacket", "coat")
        gap = 0.055 + 0.02 * np.sin(below * 5) if hangs_open else np.clip(0.075 - below * 0.26, 0, 1)
    doll.fill(doll.torso & (doll.across < gap), inner)
    if upper == "suit":
        tie = doll.torso & (doll.across < np.minimum(0.016 + 0.01 * below, gap))
        doll.fill(tie, tint(COLOURS[str(rng.choice(["red", "navy blue", "black", "purple"]))], rng))
        doll.darken(doll.torso & (np.abs(doll.across - gap - 0.012) < 0.008) & (gap > 0.005), 0.72)
    doll.darken(worn & ~doll.arm & (np.abs(doll.across - gap) < 0.007), 0.5 if upper == "jacket" else 0.62)


def _trimmings(doll: Doll, look: Look, dyes: Dyes, worn: Mask) -> None:
    """What a garment of this kind has on it."""
    upper, height = look.outfit.upper, doll.figure.height
    if upper == "shirt" and doll.front:
        placket = doll.torso & (doll.across < 0.010)
        doll.darken(placket, 0.86)
        doll.fill(placket, doll.rgb + (18 if np.mean(dyes.upper) < 80 else 0))
    elif upper == "hoodie" and doll.front:
        dz = np.abs(doll.z - 0.585 * height)
        pouch = (doll.across < 0.11) & (dz < 0.075) & ~((doll.across < 0.10) & (dz < 0.068))
        doll.darken(doll.torso & pouch, 0.75)
        cord = doll.torso & (np.abs(doll.across - 0.03) < 0.005) & (doll.z > 0.803 * height - 0.16)
        doll.fill(cord, doll.rgb * 0.4 + 130)
    elif upper == "puffer":
        quilt = 0.70 + 0.42 * np.sin(np.pi * (doll.v % 0.085) / 0.085) ** 0.6
        doll.darken(worn, quilt[worn, None])
    elif upper == "hivis":
        for low, high in ((0.30, 0.35), (0.42, 0.47)):
            doll.fill(doll.torso & (doll.v > low) & (doll.v < high), REFLECTIVE, 250)
        doll.fill(doll.torso & (np.abs(doll.across - 0.10) < 0.022) & (doll.v < 0.42), REFLECTIVE, 250)
        doll.fill(doll.arm & (doll.along < 1.02), dyes.upper2, dyes.upper2_nir)


def _neckline(doll: Doll, dyes: Dyes, worn: Mask, depth: float, wide: bool) -> None:
    down = (doll.z - doll.figure.collar) / (depth if doll.front else 0.02)
    r = np.hypot(doll.x / (0.098 if wide else 0.078), down)
    doll.fill((r < 1) & ~doll.arm, dyes.skin, SKIN_NIR, SKIN)
    doll.darken((r >= 1) & (r < 1.18) & worn & ~doll.arm, 0.85)


def _straps(doll: Doll, look: Look, dyes: Dyes) -> None:
    fig, bag = doll.figure, look.outfit.bag
    shoulder = 0.803 * fig.height
    if bag == "backpack" and doll.front:
        wander = 0.088 + 0.03 * np.clip((shoulder - 0.1 - doll.z) / 0.2, 0, 1)
        strap = (
            (np.abs(doll.across - wander) < 0.021) & (doll.torso | doll.arm) & (doll.z > 0.64 * fig.height)
        )
        doll.fill(strap, dyes.bag * 0.9, dyes.bag_nir, BAG)
    elif bag == "shoulder":
        off = np.abs(doll.x * fig.strap_side + 0.09 - (shoulder - doll.z) * 0.60) < 0.022
        doll.fill(
            off & (doll.torso | (doll.leg & (doll.z > 0.52 * fig.height))), dyes.bag * 0.85, dyes.bag_nir, BAG
        )


def _folds(doll: Doll, look: Look, dyes: Dyes, side: int) -> None:
    """Creases: warped noise, stronger at knees, elbows and waist; a little grain everywhere."""
    rng, fig = np.random.default_rng([13, dyes.seed, side]), doll.figure
    cloth_only = ~doll.head & (np.abs(doll.rgb - dyes.skin).sum(-1) > 12)
    u, v = doll.u, doll.v
    warped_u, warped_v = (c + a * noise(CLOUDY, u, v, 0.005, rng) for c, a in ((u, 0.035), (v, 0.05)))
    crease = 0.65 * noise(DRAPED, warped_u + 0.35 * v, warped_v, 0.003, rng)
    crease += 0.55 * noise(COARSE, warped_u, warped_v, 0.006, rng)
    crease += 0.35 * noise(WIDE, warped_u, warped_v + 0.3 * np.abs(u), 0.005, rng)
    of_leg = {"leggings": 0.02, "jeans": 0.075, "trousers": 0.07}.get(look.outfit.lower, 0.08)
    depth = np.where(doll.leg, of_leg, UPPERS[look.outfit.upper].folds)
    bend = 1 + 1.0 * np.exp(-(((doll.z - fig.knee) / 0.09) ** 2)) * doll.leg
    bend += 0.9 * np.exp(-(((doll.z - 0.56 * fig.height) / 0.08) ** 2)) * doll.torso
    bend += 1.1 * np.exp(-(((doll.along - 0.53) / 0.12) ** 2)) * doll.arm
    doll.darken(cloth_only, (1 + crease * depth * bend)[cloth_only, None])
    doll.darken(np.ones_like(doll.head), (1 + 0.025 * noise(FINE, doll.x, doll.z, 0.004, rng))[:, None])
