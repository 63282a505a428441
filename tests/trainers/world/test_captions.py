"""Texts name what the picture shows, and nothing else."""

import dataclasses
import re

import numpy as np
import pytest

from trainers.world.captions import captions, describe, visible_attributes
from trainers.world.looks import Look, sample_look
from trainers.world.sight import EVERYTHING, Sight, off_front
from trainers.world.wardrobe import COLOURS

FULL = dict(EVERYTHING.parts)


def _look(**clothes: str) -> Look:
    look = sample_look(1)
    body = dataclasses.replace(
        look.body, hair="short", hair_colour="blond", gender="male", beard="beard", age="adult"
    )
    plain = {
        "upper": "tshirt", "upper_colour": "red", "upper_colour2": "teal", "upper_pattern": "logo", "lower": "jeans",
        "lower_colour": "blue", "shoes": "boots", "shoe_colour": "black", "hat": "none", "glasses": "sun",
        "bag": "backpack", "bag_colour": "orange",
    }  # fmt: skip
    return Look(body, dataclasses.replace(look.outfit, **(plain | clothes)))


def _said(look: Look, sight: Sight) -> str:
    return " ".join(captions(look, sight, 6, np.random.default_rng(0))).lower()


def test_the_full_text_names_all() -> None:
    said = describe(_look(bag="none"))
    for word in ("blond", "beard", "red T-shirt", "teal logo", "blue jeans", "black boots", "sunglasses"):
        assert word in said


@pytest.mark.parametrize(
    ("part", "words"),
    [
        ("bag", "backpack|rucksack|orange"),
        ("shoes", "boots|black"),
        ("lower", "jeans|denim|blue"),
        ("hair", "blond|hair"),
        ("upper", "shirt|tee|red|teal"),
    ],
)
def test_a_part_that_is_not_seen_is_not_named(part: str, words: str) -> None:
    assert re.search(words, _said(_look(), Sight(FULL, 200, 0)))
    hidden = Sight({name: share for name, share in FULL.items() if name != part}, 200, 0)
    assert not re.search(words, _said(_look(), hidden))


@pytest.mark.parametrize("sight", [Sight(FULL, 200, 150), Sight(FULL, 60, 0)])
def test_chest_and_face_are_named_only_from_the_front_and_from_near(sight: Sight) -> None:
    assert not re.search("logo|emblem|teal|beard|sunglasses", _said(_look(), sight))


def test_hair_under_a_hat_is_not_named() -> None:
    assert "blond" not in _said(_look(hat="beanie"), Sight(FULL, 200, 0))


def test_a_ponytail_is_named_only_from_the_side_and_from_behind() -> None:
    look = _look()
    look = Look(dataclasses.replace(look.body, hair="ponytail"), look.outfit)
    assert "ponytail" in _said(look, Sight(FULL, 200, 150))
    front = _said(look, Sight(FULL, 200, 10))
    assert "blond hair" in front
    assert "ponytail" not in front
    assert "ponytail" in describe(look)


def test_near_infrared_has_no_colours() -> None:
    said = _said(_look(), Sight(FULL, 200, 0, colours=False))
    assert not set(re.findall(r"\w+", said)) & {word for name in COLOURS for word in name.split()}


@pytest.mark.parametrize(
    ("tint", "said", "not_said"),
    [
        ((150, 40, 45), "red", "dark"),
        ((35, 14, 15), "dark", "red"),  # too little light to tell the colour
        ((60, 110, 160), "t-shirt", "red"),  # a cast turned it blue
        ((12, 10, 10), "man", "t-shirt|top|red"),  # nothing is seen
    ],
)
def test_a_colour_is_named_only_as_the_picture_shows_it(
    tint: tuple[float, float, float], said: str, not_said: str
) -> None:
    look = _look(upper_pattern="solid", bag="none", shoe_colour="white", lower_colour="light blue")
    told = captions(look, Sight(FULL, 200, 0, tints={"upper": tint}), 1, np.random.default_rng(1))[0].lower()
    assert re.search(said, told)
    assert not re.search(rf"\b({not_said})\b", told)


def test_who_is_all_in_the_dark_wears_dark_clothes() -> None:
    night = {"upper": (14.0, 12, 12), "lower": (10.0, 9, 9)}
    said = _said(_look(), Sight(FULL, 200, 0, tints=night))
    assert "dark clothes" in said
    assert not re.search("shirt|jeans|denim", said)


def test_from_afar_cloth_is_only_cloth_and_nobody_is_known() -> None:
    said = _said(_look(), Sight(FULL | {"face": 0.0, "hair": 0.0}, 65, 20))
    assert re.search("person in|person, wearing|person dressed", said)
    assert not re.search("t-shirt|jeans|denim|boots|man|beard|thin|slim", said)
    assert re.search("trousers", said)


def test_a_strap_like_the_cloth_below_it_is_no_bag() -> None:
    alike = {"upper": (90.0, 40.0, 40.0), "bag": (95.0, 45.0, 38.0)}
    assert "pack" not in _said(_look(), Sight(FULL, 200, 0, tints=alike))
    apart = alike | {"bag": (200.0, 110.0, 40.0)}
    assert re.search("backpack|rucksack", _said(_look(), Sight(FULL, 200, 0, tints=apart)))


def test_wording_varies_and_articles_fit() -> None:
    said = captions(_look(upper_colour="orange"), Sight(FULL, 200, 0), 5, np.random.default_rng(0))
    assert len(set(said)) == 5
    assert not any(re.search(r"\ba [aeio]", text, re.IGNORECASE) for text in said)


def test_visible_attributes_are_those_that_may_be_asked_about() -> None:
    shown = visible_attributes(_look(), Sight({"upper": 0.6, "skin": 0.1}, 120, 170))
    assert "bag" not in shown
    assert "upper_pattern" not in shown
    assert shown["upper_colour"] == "red"


def test_the_angle_to_the_camera() -> None:
    assert off_front(0.0, 0, 0, 0, 5) == pytest.approx(0)  # heading 0 faces +y
    assert off_front(0.0, 0, 0, 0, -5) == pytest.approx(180)
    assert off_front(0.0, 0, 0, 5, 0) == pytest.approx(90)
