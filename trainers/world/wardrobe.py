"""What people wear: colours, garments as a table of shapes, and how often each is worn in a domain."""

from collections.abc import Mapping
from dataclasses import dataclass

Weights = Mapping[str, float]
Colour = tuple[int, int, int]

COLOURS: dict[str, Colour] = {
    "black": (30, 30, 33),
    "white": (228, 228, 224),
    "grey": (132, 133, 135),
    "dark grey": (74, 76, 80),
    "red": (176, 36, 40),
    "maroon": (98, 28, 38),
    "orange": (218, 112, 40),
    "yellow": (222, 190, 62),
    "green": (48, 122, 66),
    "olive": (94, 92, 54),
    "teal": (34, 120, 122),
    "blue": (44, 84, 168),
    "navy blue": (32, 40, 76),
    "light blue": (136, 174, 214),
    "purple": (98, 62, 130),
    "pink": (224, 146, 164),
    "brown": (98, 68, 48),
    "beige": (204, 184, 150),
    "khaki": (150, 136, 102),
}
DENIM: dict[str, Colour] = {
    "blue": (58, 80, 122),
    "navy blue": (36, 46, 74),
    "light blue": (126, 152, 186),
    "black": (36, 37, 42),
    "grey": (100, 104, 110),
}
HAIR_COLOURS: dict[str, Colour] = {
    "black": (24, 21, 20),
    "dark brown": (50, 35, 26),
    "brown": (86, 58, 38),
    "blond": (182, 146, 92),
    "red": (128, 62, 34),
    "grey": (140, 138, 134),
    "white": (208, 206, 200),
}
SKINS: tuple[Colour, ...] = (
    (236, 200, 176),
    (224, 180, 150),
    (204, 154, 120),
    (170, 120, 86),
    (122, 82, 58),
    (84, 56, 42),
)


@dataclass(frozen=True, slots=True)
class Upper:
    """The shape of an upper garment; lengths in metres, heights as fractions of the body's.

    Attributes:
        body: How far it stands off the torso.
        arm: How far it stands off the arm.
        hem: Lowest and highest height of its hem.
        sleeves: What sleeves it comes with: 2 = long, below 1 = that part of the arm, -1 = none.
        patterns: How often each print is worn on it.
        collar: Height of the ring around the neck; 0 = none.
        neckline: Depth of the neckline that shows skin; 0 = closed.
        flare: Widening of its tails per metre below the hips; None = it has none.
        opens: Buttoned or zipped in front, so an inner shirt may show.
        folds: How strongly it creases.
    """

    body: float
    arm: float
    hem: tuple[float, float]
    sleeves: tuple[float, ...]
    patterns: Weights
    collar: float = 0.0
    neckline: float = 0.0
    flare: tuple[float, float] | None = None
    opens: bool = False
    folds: float = 0.075


