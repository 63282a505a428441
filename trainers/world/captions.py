"""Describes people in words: only what a picture shows, in varied wording, every clause from the truth."""

import math
import re
from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from trainers.world.looks import Look
from trainers.world.wardrobe import UPPERS

TIED_DEG = 60.0  # tied hair is seen when somebody is turned at least so far
FRONTAL_DEG = 70.0  # a face or a chest can be seen within this of facing the camera
SMALLEST_SHARE = 0.02  # of the visible pixels, below which a part is not described
GLASSES_PX, LOGO_PX, SHAPE_PX, SHOES_PX = 160, 90, 90, 80  # heights below which these cannot be seen
HAIR_SHARE = 0.01


@dataclass(frozen=True, slots=True)
class Sight:
    """What a picture shows of somebody.

    Attributes:
        parts: Share of the visible pixels by name of part.
        height_px: Of the visible box.
        off_front_deg: 0 = faces the camera, 180 = seen from behind.
        colours: Colours can be told: false in near infrared.
    """

    parts: Mapping[str, float]
    height_px: float
    off_front_deg: float
    colours: bool = True

    @property
    def from_front(self) -> bool:
        """Face and chest are turned to the camera."""
        return self.off_front_deg <= FRONTAL_DEG

    def shows(self, part: str, least: float = SMALLEST_SHARE) -> bool:
        """Whether enough of a part is seen."""
        return self.parts.get(part, 0.0) >= least


EVERYTHING = Sight(
    dict.fromkeys(("skin", "hair", "hat", "upper", "lower", "shoes", "bag", "prop"), 1.0), 1000, 0
)


def off_front(heading: float, x: float, y: float, eye_x: float, eye_y: float) -> float:
    """Degrees between where somebody at (x, y) faces and where the camera is."""
    to_eye = math.atan2(-(eye_x - x), eye_y - y)
    return abs(math.degrees((to_eye - heading + math.pi) % (2 * math.pi) - math.pi))


def describe(look: Look) -> str:
    """The full text: all attributes, in the plain order and wording."""
    return caption(look, EVERYTHING, None)


def captions(look: Look, sight: Sight, count: int, rng: np.random.Generator) -> list[str]:
    """Several texts of one picture: other words, other order of clauses, now and then one left out."""
    found: list[str] = []
    for _ in range(count * 4):
        text = caption(look, sight, rng)
        if text not in found:
            found.append(text)
        if len(found) == count:
            break
    return found


def caption(look: Look, sight: Sight, rng: np.random.Generator | None) -> str:
    """One text; without `rng` nothing is varied."""
    words = _Words(rng, sight)
    worn = [clause for clause in (_upper(look, words), _lower(look, words), _shoes(look, words)) if clause]
    if rng is not None and len(worn) > 1 and rng.random() < 0.25:
        rng.shuffle(worn)
    extras = [sentence for sentence in (_hat_and_glasses(look, words), *_carried(look, words)) if sentence]
    if rng is not None:
        rng.shuffle(extras)
        if len(extras) > 1 and rng.random() < 0.2:
            extras.pop()
    first = f"A {_person(look, words)}"
    if worn:
        first += f"{words.one_of(', wearing ', ' dressed in ', ' in ')}{_listed(worn)}"
    text = " ".join([f"{first}.", *extras])
    return re.sub(r"\b([Aa]) (?=[aeio])", r"\1n ", text)


def visible_attributes(look: Look, sight: Sight) -> dict[str, str]:
    """The attributes that the picture shows, by name: what may be asked about."""
    body, outfit = look.body, look.outfit
    shown = {"gender": body.gender, "age": body.age, "shape": body.shape}
    if sight.height_px < SHAPE_PX:
        del shown["shape"]
    if _hair_shows(look, sight):
        shown |= {"hair_colour": body.hair_colour}
        shown |= {} if _tied_behind(look, sight) else {"hair": body.hair}
    for part, names in _BY_PART.items():
        if sight.shows(part):
            shown |= {name: str(getattr(outfit, name)) for name in names}
    if "upper_pattern" in shown and not _print_shows(look, sight):
        del shown["upper_pattern"]
    if not sight.colours:
        shown = {name: value for name, value in shown.items() if not name.endswith("colour")}
    return {name: value for name, value in shown.items() if value != "none"}


