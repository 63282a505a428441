"""Describes people in words: only what a picture shows, in varied wording, every clause from the truth."""

import re
from dataclasses import dataclass

import numpy as np

from trainers.world.looks import Look
from trainers.world.sight import DARK, EVERYTHING, FRONTAL_DEG, SMALLEST_SHARE, Sight
from trainers.world.wardrobe import COLOURS, DENIM, HAIR_COLOURS, UPPERS, Colour
from trainers.world.wording import (
    BAG_SENTENCES,
    LOWER_NAMES,
    PATTERNS,
    PROP_SENTENCES,
    SHOE_NAMES,
    UPPER_NAMES,
)

TIED_DEG = 60.0  # tied hair is seen when somebody is turned at least so far
FACE_DEG = 50.0  # what is worn on the face is seen when somebody is turned at most so far
PERSON_PX, SHAPE_PX, KIND_PX, SHOE_PX, PRINT_PX = (
    70,
    120,
    100,
    130,
    110,
)  # heights below which these are not seen
GLASSES_PX, SUNGLASSES_PX, BEARD_PX, TIED_PX = 300, 150, 110, 120
GREY_PX = 200  # height below which near infrared shows no kinds of cloth
HAIR_SHARE, HAT_SHARE, SHOE_SHARE, FACE_SHARE, STRAP_SHARE = 0.015, 0.015, 0.015, 0.015, 0.04
PRINT_VISIBILITY = 0.75


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
    if sight.hides_in_the_dark("upper") and sight.hides_in_the_dark("lower"):
        worn.insert(0, "dark clothes")
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
    body, outfit, words = look.body, look.outfit, _Words(None, sight)
    shown: dict[str, str] = {}
    if _person_shows(look, sight):
        shown |= {"gender": body.gender, "age": body.age}
    if sight.height_px >= SHAPE_PX:
        shown["shape"] = body.shape
    if _hair_shows(look, sight):
        shown |= {"hair_colour": words.colour("hair", body.hair_colour, HAIR_COLOURS).strip()}
        shown |= {} if _tied_behind(look, sight) else {"hair": body.hair}
    for part, names in _BY_PART.items():
        if _part_shows(look, sight, part):
            kind = {names[0]: str(getattr(outfit, names[0]))} if _kind_shows(sight, part) else {}
            paints = DENIM if outfit.lower == "jeans" and part == "lower" else COLOURS
            shown |= kind | {names[1]: words.colour(part, str(getattr(outfit, names[1])), paints).strip()}
    if _part_shows(look, sight, "upper") and _print_shows(look, sight):
        shown["upper_pattern"] = outfit.upper_pattern
    return {name: value for name, value in shown.items() if value not in ("none", "", "dark")}


_BY_PART = {
    "hat": ("hat", "hat_colour"),
    "upper": ("upper", "upper_colour"),
    "lower": ("lower", "lower_colour"),
    "shoes": ("shoes", "shoe_colour"),
    "bag": ("bag", "bag_colour"),
    "prop": ("prop", "prop_colour"),
}
_SIMPLE_PRINTS = {"camo", "solid"}
_FRONT_PRINTS = {"logo", "text"}
_OF_COLOUR = {"twotone", "raglan"}  # nothing is left to say without the colour


_TROUSERS, _TOPS = (
    {"jeans", "trousers", "sweatpants", "leggings"},
    {"tshirt", "tank", "shirt", "hoodie", "sweater"},
)
_TELLING_HAIR = {"medium", "long", "ponytail", "bun"}
_JACKETS = {"jacket", "puffer", "suit", "hivis"}


@dataclass(frozen=True, slots=True)
class _Words:
    """Chooses among words, and leaves colours out where there are none."""

    rng: np.random.Generator | None
    sight: Sight

    def one_of(self, *words: str) -> str:
        """The first, or any."""
        return words[0] if self.rng is None else words[int(self.rng.integers(len(words)))]

    def colour(self, part: str, name: str, paints: dict[str, Colour] = COLOURS) -> str:
        """The colour of a part, with a blank behind it."""
        told = self.sight.colour(part, name, paints[name])
        return f"{told} " if told else ""


