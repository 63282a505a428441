"""Who a person is (body) and what they wear (outfit), drawn from a seed each; the identity is the body."""

import dataclasses
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from trainers.world.wardrobe import DENIM, SKINS, UPPERS, WARDROBES, WOMEN_ONLY, Weights

BODY_DRAW, OUTFIT_DRAW = 1, 2  # what a seed is used for: equal seeds must not give equal streams


@dataclass(frozen=True, slots=True)
class Gait:
    """How someone walks: m/s, factors around 1, and degrees."""

    speed: float
    swing: float
    stride: float
    lean_deg: float
    toe_deg: float


@dataclass(frozen=True, slots=True)
class Body:
    """What stays when the clothes change. `height` in metres, `skin` a row of `SKINS`."""

    seed: int
    gender: str
    age: str
    height: float
    shape: str
    skin: int
    hair: str
    hair_colour: str
    beard: str
    gait: Gait

    @property
    def male(self) -> bool:
        """Drawn with a man's proportions."""
        return self.gender == "male"


@dataclass(frozen=True, slots=True)
class Outfit:
    """Clothes and what is carried. `sleeve` as in `wardrobe.Upper`, `lower_length` a fraction of the height."""

    seed: int
    upper: str
    upper_colour: str
    upper_colour2: str
    upper_pattern: str
    sleeve: float
    lower: str
    lower_colour: str
    lower_pattern: str
    lower_length: float
    shoes: str
    shoe_colour: str
    hat: str
    hat_colour: str
    glasses: str
    bag: str
    bag_colour: str
    prop: str = "none"
    prop_colour: str = "black"


CLOTHES = (
    "seed", "upper", "upper_colour", "upper_colour2", "upper_pattern", "sleeve", "lower", "lower_colour",
    "lower_pattern", "lower_length", "shoes", "shoe_colour",
)  # fmt: skip


@dataclass(frozen=True, slots=True)
class Look:
    """A body in an outfit: all that decides what a person looks like."""

    body: Body
    outfit: Outfit

    @property
    def stride(self) -> float:
        """Metres of a full cycle of the gait."""
        return 1.55 * 0.515 * self.body.height * self.body.gait.stride

    def attributes(self) -> dict[str, Any]:
        """One flat record of both, the seeds as `body_seed` and `outfit_seed`."""
        body, outfit = dataclasses.asdict(self.body), dataclasses.asdict(self.outfit)
        return {"body_seed": body.pop("seed"), "outfit_seed": outfit.pop("seed")} | body | outfit


def sample_look(seed: int, wardrobe: str = "summer", outfit_seed: int | None = None) -> Look:
    """Identity `seed` in an outfit; another `outfit_seed` is the same person in other clothes."""
    body = sample_body(seed)
    return Look(body, sample_outfit(seed if outfit_seed is None else outfit_seed, body, wardrobe))


def sample_body(seed: int) -> Body:
    """A body; equal seeds give equal bodies."""
    rng = np.random.default_rng([BODY_DRAW, seed])
    gender = pick(rng, {"male": 1, "female": 1})
    male = gender == "male"
    age = pick(rng, {"child": 0.08, "adult": 0.76, "elderly": 0.16})
    old, child = age == "elderly", age == "child"
    height = (
        rng.uniform(1.15, 1.45) if child else np.clip(rng.normal(1.77 if male else 1.65, 0.065), 1.5, 2.0)
    )
    skin = int(rng.integers(len(SKINS)))
    return Body(
        seed=seed,
        gender=gender,
        age=age,
        height=float(height),
        shape=pick(rng, {"slim": 0.34, "average": 0.43, "heavy": 0.23}),
        skin=skin,
        hair=pick(rng, _hair_styles(male, old)),
        hair_colour=pick(rng, _hair_colours(skin, old)),
        beard=pick(rng, {"none": 3, "beard": 0.8, "stubble": 0.8}) if male and not child else "none",
        gait=Gait(
            speed=float(rng.normal(1.3, 0.14) * (0.78 if old else 1.0)),
            swing=float(rng.uniform(0.6, 1.35)),
            stride=float(rng.uniform(0.9, 1.1)),
            lean_deg=float(rng.uniform(1, 5) + (7 if old else 0)),
            toe_deg=float(rng.uniform(-2, 12)),
        ),
    )


