"""Describes people in words: only what a picture shows, in varied wording, every clause from the truth."""

import re
from dataclasses import dataclass
from functools import lru_cache

import numpy as np

from trainers.world.looks import Look
from trainers.world.shown import Shown
from trainers.world.sight import EVERYTHING, Sight
from trainers.world.wardrobe import COLOURS, DENIM, Colour
from trainers.world.wording import (
    BAG_SENTENCES,
    LOWER_NAMES,
    PATTERNS,
    PROP_SENTENCES,
    SHOE_NAMES,
    UPPER_NAMES,
)


@lru_cache(maxsize=256)
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
    shown, words = Shown(look, sight), _Words(rng, sight)
    worn = [clause for clause in (_upper(shown, words), _lower(shown, words), _shoes(shown, words)) if clause]
    if sight.hides_in_the_dark("upper") and sight.hides_in_the_dark("lower"):
        worn.insert(0, "dark clothes")
    if rng is not None and len(worn) > 1 and rng.random() < 0.25:
        rng.shuffle(worn)
    extras = [sentence for sentence in (_hat_and_glasses(shown, words), *_carried(shown, words)) if sentence]
    if rng is not None:
        rng.shuffle(extras)
        if len(extras) > 1 and rng.random() < 0.2:
            extras.pop()
    first = f"A {_person(shown, words)}"
    if worn:
        first += f"{words.one_of(', wearing ', ' dressed in ', ' in ')}{_listed(worn)}"
    text = " ".join([f"{first}.", *extras])
    return re.sub(r"\b([Aa]) (?=[aeio])", r"\1n ", text)


def visible_attributes(look: Look, sight: Sight) -> dict[str, str]:
    """The attributes that the picture shows, by name: what may be asked about."""
    body, outfit, shown, words = look.body, look.outfit, Shown(look, sight), _Words(None, sight)
    told: dict[str, str] = {}
    if shown.gender:
        told["gender"] = body.gender
        told |= {"age": body.age} if shown.age else {}
    if shown.shape:
        told["shape"] = body.shape
    if shown.hair:
        told["hair_colour"] = shown.hair_colour
        told |= {"hair": body.hair} if shown.hair_style else {}
    for part, names in _BY_PART.items():
        if shown.part(part):
            kind = {names[0]: str(getattr(outfit, names[0]))} if shown.kind(part) else {}
            paints = DENIM if outfit.lower == "jeans" and part == "lower" else COLOURS
            told |= kind | {names[1]: words.colour(part, str(getattr(outfit, names[1])), paints).strip()}
    if "upper_colour" in told:
        told["upper_colour"] = shown.upper_colour
    if shown.pattern:
        told["upper_pattern"] = outfit.upper_pattern
    return {name: value for name, value in told.items() if value not in ("none", "", "dark")}


_BY_PART = {
    "hat": ("hat", "hat_colour"),
    "upper": ("upper", "upper_colour"),
    "lower": ("lower", "lower_colour"),
    "shoes": ("shoes", "shoe_colour"),
    "bag": ("bag", "bag_colour"),
    "prop": ("prop", "prop_colour"),
}
_SIMPLE_PRINTS = {"camo", "solid"}
_OF_COLOUR = {"twotone", "raglan"}  # nothing is left to say without the colour


_TROUSERS = {"jeans", "trousers", "sweatpants", "leggings"}


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


def _person(shown: Shown, words: _Words) -> str:
    body, named = shown.look.body, "person"
    if shown.gender:
        named = words.one_of("man", "male person") if body.male else words.one_of("woman", "female person")
        if body.age == "child":
            named = "boy" if body.male else "girl"
        elif body.age == "elderly" and shown.age:
            named = f"elderly {named}"
    build = {"slim": words.one_of("slim ", "thin "), "average": "", "heavy": "heavily built "}[body.shape]
    features = [_hair(shown)] if shown.hair else []
    features += ["a beard"] if shown.beard else []
    text = (build if shown.shape else "") + named
    told = [feature for feature in features if feature]
    return f"{text} with {' and '.join(told)}" if told else text


