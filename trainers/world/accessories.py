"""What sits on the body as a mesh of its own: hair, hats, bags, umbrella, pushchair and wheelchair."""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from trainers.world.compiled import F64
from trainers.world.figure import Figure, Prims
from trainers.world.looks import Look
from trainers.world.rig import CHEST, HEAD, HELD, PELVIS, TOWED
from trainers.world.sdf import CARVES, box, capsule, ellipsoid

SEAT_HEIGHT = 0.12  # of the soles of somebody in a wheelchair: the footrest


@dataclass(frozen=True, slots=True)
class Accessory:
    """One mesh: which tile of the atlas it takes, its primitives, the bone it follows, its grid step in metres."""

    tile: str
    prims: Prims
    bone: int
    step: float


def accessories(look: Look, figure: Figure) -> list[Accessory]:
    """All that this person has on."""
    rng, cut = np.random.default_rng([3, look.body.seed]), np.random.default_rng([4, look.outfit.seed])
    thick = _HAIR_THICKNESS[look.body.hair] + float(rng.uniform(0, 0.005))
    made = []
    if look.body.hair != "bald":
        made.append(Accessory("hair", _hair(look, figure, thick, rng), HEAD, 0.016))
    if look.outfit.hat != "none":
        under = 0.02 if look.body.hair == "curly" else thick
        made.append(Accessory("hat", _HATS[look.outfit.hat](figure, 0.020 + under), HEAD, 0.017))
    if look.outfit.bag != "none":
        bone, make = _BAGS[look.outfit.bag]
        made.append(Accessory("bag", make(figure, cut), bone, 0.022))
    if look.outfit.prop != "none":
        bone, prop, step = _PROPS[look.outfit.prop]
        made.append(Accessory("prop", prop(figure), bone, step))
    return made


_HAIR_THICKNESS = {
    "crop": 0.004, "short": 0.014, "medium": 0.018, "long": 0.016, "ponytail": 0.008, "bun": 0.008,
    "curly": 0.038, "bald": 0.0,
}  # fmt: skip


def _v(x: float, y: float, z: float) -> F64:
    return np.array([x, y, z])


def _carve(figure: Figure, z: float, y: float, blend: float = 0.012) -> list[float]:
    """Takes the hair off the face: all in front of `y` and below `z`, from the middle of the head."""
    return box(figure.head + (0, y + 0.3, z - 0.3), _v(0.3, 0.3, 0.3), edge=0.02, blend=blend, carves=True)


def _carve_below(figure: Figure, z: float, half: F64) -> list[float]:
    return box(figure.head + (0, 0, z - half[2]), half, edge=0.02, blend=0.01, carves=True)


def _hair(look: Look, figure: Figure, thick: float, rng: np.random.Generator) -> Prims:
    style, head, (wide, deep, tall) = look.body.hair, figure.head, figure.head_radii
    skull = _v(wide + thick, deep + thick, tall * 0.94 + thick)
    prims = [ellipsoid(head + (0, -0.010, 0.010), skull, blend=0.02, bone=HEAD)]
    if style in ("medium", "long"):
        falls = 0.085 if style == "medium" else float(rng.uniform(0.16, 0.30))
        back = -0.052 if style == "medium" else -0.070
        tip = _v(0, back, head[2] - falls)
        prims.append(
            capsule(head + (0, -0.030, -0.01), tip, wide + 0.012, wide * 0.9, aspect=0.66, bone=HEAD)
        )
        prims.append(_carve(figure, 0.055 if rng.random() < 0.6 else 0.03, 0.022))
        return prims
    if style == "curly":
        radii = _v(wide + thick * 0.75, deep + thick * 0.75, tall * 0.9 + thick * 0.7)
        for _ in range(26):
            at = rng.standard_normal(3)
            at[2] = abs(at[2]) * 0.9 - 0.25
            at /= np.linalg.norm(at)
            curl = head + (0, -0.012, 0.012) + at * radii
            prims.append(ellipsoid(curl, _v(0.027, 0.027, 0.027), blend=0.010, bone=HEAD))
        prims.append(_carve(figure, 0.050, 0.035))
        return prims
    tied = style in ("ponytail", "bun")
    prims.append(_carve_below(figure, -0.095 if tied else -0.085, _v(0.3, 0.4, 0.3)))
    prims.append(_carve(figure, 0.058, 0.012 if look.body.male else 0.030))
    if style == "ponytail":
        root, tip = head + (0, -deep - 0.012, 0.035), head + (0, -deep - 0.055, -0.17)
        prims.append(capsule(root, tip, 0.026, 0.014, bone=HEAD, bulge=0.010))
    elif style == "bun":
        knot = head + (0, -deep * 0.75, tall * 0.62)
        prims.append(ellipsoid(knot, _v(0.042, 0.040, 0.038), blend=0.014, bone=HEAD))
    return prims