_BY_PART = {
    "hat": ("hat", "hat_colour"),
    "upper": ("upper", "upper_colour", "upper_pattern"),
    "lower": ("lower", "lower_colour"),
    "shoes": ("shoes", "shoe_colour"),
    "bag": ("bag", "bag_colour"),
    "prop": ("prop", "prop_colour"),
}
_UPPER_NAMES: dict[str, tuple[str, ...]] = {
    "tshirt": ("T-shirt", "short-sleeved T-shirt", "tee"),
    "tank": ("sleeveless top", "tank top"),
    "shirt": ("shirt", "button-up shirt"),
    "hoodie": ("hoodie", "hooded sweatshirt"),
    "sweater": ("sweater", "pullover", "jumper"),
    "coat": ("coat", "long coat"),
    "puffer": ("puffer jacket", "padded jacket"),
    "hivis": ("high-visibility vest", "safety vest"),
    "suit": ("suit",),
}
_LOWER_NAMES: dict[str, tuple[str, ...]] = {
    "jeans": ("jeans", "denim trousers"),
    "trousers": ("trousers", "pants"),
    "sweatpants": ("sweatpants", "jogging bottoms"),
    "shorts": ("shorts",),
}
_SHOE_NAMES: dict[str, tuple[str, ...]] = {
    "sneakers": ("sneakers", "trainers", "sports shoes"),
    "formal": ("leather shoes", "dress shoes"),
    "boots": ("boots", "ankle boots"),
}
_PATTERNS: dict[str, tuple[str, ...]] = {
    "hstripe": ("with horizontal {}stripes", "with {}stripes running across"),
    "vstripe": ("with vertical {}stripes",),
    "plaid": ("with a {}check", "with a {}plaid pattern"),
    "dots": ("with {}dots",),
    "floral": ("with a {}flower print",),
    "logo": ("with a {}logo on the chest", "with a {}emblem on the front"),
    "text": ("with {}lettering", "with {}letters on the front"),
    "camo": ("in camouflage",),
    "twotone": ("with a {}lower half",),
    "raglan": ("with {}sleeves",),
}
_BAG_SENTENCES: dict[str, tuple[str, ...]] = {
    "backpack": ("carries a {}backpack", "has a {}rucksack"),
    "shoulder": ("has a {}cross-body bag", "wears a {}shoulder bag across the body"),
    "handbag": ("holds a {}handbag", "carries a {}handbag"),
    "suitcase": ("pulls a {}suitcase", "has a {}rolling suitcase"),
    "shopping": ("holds a {}shopping bag", "carries a {}carrier bag"),
}
_PROP_SENTENCES: dict[str, tuple[str, ...]] = {
    "umbrella": ("holds a {}umbrella", "is under a {}umbrella"),
    "pushchair": ("pushes a {}pushchair", "pushes a {}stroller"),
    "wheelchair": ("sits in a wheelchair", "is in a wheelchair"),
}
_SIMPLE_PRINTS = {"camo", "solid"}
_FRONT_PRINTS = {"logo", "text"}


@dataclass(frozen=True, slots=True)
class _Words:
    """Chooses among words, and leaves colours out where there are none."""

    rng: np.random.Generator | None
    sight: Sight

    def one_of(self, *words: str) -> str:
        """The first, or any."""
        return words[0] if self.rng is None else words[int(self.rng.integers(len(words)))]

    def colour(self, name: str) -> str:
        """A colour with a blank behind it."""
        return f"{name} " if self.sight.colours else ""


def _person(look: Look, words: _Words) -> str:
    body, sight = look.body, words.sight
    man = words.one_of("man", "male person") if body.male else words.one_of("woman", "female person")
    names = {"child": "boy" if body.male else "girl", "elderly": f"elderly {man}"}
    build = {"slim": words.one_of("slim ", "thin "), "average": "", "heavy": "heavily built "}[body.shape]
    text = (build if sight.height_px >= SHAPE_PX else "") + names.get(body.age, man)
    features = []
    if _hair_shows(look, sight):
        features.append(_hair(look, words))
    if body.beard == "beard" and sight.from_front and sight.shows("skin") and sight.height_px >= LOGO_PX:
        features.append("a beard")
    return f"{text} with {' and '.join(features)}" if features else text


def _hair_shows(look: Look, sight: Sight) -> bool:
    """Hair under a hat is seen only where it hangs out of it."""
    long = look.body.hair in ("long", "ponytail")
    if look.outfit.hat != "none" and not long:
        return False
    if look.body.hair in ("bald", "crop"):
        return sight.shows("skin") and sight.height_px >= SHAPE_PX and look.outfit.hat == "none"
    return sight.shows("hair", HAIR_SHARE)