def _hair(shown: Shown) -> str:
    style = shown.look.body.hair
    colour = f"{shown.hair_colour} " if shown.hair_colour else ""
    if not shown.hair_style:
        return f"{colour}hair" if colour else ""
    told = {
        "bald": "a bald head",
        "ponytail": f"{colour}hair in a ponytail",
        "bun": f"{colour}hair in a bun",
        "crop": f"very short {colour}hair",
        "medium": f"chin-length {colour}hair",
    }
    return told.get(style, f"{style} {colour}hair")


def _upper(shown: Shown, words: _Words) -> str:
    outfit = shown.look.outfit
    if not shown.part("upper"):
        return ""
    colour, pattern = f"{shown.upper_colour} ".lstrip(), outfit.upper_pattern
    if not shown.kind("upper"):
        return f"a {colour}{_plain_upper(shown)}"
    text = f"a {colour}{words.one_of(*UPPER_NAMES.get(outfit.upper, (outfit.upper,)))}"
    if pattern == "solid" or not shown.pattern:
        return text
    second = f"{outfit.upper_colour2} " if colour == f"{outfit.upper_colour} " else ""
    if pattern in _OF_COLOUR and not second:
        return text
    if pattern in _SIMPLE_PRINTS:
        second = ""
    return f"{text} {words.one_of(*PATTERNS[pattern]).format(second)}"


def _plain_upper(shown: Shown) -> str:
    """What it is called from afar."""
    upper = shown.look.outfit.upper
    if upper in ("coat", "dress"):
        return upper
    return (
        "jacket" if upper == "puffer" or (upper in ("jacket", "suit") and shown.sight.from_front) else "top"
    )


def _lower(shown: Shown, words: _Words) -> str:
    outfit = shown.look.outfit
    if outfit.upper == "suit" or not shown.part("lower"):
        return ""
    colour = words.colour("lower", outfit.lower_colour, DENIM if outfit.lower == "jeans" else COLOURS)
    if not shown.kind("lower") and outfit.lower in _TROUSERS:
        return f"{colour}trousers"
    article = "a " if outfit.lower == "skirt" else ""
    return f"{article}{colour}{words.one_of(*LOWER_NAMES.get(outfit.lower, (outfit.lower,)))}"


def _shoes(shown: Shown, words: _Words) -> str:
    if not shown.part("shoes"):
        return ""
    outfit = shown.look.outfit
    name = words.one_of(*SHOE_NAMES[outfit.shoes]) if shown.kind("shoes") else "shoes"
    return f"{words.colour('shoes', outfit.shoe_colour)}{name}"


def _hat_and_glasses(shown: Shown, words: _Words) -> str:
    outfit, things = shown.look.outfit, []
    if shown.part("hat"):
        name = ("brimmed hat" if outfit.hat == "brim" else outfit.hat) if shown.kind("hat") else "hat"
        things.append(f"a {words.colour('hat', outfit.hat_colour)}{name}")
    if shown.glasses:
        things.append({"clear": "glasses", "sun": "sunglasses"}[outfit.glasses])
    return f"{_subject(shown)} {words.one_of('wears', 'has on')} {' and '.join(things)}." if things else ""


def _carried(shown: Shown, words: _Words) -> list[str]:
    outfit, told = shown.look.outfit, []
    if shown.part("bag"):
        told.append((BAG_SENTENCES[outfit.bag], words.colour("bag", outfit.bag_colour)))
    if shown.part("prop"):
        told.append((PROP_SENTENCES[outfit.prop], words.colour("prop", outfit.prop_colour)))
    who = _subject(shown)
    return [f"{who} {words.one_of(*choices).format(colour)}." for choices, colour in told]


def _subject(shown: Shown) -> str:
    if not shown.gender:
        return "The person"
    return "He" if shown.look.body.male else "She"


def _listed(clauses: list[str]) -> str:
    return clauses[0] if len(clauses) == 1 else f"{', '.join(clauses[:-1])} and {clauses[-1]}"