def _cap(figure: Figure, thick: float) -> Prims:
    wide, deep, tall = figure.head_radii
    crown = _v(wide + thick, deep + thick, tall * 0.92 + thick)
    return [
        ellipsoid(figure.head + (0, -0.006, 0.020), crown, blend=0.01, bone=HEAD),
        _carve_below(figure, 0.035, _v(0.5, 0.5, 0.3)),
        ellipsoid(
            figure.head + (0, deep + 0.030, 0.044), _v(wide * 0.95, 0.070, 0.011), blend=0.012, bone=HEAD
        ),
    ]


def _beanie(figure: Figure, thick: float) -> Prims:
    wide, deep, tall = figure.head_radii
    crown = _v(wide + thick, deep + thick, tall + 0.01 + thick)
    return [
        ellipsoid(figure.head + (0, -0.012, 0.022), crown, blend=0.01, bone=HEAD),
        _carve_below(figure, 0.030, _v(0.5, 0.5, 0.3)),
    ]


def _brimmed(figure: Figure, thick: float) -> Prims:
    wide, deep, tall = figure.head_radii
    crown = _v(wide + thick, deep + thick, tall * 0.95 + thick)
    return [
        ellipsoid(figure.head + (0, -0.006, 0.030), crown, blend=0.01, bone=HEAD),
        _carve_below(figure, 0.045, _v(0.5, 0.5, 0.3)),
        ellipsoid(figure.head + (0, 0, 0.058), _v(wide + 0.115, deep + 0.105, 0.016), blend=0.006, bone=HEAD),
    ]


_HATS: dict[str, Callable[[Figure, float], Prims]] = {"cap": _cap, "beanie": _beanie, "brim": _brimmed}


def _backpack(figure: Figure, cut: np.random.Generator) -> Prims:
    height, size = figure.height, float(cut.uniform(0.85, 1.15))
    back = -figure.half_depth(0.72 * height) + 0.006 * height
    pack, pocket = _v(0, back - 0.075 * size, 0.70 * height), _v(0, back - 0.155 * size, 0.655 * height)
    return [
        box(pack, _v(0.135, 0.085, 0.205) * size, edge=0.06, blend=0.02),
        box(pocket, _v(0.10 * size, 0.035, 0.10 * size), edge=0.03, blend=0.02),
    ]


def _shoulder_bag(figure: Figure, cut: np.random.Generator) -> Prims:
    x = figure.strap_side * (float(figure.half_width(0.55 * figure.height)) + 0.035)
    return [box(_v(x, -0.01, 0.53 * figure.height), _v(0.050, 0.135, 0.105), edge=0.03, blend=0.02)]


def _hand_bag(half: tuple[float, float, float]) -> Callable[[Figure, np.random.Generator], Prims]:
    def make(figure: Figure, cut: np.random.Generator) -> Prims:
        hand = figure.hand
        bag = box(hand + (0, 0, -0.17 - half[2]), np.array(half), edge=0.02, blend=0.02)
        handles = [
            capsule(hand + (0, s * 0.005, -0.01), hand + (0, s * 0.08, -0.19), 0.009, 0.009, blend=0.01)
            for s in (1, -1)
        ]
        return [bag, *handles]

    return make