def _person_shows(look: Look, sight: Sight) -> bool:
    """Man or woman, young or old: by the face, or by hair that tells."""
    telling = look.body.hair in _TELLING_HAIR or look.body.hair_colour in ("grey", "white")
    return sight.shows("face", FACE_SHARE) or (
        sight.height_px >= PERSON_PX and telling and _hair_shows(look, sight)
    )


def _person(look: Look, words: _Words) -> str:
    body, sight = look.body, words.sight
    if _person_shows(look, sight):
        man = words.one_of("man", "male person") if body.male else words.one_of("woman", "female person")
        names = {"child": "boy" if body.male else "girl", "elderly": f"elderly {man}"}
    else:
        man, names = "person", {}
    build = {"slim": words.one_of("slim ", "thin "), "average": "", "heavy": "heavily built "}[body.shape]
    text = (build if sight.height_px >= SHAPE_PX else "") + names.get(body.age, man)
    features = []
    if _hair_shows(look, sight):
        features.append(_hair(look, words))
    seen_close = sight.shows("face", FACE_SHARE) and sight.height_px >= BEARD_PX
    if body.beard == "beard" and seen_close and sight.off_front_deg <= FACE_DEG:
        features.append("a beard")
    return f"{text} with {' and '.join(features)}" if features else text


def _hair_shows(look: Look, sight: Sight) -> bool:
    """Hair under a hat is seen only where it hangs out of it."""
    if look.outfit.hat != "none":
        return look.body.hair in ("long", "ponytail") and sight.shows("hair", 2 * HAIR_SHARE)
    if look.body.hair in ("bald", "crop"):
        return sight.shows("face", FACE_SHARE) and sight.height_px >= KIND_PX
    return sight.shows("hair", HAIR_SHARE)


def _tied_behind(look: Look, sight: Sight) -> bool:
    """A ponytail or a bun cannot be told from the front, nor from afar."""
    hidden = sight.off_front_deg < TIED_DEG or sight.height_px < TIED_PX
    return look.body.hair in ("ponytail", "bun") and hidden and sight is not EVERYTHING


def _hair(look: Look, words: _Words) -> str:
    colour, style = words.colour("hair", look.body.hair_colour, HAIR_COLOURS), look.body.hair
    if _tied_behind(look, words.sight):
        return f"{colour}hair"
    if style == "bald":
        return words.one_of("a bald head", "no hair")
    told = {
        "ponytail": f"{colour}hair in a ponytail",
        "bun": f"{colour}hair in a bun",
        "crop": f"very short {colour}hair",
        "medium": f"chin-length {colour}hair",
    }
    return told.get(style, f"{style} {colour}hair")


def _part_shows(look: Look, sight: Sight, part: str) -> bool:
    """Whether a part is seen well enough to be spoken of; a strap that looks like the cloth below it is not."""
    if part == "shoes":
        return sight.shows(part, SHOE_SHARE) and sight.height_px >= KIND_PX
    if part == "bag" and look.outfit.bag in ("backpack", "shoulder") and sight.off_front_deg < 110:
        return sight.shows(part, STRAP_SHARE) and sight.stands_out(part, "upper")
    return sight.shows(part, HAT_SHARE if part == "hat" else SMALLEST_SHARE)


def _kind_shows(sight: Sight, part: str) -> bool:
    """Whether cloth can be told from cloth, shoes from boots."""
    if part not in ("upper", "lower", "shoes"):
        return True
    least_px = (SHOE_PX if part == "shoes" else KIND_PX) if sight.colours else GREY_PX
    return sight.height_px >= least_px and max(sight.tints.get(part, (255,))) >= DARK


def _print_shows(look: Look, sight: Sight) -> bool:
    """Prints are seen from near, when little hides them, and hardly in near infrared."""
    outfit = look.outfit
    clear = sight.colours and sight.height_px >= PRINT_PX and sight.visibility >= PRINT_VISIBILITY
    if outfit.upper_pattern in _FRONT_PRINTS:
        clear &= sight.off_front_deg <= (FACE_DEG if outfit.bag in ("backpack", "shoulder") else FRONTAL_DEG)
    return clear and sight.shows("upper", 0.1) and max(sight.tints.get("upper", (255,))) >= DARK


