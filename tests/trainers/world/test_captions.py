"""Texts name what the picture shows, and nothing else."""

import dataclasses
import re

import numpy as np
import pytest

from trainers.world.captions import EVERYTHING, Sight, captions, describe, off_front, visible_attributes
from trainers.world.looks import Look, sample_look
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
