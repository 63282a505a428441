"""Cloth without a person: noise, prints, colours that vary a little, and what near infrared sees of them."""

from dataclasses import dataclass
from functools import lru_cache

import cv2
import numpy as np

from trainers.world.compiled import F64
from trainers.world.looks import Look
from trainers.world.wardrobe import COLOURS, DENIM, HAIR_COLOURS, SKINS, Colour

FINE, COARSE, LONG, WIDE, CLOUDY, DRAPED = range(6)
_SIGMAS = ((2, 2), (6, 6), (2, 14), (9, 3), (18, 18), (5, 22))
NIR_OF_LUMINANCE = 0.8  # how much of the visible brightness is left in near infrared
NIR_OF_DYE = (0.0, 0.28)  # what its dye and fabric add: black cloth may look grey there
NIR_OF_PRINT = 0.7  # and how much of a print's contrast: pigments and other yarns stay visible
SKIN_NIR = 175.0  # of all skins: melanin hardly absorbs there


@lru_cache(maxsize=1)
def _bank() -> list[F64]:
    rng, out = np.random.default_rng(7), []
    for sx, sy in _SIGMAS:
        tile = np.tile(rng.standard_normal((256, 256)).astype(np.float32), (3, 3))
        blurred = cv2.GaussianBlur(tile, (0, 0), sx, sigmaY=sy)[256:512, 256:512].astype(np.float64)
        out.append((blurred - blurred.mean()) / blurred.std())
    return out


def noise(kind: int, u: F64, v: F64, texel: float, rng: np.random.Generator) -> F64:
    """Unit noise at metric (u, v); `texel` = metres of one texel of the tile."""
    du, dv = rng.integers(0, 256, 2)
    row, column = (v / texel).astype(int) + dv, (u / texel).astype(int) + du
    return np.asarray(_bank()[kind][row & 255, column & 255])


def tint(colour: Colour, rng: np.random.Generator, spread: float = 9.0) -> F64:
    """A colour as dyed: varied, but neutral colours stay neutral, or their name would be wrong."""
    out = np.array(colour, np.float64) * rng.uniform(0.88, 1.12)
    saturation = (out.max() - out.min()) / (out.max() + 1)
    shift = rng.normal(0, spread, 3) * (0.25 + out.mean() / 160) * (0.25 + saturation)
    return np.asarray(np.clip(out + shift, 14, 244))


def infrared(colour: F64, rng: np.random.Generator) -> float:
    """Near-infrared albedo, 0 to 255, of cloth of a colour: related to its brightness, and to its dye."""
    own = NIR_OF_LUMINANCE * float(np.mean(colour)) / 255
    return float(255 * np.clip(own + rng.uniform(*NIR_OF_DYE), 0.05, 0.95))


def cloth(kind: str, u: F64, v: F64, first: F64, second: F64, rng: np.random.Generator) -> F64:
    """A print over metric cloth coordinates: (..., 3) sRGB."""
    out = np.empty((*u.shape, 3))
    out[:] = first
    pitch = float(rng.uniform(0.05, 0.11))
    if kind == "hstripe":
        out[(v % pitch) < pitch * rng.uniform(0.3, 0.55)] = second
    elif kind == "vstripe":
        out[(u % (pitch / 2)) < pitch * 0.2] = second
    elif kind == "plaid":
        out = _plaid(u, v, first, second, float(rng.uniform(0.06, 0.12)))
    elif kind == "dots":
        pitch = float(rng.uniform(0.05, 0.08))
        shift = (np.floor(v / pitch) % 2) * pitch / 2
        far = ((u + shift) % pitch - pitch / 2) ** 2 + (v % pitch - pitch / 2) ** 2
        out[far < (pitch * 0.28) ** 2] = second
    elif kind == "floral":
        out[noise(COARSE, u, v, 0.004, rng) > 0.75] = second
        out[noise(COARSE, u, v, 0.004, rng) > 1.25] = second * 0.5 + 110
        out[noise(COARSE, u, v, 0.004, rng) > 1.3] = (70, 105, 60)
    elif kind == "camo":
        out[noise(COARSE, u, v, 0.010, rng) > 0.3] = (92, 88, 58)
        out[noise(COARSE, u, v, 0.010, rng) > 0.6] = (52, 56, 40)
        out[noise(COARSE, u, v, 0.012, rng) > 0.9] = (30, 30, 28)
    return out


def _plaid(u: F64, v: F64, first: F64, second: F64, pitch: float) -> F64:
    across, down = u % pitch, v % pitch
    bands = (across < pitch * 0.5).astype(np.float64) + (down < pitch * 0.5)
    out = first + (second - first) * (bands * 0.5)[..., None]
    thread = (np.minimum(first, second) * 0.6 + np.maximum(first, second) * 0.4) * 0.8
    out[(across < pitch * 0.08) | (down < pitch * 0.08)] = thread
    return out


@dataclass(frozen=True, slots=True)
class Dyes:
    """The colours of one look as dyed, with the near infrared of each garment."""

    skin: F64
    hair: F64
    upper: F64
    upper2: F64
    lower: F64
    shoes: F64
    hat: F64
    bag: F64
    prop: F64
    hair_nir: float
    upper_nir: float
    upper2_nir: float
    lower_nir: float
    shoes_nir: float
    hat_nir: float
    bag_nir: float
    prop_nir: float
    seed: int


def dye(look: Look) -> Dyes:
    """Draws them; clothes by the outfit's seed, so that like clothes are alike on everybody."""
    body, outfit = look.body, look.outfit
    own, cut = np.random.default_rng([5, body.seed]), np.random.default_rng([6, outfit.seed])
    upper, upper2 = tint(COLOURS[outfit.upper_colour], cut), tint(COLOURS[outfit.upper_colour2], cut)
    lower = tint((DENIM if outfit.lower == "jeans" else COLOURS)[outfit.lower_colour], cut)
    if outfit.upper in ("dress", "suit"):
        lower = upper
    shoes = tint(COLOURS[outfit.shoe_colour], cut, 6)
    skin, hair = tint(SKINS[body.skin], own, 4), tint(HAIR_COLOURS[body.hair_colour], own, 6)
    carried = np.random.default_rng([7, body.seed, outfit.seed])
    hat, bag, prop = (
        tint(COLOURS[name], carried, 6) for name in (outfit.hat_colour, outfit.bag_colour, outfit.prop_colour)
    )
    upper_nir = infrared(upper, cut)
    return Dyes(
        skin, hair, upper, upper2, lower, shoes, hat, bag, prop,
        hair_nir=45 + 0.35 * float(np.mean(hair)),
        upper_nir=upper_nir,
        upper2_nir=upper_nir + NIR_OF_PRINT * (infrared(upper2, cut) - upper_nir),
        lower_nir=infrared(lower, cut),
        shoes_nir=infrared(shoes, cut),
        hat_nir=infrared(hat, carried),
        bag_nir=infrared(bag, carried),
        prop_nir=infrared(prop, carried),
        seed=int(cut.integers(1 << 30)),
    )  # fmt: skip