UPPERS: dict[str, Upper] = {
    "tshirt": Upper(
        0.012, 0.018, (0.505, 0.505), (0.36,),
        {"solid": 3, "hstripe": 1.3, "logo": 2.4, "twotone": 0.6, "camo": 0.3, "text": 0.8},
        neckline=0.05, folds=0.085,
    ),
    "tank": Upper(
        0.006, 0.0, (0.52, 0.52), (-1.0,), {"solid": 2, "logo": 1, "hstripe": 0.6}, neckline=0.10
    ),
    "shirt": Upper(
        0.014, 0.012, (0.50, 0.50), (2.0, 2.0, 0.4),
        {"solid": 2, "plaid": 2, "vstripe": 1, "dots": 0.5}, collar=0.034,
    ),
    "dress": Upper(
        0.008, 0.006, (0.20, 0.36), (-1.0, 0.3, 2.0),
        {"solid": 2, "floral": 2, "dots": 1, "hstripe": 0.6}, neckline=0.10, flare=(0.2, 0.75),
    ),
    "hoodie": Upper(
        0.026, 0.020, (0.51, 0.51), (2.0,), {"solid": 2, "logo": 1.5, "text": 1, "twotone": 0.8}
    ),
    "sweater": Upper(
        0.020, 0.015, (0.51, 0.51), (2.0,),
        {"solid": 2, "hstripe": 1, "twotone": 0.5, "plaid": 0.3}, neckline=0.03,
    ),
    "jacket": Upper(
        0.026, 0.020, (0.50, 0.50), (2.0,),
        {"solid": 3, "raglan": 1, "twotone": 1, "camo": 0.4}, collar=0.034, opens=True,
    ),
    "coat": Upper(
        0.032, 0.022, (0.27, 0.40), (2.0,), {"solid": 4, "plaid": 0.7},
        collar=0.046, flare=(0.16, 0.16), opens=True,
    ),
    "puffer": Upper(
        0.050, 0.038, (0.42, 0.51), (2.0,), {"solid": 4, "twotone": 1},
        collar=0.046, flare=(0.02, 0.02), opens=True, folds=0.05,
    ),
    "suit": Upper(
        0.022, 0.014, (0.465, 0.465), (2.0,), {"solid": 1},
        collar=0.034, flare=(0.04, 0.04), opens=True, folds=0.05,
    ),
    "hivis": Upper(0.028, 0.016, (0.49, 0.49), (2.0,), {"solid": 1}, opens=True),
}  # fmt: skip
LOWER_THICKNESS: dict[str, float] = {
    "jeans": 0.012, "trousers": 0.018, "shorts": 0.03, "skirt": 0.0, "leggings": 0.002,
    "sweatpants": 0.024, "none": 0.0,
}  # fmt: skip
WOMEN_ONLY = {"dress", "skirt", "leggings"}


@dataclass(frozen=True, slots=True)
class Wardrobe:
    """How often each garment and colour is worn in one domain."""

    uppers: Weights
    lowers: Weights
    colours: Weights
    beanie: float


_EVEN = dict.fromkeys(COLOURS, 1.0)
_SUMMER_COLOURS = _EVEN | {"black": 2.5, "white": 2.0, "grey": 1.6, "navy blue": 1.6, "red": 1.4}
_WINTER_COLOURS = _SUMMER_COLOURS | {
    "black": 5, "navy blue": 3, "dark grey": 3, "olive": 2, "brown": 2,
    "white": 0.6, "yellow": 0.5, "pink": 0.6, "light blue": 0.4,
}  # fmt: skip
_SUMMER_UPPERS = {
    "tshirt": 5, "shirt": 2, "tank": 1, "dress": 1.5, "hoodie": 0.8, "sweater": 0.5, "jacket": 0.7,
    "suit": 0.5, "hivis": 0.2,
}  # fmt: skip
_SUMMER_LOWERS = {"jeans": 3, "trousers": 2, "shorts": 2.2, "skirt": 1.2, "leggings": 1, "sweatpants": 1}
_WINTER_UPPERS = {
    "coat": 3, "puffer": 3, "jacket": 2.5, "hoodie": 2, "sweater": 1, "suit": 0.7, "hivis": 0.4, "shirt": 0.4,
}  # fmt: skip
_WINTER_LOWERS = {"jeans": 4, "trousers": 3, "sweatpants": 1.2, "leggings": 1.2, "skirt": 0.3}
_MIXED_UPPERS = {name: _SUMMER_UPPERS.get(name, 0.0) + _WINTER_UPPERS.get(name, 0.0) for name in UPPERS}
_MIXED_LOWERS = _SUMMER_LOWERS | {"jeans": 4, "trousers": 3}

WARDROBES: dict[str, Wardrobe] = {
    "summer": Wardrobe(_SUMMER_UPPERS, _SUMMER_LOWERS, _SUMMER_COLOURS, beanie=0.2),
    "winter": Wardrobe(_WINTER_UPPERS, _WINTER_LOWERS, _WINTER_COLOURS, beanie=1.6),
    "mixed": Wardrobe(_MIXED_UPPERS, _MIXED_LOWERS, _SUMMER_COLOURS, beanie=0.7),
}