def sample_outfit(seed: int, body: Body, wardrobe: str = "summer") -> Outfit:
    """Clothes for a body; equal arguments give equal clothes."""
    rng = np.random.default_rng([OUTFIT_DRAW, seed])
    worn = WARDROBES[wardrobe]
    upper = pick(rng, _allowed(worn.uppers, body))
    colour = pick(rng, _UPPER_COLOURS.get(upper, worn.colours))
    lower = {"dress": "none", "suit": "trousers"}.get(upper) or pick(rng, _allowed(worn.lowers, body))
    same = upper in ("dress", "suit")
    shoes = pick(rng, {"sneakers": 4, "formal": 1.5, "boots": 1.2})
    return Outfit(
        seed=seed,
        upper=upper,
        upper_colour=colour,
        upper_colour2=pick(rng, {name: w for name, w in worn.colours.items() if name != colour}),
        upper_pattern=pick(rng, UPPERS[upper].patterns),
        sleeve=float(rng.choice(UPPERS[upper].sleeves)),
        lower=lower,
        lower_colour=colour if same else pick(rng, _lower_colours(lower)),
        lower_pattern=pick(rng, _LOWER_PATTERNS.get(lower, {"solid": 1})),
        lower_length=float(rng.uniform(0.30, 0.40) if lower == "shorts" else rng.uniform(0.16, 0.42)),
        shoes=shoes,
        shoe_colour=pick(rng, _SHOE_COLOURS.get(shoes, {"black": 2, "brown": 1.3})),
        hat=pick(rng, {"none": 6, "cap": 1.2, "beanie": worn.beanie, "brim": 0.4}),
        hat_colour=pick(rng, worn.colours),
        glasses=pick(rng, {"none": 3, "clear": 0.8, "sun": 0.5}),
        bag=pick(rng, _bags(body)),
        bag_colour=pick(rng, dict(worn.colours) | {"brown": 2}),
    )


def wearing(body: Body, outfit: Outfit, own: Outfit) -> Look:
    """`body` in the clothes of `outfit`, with hat, glasses and bag of its `own`: like clothes on someone else."""
    clothes = {name: getattr(outfit, name) for name in CLOTHES}
    return Look(body, dataclasses.replace(own, **clothes))


def pick(rng: np.random.Generator, weights: Weights) -> str:
    """One of the names, drawn by weight."""
    names = list(weights)
    share = np.array([weights[name] for name in names], np.float64)
    return names[int(rng.choice(len(names), p=share / share.sum()))]


_UPPER_COLOURS: dict[str, Weights] = {
    "hivis": {"yellow": 2, "orange": 1},
    "suit": {"black": 2, "navy blue": 2, "dark grey": 2, "brown": 0.6},
}
_LOWER_PATTERNS: dict[str, Weights] = {
    "skirt": {"solid": 3, "plaid": 0.7, "floral": 0.5},
    "sweatpants": {"solid": 2, "sidestripe": 1.2},
}
_SHOE_COLOURS: dict[str, Weights] = {
    "sneakers": {"white": 2.5, "black": 3, "grey": 1, "brown": 1.4, "red": 0.5, "navy blue": 0.6}
}


def _hair_styles(male: bool, old: bool) -> Weights:
    if male:
        return {"short": 4, "crop": 1.6, "bald": 1.2 if old else 0.5, "curly": 0.8, "medium": 0.5}
    return {"long": 3, "medium": 2.2, "ponytail": 2, "bun": 1.2, "short": 0.9, "curly": 0.9}


def _hair_colours(skin: int, old: bool) -> Weights:
    if old:
        return {"grey": 3, "white": 2, "brown": 0.5}
    if skin < 3:
        return {"black": 3, "dark brown": 3, "brown": 2, "blond": 1.4, "red": 0.6}
    return {"black": 5, "dark brown": 3, "brown": 0.6}


def _lower_colours(lower: str) -> Weights:
    if lower == "jeans":
        return {name: weight for name, weight in zip(DENIM, (4, 2, 1.6, 2, 1), strict=True)}
    colours = {
        "black": 3, "navy blue": 2, "grey": 1.5, "dark grey": 2, "beige": 1, "khaki": 1, "brown": 0.7,
        "olive": 0.7, "white": 0.4, "maroon": 0.2,
    }  # fmt: skip
    if lower in ("skirt", "shorts"):
        colours |= {"red": 0.8, "white": 1, "pink": 0.6, "green": 0.5, "light blue": 0.6}
    return colours


def _bags(body: Body) -> Mapping[str, float]:
    handbag = 0.3 if body.male else 0.9
    return {"none": 3, "backpack": 1.8, "shoulder": 1.3, "handbag": handbag, "suitcase": 0.6, "shopping": 0.5}


def _allowed(weights: Weights, body: Body) -> Weights:
    return {name: w for name, w in weights.items() if not (body.male and name in WOMEN_ONLY)}