def _tied_behind(look: Look, sight: Sight) -> bool:
    """A ponytail or a bun cannot be told from the front."""
    return (
        look.body.hair in ("ponytail", "bun") and sight.off_front_deg < TIED_DEG and sight is not EVERYTHING
    )


def _hair(look: Look, words: _Words) -> str:
    colour, style = words.colour(look.body.hair_colour), look.body.hair
    if _tied_behind(look, words.sight):
        return f"{colour}hair" if colour else "hair"
    if style == "bald":
        return words.one_of("a bald head", "no hair")
    told = {
        "ponytail": f"{colour}hair in a ponytail",
        "bun": f"{colour}hair in a bun",
        "crop": f"very short {colour}hair",
        "medium": f"chin-length {colour}hair",
    }
    return told.get(style, f"{style} {colour}hair")


def _print_shows(look: Look, sight: Sight) -> bool:
    pattern = look.outfit.upper_pattern
    if pattern in _FRONT_PRINTS:
        clear = look.outfit.bag != "backpack" or sight.off_front_deg < 50
        return sight.from_front and clear and sight.height_px >= LOGO_PX and sight.shows("upper", 0.1)
    return sight.height_px >= LOGO_PX and sight.shows("upper", 0.1)


def _upper(look: Look, words: _Words) -> str:
    outfit, sight = look.outfit, words.sight
    if not sight.shows("upper"):
        return ""
    name = words.one_of(*_UPPER_NAMES.get(outfit.upper, (outfit.upper,)))
    text = f"a {words.colour(outfit.upper_colour)}{name}"
    pattern = outfit.upper_pattern
    if pattern == "solid" or not _print_shows(look, sight):
        return text
    second = "" if pattern in _SIMPLE_PRINTS else words.colour(outfit.upper_colour2)
    if not sight.colours and pattern in ("twotone", "raglan"):
        return text
    return f"{text} {words.one_of(*_PATTERNS[pattern]).format(second)}"


def _lower(look: Look, words: _Words) -> str:
    outfit = look.outfit
    if outfit.lower == "none" or outfit.upper == "suit" or not words.sight.shows("lower"):
        return ""
    if outfit.lower == "skirt" and UPPERS[outfit.upper].hem[0] < 0.45:
        return ""  # hidden under a coat
    article = "a " if outfit.lower == "skirt" else ""
    name = words.one_of(*_LOWER_NAMES.get(outfit.lower, (outfit.lower,)))
    return f"{article}{words.colour(outfit.lower_colour)}{name}"


def _shoes(look: Look, words: _Words) -> str:
    if not words.sight.shows("shoes", 0.01) or words.sight.height_px < SHOES_PX:
        return ""
    outfit = look.outfit
    return f"{words.colour(outfit.shoe_colour)}{words.one_of(*_SHOE_NAMES[outfit.shoes])}"


def _hat_and_glasses(look: Look, words: _Words) -> str:
    outfit, sight = look.outfit, words.sight
    things = []
    if outfit.hat != "none" and sight.shows("hat", 0.01):
        name = "brimmed hat" if outfit.hat == "brim" else outfit.hat
        things.append(f"a {words.colour(outfit.hat_colour)}{name}")
    least_px = {"clear": GLASSES_PX, "sun": LOGO_PX}.get(outfit.glasses, math.inf)
    if sight.from_front and sight.height_px >= least_px and sight.shows("skin"):
        things.append({"clear": "glasses", "sun": "sunglasses"}[outfit.glasses])
    return f"{_subject(look)} {words.one_of('wears', 'has on')} {' and '.join(things)}." if things else ""


def _carried(look: Look, words: _Words) -> list[str]:
    outfit, told = look.outfit, []
    if outfit.bag != "none" and words.sight.shows("bag"):
        told.append((_BAG_SENTENCES[outfit.bag], outfit.bag_colour))
    if outfit.prop != "none" and words.sight.shows("prop"):
        told.append((_PROP_SENTENCES[outfit.prop], outfit.prop_colour))
    return [
        f"{_subject(look)} {words.one_of(*choices).format(words.colour(colour))}." for choices, colour in told
    ]


def _subject(look: Look) -> str:
    return "He" if look.body.male else "She"


def _listed(clauses: list[str]) -> str:
    return clauses[0] if len(clauses) == 1 else f"{', '.join(clauses[:-1])} and {clauses[-1]}"