def _suitcase(figure: Figure, cut: np.random.Generator) -> Prims:
    prims = [box(_v(0.22, -0.42, 0.36), _v(0.20, 0.125, 0.29), edge=0.05, blend=0.02)]
    for x in (0.10, 0.34):
        prims.append(capsule(_v(x, -0.42, 0.06), _v(x, -0.42, 0.035), 0.035, 0.035, blend=0.01))
        prims.append(capsule(_v(x, -0.40, 0.62), _v(x, -0.36, 0.92), 0.010, 0.010, blend=0.01))
    prims.append(capsule(_v(0.10, -0.36, 0.92), _v(0.34, -0.36, 0.92), 0.013, 0.013, blend=0.01))
    return prims


_BAGS: dict[str, tuple[int, Callable[[Figure, np.random.Generator], Prims]]] = {
    "backpack": (CHEST, _backpack),
    "shoulder": (PELVIS, _shoulder_bag),
    "handbag": (HELD, _hand_bag((0.055, 0.15, 0.10))),
    "shopping": (HELD, _hand_bag((0.055, 0.15, 0.17))),
    "suitcase": (TOWED, _suitcase),
}


def _carving(prim: list[float]) -> list[float]:
    prim[CARVES] = 1.0
    return prim


def _umbrella(figure: Figure) -> Prims:
    top = figure.hand + (-0.10, 0.02, 1.02)
    dome = top + (0, 0, -0.40)
    return [
        ellipsoid(dome, _v(0.56, 0.56, 0.42), blend=0.01),
        _carving(ellipsoid(dome + (0, 0, -0.035), _v(0.545, 0.545, 0.395), blend=0.01)),
        box(dome + (0, 0, -0.40), _v(0.7, 0.7, 0.56), edge=0.01, blend=0.01, carves=True),
        capsule(figure.hand + (0, 0, -0.08), top, 0.018, 0.018, blend=0.01),
    ]


def _pushchair(figure: Figure) -> Prims:
    prims = [
        box(_v(0, 0.80, 0.52), _v(0.21, 0.26, 0.15), edge=0.06, blend=0.03),
        ellipsoid(_v(0, 0.66, 0.80), _v(0.22, 0.24, 0.24), blend=0.05),
        box(_v(0, 0.92, 0.86), _v(0.25, 0.16, 0.20), edge=0.04, blend=0.03, carves=True),
    ]
    for x in (0.24, -0.24):
        for y, radius in ((0.52, 0.11), (1.06, 0.085)):
            prims.append(ellipsoid(_v(x, y, radius), _v(0.028, radius, radius), blend=0.006))
        prims.append(
            capsule(_v(x, 1.04, 0.14), _v(x * 0.92, 0.28, 0.58 * figure.height), 0.014, 0.014, blend=0.01)
        )
    prims.append(
        capsule(
            _v(0.22, 0.28, 0.58 * figure.height),
            _v(-0.22, 0.28, 0.58 * figure.height),
            0.017,
            0.017,
            blend=0.01,
        )
    )
    return prims


def _wheelchair(figure: Figure) -> Prims:
    seat = SEAT_HEIGHT + 0.22 * figure.height
    prims = [
        box(_v(0, 0.10, seat), _v(0.23, 0.24, 0.035), edge=0.02, blend=0.02),
        box(_v(0, -0.16, seat + 0.24), _v(0.22, 0.03, 0.24), edge=0.02, blend=0.02),
        box(_v(0, 0.50, SEAT_HEIGHT - 0.03), _v(0.16, 0.09, 0.015), edge=0.01, blend=0.01),
    ]
    for x in (0.29, -0.29):
        prims += [
            ellipsoid(_v(x, -0.06, 0.30), _v(0.024, 0.30, 0.30), blend=0.006),
            ellipsoid(_v(x * 0.8, 0.38, 0.075), _v(0.024, 0.075, 0.075), blend=0.006),
            capsule(_v(x * 0.82, 0.34, seat), _v(x * 0.6, 0.46, SEAT_HEIGHT), 0.014, 0.014, blend=0.01),
            capsule(
                _v(x * 0.85, -0.16, seat + 0.20), _v(x * 0.85, 0.28, seat + 0.20), 0.016, 0.016, blend=0.01
            ),
        ]
    return prims


_PROPS: dict[str, tuple[int, Callable[[Figure], Prims], float]] = {
    "umbrella": (HELD, _umbrella, 0.024),
    "pushchair": (TOWED, _pushchair, 0.022),
    "wheelchair": (TOWED, _wheelchair, 0.022),
}