def _upper(look: Look, words: _Words) -> str:
    outfit, sight = look.outfit, words.sight
    if not sight.shows("upper"):
        return ""
    colour, pattern = words.colour("upper", outfit.upper_colour), outfit.upper_pattern
    if not _kind_shows(sight, "upper"):
        plain = "top" if outfit.upper in _TOPS else ("jacket" if outfit.upper in _JACKETS else outfit.upper)
        return f"a {colour}{plain}"
    text = f"a {colour}{words.one_of(*UPPER_NAMES.get(outfit.upper, (outfit.upper,)))}"
    if pattern == "solid" or not _print_shows(look, sight):
        return text
    second = f"{outfit.upper_colour2} " if colour == f"{outfit.upper_colour} " else ""
    if pattern in _OF_COLOUR and not second:
        return text
    if pattern in _SIMPLE_PRINTS:
        second = ""
    return f"{text} {words.one_of(*PATTERNS[pattern]).format(second)}"


def _lower(look: Look, words: _Words) -> str:
    outfit = look.outfit
    if outfit.lower == "none" or outfit.upper == "suit" or not words.sight.shows("lower"):
        return ""
    if outfit.lower == "skirt" and UPPERS[outfit.upper].hem[0] < 0.45:
        return ""  # hidden under a coat
    colour = words.colour("lower", outfit.lower_colour, DENIM if outfit.lower == "jeans" else COLOURS)
    if not _kind_shows(words.sight, "lower") and outfit.lower in _TROUSERS:
        return f"{colour}trousers"
    article = "a " if outfit.lower == "skirt" else ""
    return f"{article}{colour}{words.one_of(*LOWER_NAMES.get(outfit.lower, (outfit.lower,)))}"


def _shoes(look: Look, words: _Words) -> str:
    if not _part_shows(look, words.sight, "shoes"):
        return ""
    colour = words.colour("shoes", look.outfit.shoe_colour)
    return f"{colour}{words.one_of(*SHOE_NAMES[look.outfit.shoes]) if _kind_shows(words.sight, 'shoes') else 'shoes'}"


def _hat_and_glasses(look: Look, words: _Words) -> str:
    outfit, sight = look.outfit, words.sight
    things = []
    if outfit.hat != "none" and _part_shows(look, sight, "hat"):
        name = "brimmed hat" if outfit.hat == "brim" else outfit.hat
        things.append(f"a {words.colour('hat', outfit.hat_colour)}{name}")
    least_px = {"clear": GLASSES_PX, "sun": SUNGLASSES_PX}.get(outfit.glasses)
    near = least_px is not None and sight.height_px >= least_px and sight.off_front_deg <= FACE_DEG
    if near and sight.shows("face", FACE_SHARE) and max(sight.tints.get("face", (255,))) >= 2 * DARK:
        things.append({"clear": "glasses", "sun": "sunglasses"}[outfit.glasses])
    return (
        f"{_subject(look, sight)} {words.one_of('wears', 'has on')} {' and '.join(things)}." if things else ""
    )


def _carried(look: Look, words: _Words) -> list[str]:
    outfit, sight, told = look.outfit, words.sight, []
    if outfit.bag != "none" and _part_shows(look, sight, "bag"):
        told.append((BAG_SENTENCES[outfit.bag], words.colour("bag", outfit.bag_colour)))
    if outfit.prop != "none" and _part_shows(look, sight, "prop"):
        told.append((PROP_SENTENCES[outfit.prop], words.colour("prop", outfit.prop_colour)))
    who = _subject(look, sight)
    return [f"{who} {words.one_of(*choices).format(colour)}." for choices, colour in told]


def _subject(look: Look, sight: Sight) -> str:
    if not _person_shows(look, sight):
        return "The person"
    return "He" if look.body.male else "She"


def _listed(clauses: list[str]) -> str:
    return clauses[0] if len(clauses) == 1 else f"{', '.join(clauses[:-1])} and {clauses[-1]}"
