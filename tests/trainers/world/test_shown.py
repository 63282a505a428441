"""What was once named beside a picture that did not show it: each rule, where it speaks and where it is silent."""

import dataclasses

import numpy as np
import pytest

from trainers.world.camera import Camera
from trainers.world.captions import captions, describe
from trainers.world.doll import PARTS, PROP, UPPER
from trainers.world.domains import DOMAINS
from trainers.world.looks import Look, sample_look
from trainers.world.records import sight_of
from trainers.world.render import Picture, Seen
from trainers.world.rig import Pose
from trainers.world.shown import Shown
from trainers.world.sight import EVERYTHING, Sight, Tint, tints_of
from trainers.world.view import View
from trainers.world.wardrobe import COLOURS

FULL = dict(EVERYTHING.parts)
WHITE, BLACK = (230.0, 230.0, 230.0), (20.0, 20.0, 20.0)
DARK_HEAD = {"hair": (48.0, 40.0, 36.0), "skin": (52.0, 42.0, 36.0)}


def _look(**traits: str) -> Look:
    look = sample_look(1)
    body = {"gender": "male", "age": "adult", "hair": "short", "hair_colour": "black", "beard": "none"}
    outfit = {
        "upper": "tshirt", "upper_colour": "red", "upper_colour2": "white", "upper_pattern": "solid",
        "lower": "trousers", "lower_colour": "grey", "shoes": "sneakers",
        "shoe_colour": "white", "hat": "none", "glasses": "none", "bag": "none", "bag_colour": "orange", "prop": "none",
    }  # fmt: skip
    body |= {name: value for name, value in traits.items() if name in (*body, "shape")}
    outfit |= {name: value for name, value in traits.items() if name in outfit}
    return Look(dataclasses.replace(look.body, **body), dataclasses.replace(look.outfit, **outfit))


def _said(look: Look, sight: Sight) -> str:
    return " ".join(captions(look, sight, 8, np.random.default_rng(0)))


@pytest.mark.parametrize(
    ("traits", "word", "shows", "hides"),
    [
        ({}, "man", Sight(FULL, 200, 0), Sight(FULL, 130, 0)),  # a face is too small
        ({}, "man", Sight(FULL, 200, 0), Sight(FULL, 200, 0, tints={"face": (60.0, 50, 45)})),
        ({}, "man", Sight(FULL, 220, 0), Sight(FULL, 220, 0, colours=False)),
        ({"hair": "medium"}, "man", Sight(FULL, 200, 20), Sight(FULL, 200, 90, tints={"face": BLACK})),
        ({"age": "child"}, "boy", EVERYTHING, Sight(FULL, 220, 0)),  # nothing tells how tall somebody is
        ({"age": "elderly", "hair_colour": "grey"}, "elderly", EVERYTHING, Sight(FULL, 200, 0, colours=False)),
        ({"beard": "beard"}, "beard", Sight(FULL, 220, 0), Sight(FULL, 130, 0)),
        ({"gender": "female", "hair": "long"}, "long", Sight(FULL, 150, 150), Sight(FULL, 150, 20)),
        ({"gender": "female", "hair": "medium"}, "chin", Sight(FULL, 120, 90), Sight(FULL, 240, 10)),
        ({"gender": "female", "hair": "long"}, "long", Sight(FULL, 150, 150), Sight(FULL, 150, 150, visibility=0.5)),
        ({"upper": "sweater"}, "pullover", Sight(FULL, 150, 10), Sight(FULL, 150, 10, visibility=0.5)),
        ({"bag": "backpack"}, "rucksack", Sight(FULL, 170, 10), Sight(FULL, 150, 10)),
        ({}, "shoes", Sight(FULL, 150, 10), Sight(FULL, 150, 10, colours=False)),
        ({"gender": "female", "hair": "long"}, "long", Sight(FULL, 150, 150), Sight(FULL, 150, 150, tints=DARK_HEAD)),
        ({"hair": "bun"}, "bun", Sight(FULL, 200, 90), Sight(FULL, 200, 70)),
        ({"hair": "bun"}, "bun", Sight(FULL, 160, 170), Sight(FULL, 160, 170, colours=False)),
        ({}, "man", Sight(FULL, 200, 0), Sight(FULL, 200, 85)),  # a profile
        ({}, "man", Sight(FULL, 200, 0), Sight(FULL, 200, 0, visibility=0.5)),
        ({"upper_pattern": "hstripe"}, "red", Sight(FULL, 150, 0), Sight(FULL, 105, 0)),  # stripes that run together
        ({"upper_pattern": "logo"}, "red", Sight(FULL, 150, 0), Sight(FULL, 105, 0, tints={"upper": BLACK})),
        ({"upper": "hoodie"}, "hood", Sight(FULL, 210, 10), Sight(FULL, 150, 10)),
        ({"upper": "jacket"}, "jacket", Sight(FULL, 150, 10), Sight(FULL, 150, 160)),
        ({"upper": "suit"}, "suit", Sight(FULL, 150, 10), Sight(FULL, 150, 160)),
        ({"upper": "puffer"}, "padded", Sight(FULL, 150, 10), Sight(FULL, 150, 10, tints={"upper": (40.0, 45, 85)})),
        ({"lower": "jeans", "lower_colour": "blue"}, "jeans", Sight(FULL, 150, 0), Sight(FULL, 80, 0)),
        ({"lower": "jeans", "lower_colour": "black"}, "jeans", Sight(FULL, 260, 0), Sight(FULL, 200, 0)),
        ({"shoes": "sneakers"}, "trainers", Sight(FULL, 300, 0), Sight(FULL, 200, 0)),
        ({"hat": "cap"}, "cap", Sight(FULL, 150, 90), Sight(FULL, 150, 170)),
        ({"hat": "cap"}, "cap", Sight(FULL, 110, 0, colours=False), Sight(FULL, 90, 0, colours=False)),
        ({"bag": "shopping"}, "bag", Sight(FULL, 150, 0), Sight(FULL, 80, 0)),
    ],
)  # fmt: skip
def test_a_word_is_said_only_where_it_is_seen(
    traits: dict[str, str], word: str, shows: Sight, hides: Sight
) -> None:
    look = _look(**traits)
    assert word in _said(look, shows)
    assert word not in _said(look, hides)


@pytest.mark.parametrize(
    ("part", "tints", "shows"),
    [
        ("shoes", {"shoes": BLACK, "lower": BLACK}, False),  # like the trousers above them
        ("shoes", {"shoes": WHITE, "lower": BLACK}, True),
        ("prop", {"prop": (110.0, 112, 116)}, False),  # a grey umbrella over a grey street
        ("prop", {"prop": (180.0, 30, 40)}, True),
        (
            "bag",
            {"bag": BLACK, "upper": (26.0, 24, 22)},
            False,
        ),  # a strap like the cloth below it, from any side
        ("bag", {"bag": (180.0, 100, 40), "upper": BLACK}, True),
    ],
)
@pytest.mark.parametrize("off_front_deg", [10, 160])
def test_what_is_like_its_surroundings_is_not_seen(
    part: str, tints: dict[str, Tint], shows: bool, off_front_deg: float
) -> None:
    sight = Sight(FULL, 200, off_front_deg, tints=tints | {"background": (120.0, 120, 120)})
    assert Shown(_look(bag="shoulder", prop="umbrella"), sight).part(part) is shows


@pytest.mark.parametrize(
    ("shape", "upper", "fullness", "told"),
    [
        ("slim", "tshirt", 0.14, True),
        ("slim", "tshirt", 0.18, False),
        ("slim", "tshirt", None, False),  # cut off, or hidden by others
        ("heavy", "tshirt", 0.22, True),
        ("heavy", "coat", 0.22, False),  # a coat makes anybody wide
    ],
)
def test_build_is_told_by_the_outline(shape: str, upper: str, fullness: float | None, told: bool) -> None:
    sight = Sight(FULL, 200, 0, fullness=fullness)
    assert Shown(_look(shape=shape, upper=upper), sight).shape is told


@pytest.mark.parametrize(
    ("name", "seen", "told"),
    [
        ("dark grey", (121, 151, 127), ""),  # far lighter, and green
        ("dark grey", (80, 84, 88), "dark grey"),
        ("yellow", (71, 64, 53), ""),  # so dark that it looks brown
        ("navy blue", (61, 64, 75), ""),  # hardly blue
        ("navy blue", (42, 46, 63), "navy blue"),
        ("beige", (160, 228, 120), ""),
        ("white", (110, 112, 111), ""),
        ("black", (30, 30, 33), "dark"),
    ],
)
def test_colours_are_called_as_they_look(name: str, seen: Tint, told: str) -> None:
    assert Sight(FULL, 200, 0, tints={"upper": seen}).colour("upper", name, COLOURS[name]) == told


def test_who_sits_is_not_called_heavy() -> None:
    sight = Sight(FULL, 200, 0, fullness=0.3)
    assert "heavily" in _said(_look(shape="heavy"), sight)
    assert "heavily" not in _said(_look(shape="heavy", prop="wheelchair"), sight)


def test_an_umbrella_makes_nobody_taller_or_thinner() -> None:
    ids, parts = np.zeros((100, 40), np.int32), np.zeros((100, 40), np.uint8)
    ids[:10], parts[:10] = 1, PROP
    ids[40:, 15:25], parts[40:, 15:25] = 1, UPPER
    picture = Picture(np.zeros((100, 40, 3), np.uint8), ids, parts, ())
    seen = Seen(0, (0, 0, 40, 100), (0, 0, 40, 100), 1.0, 1.0, {"prop": 0.4, "upper": 0.6})
    view = View(
        DOMAINS["hall"].place(), Camera(DOMAINS["hall"].place().mounts[0], 64, 36), DOMAINS["hall"].style
    )
    sight = sight_of(picture, seen, Pose(0, 0, 0), view)
    assert sight.height_px == 60
    assert sight.fullness == pytest.approx(600 / 60**2)


def test_the_full_text_says_what_no_picture_could() -> None:
    look = _look(
        age="elderly", hair_colour="brown", upper_pattern="raglan", upper_colour="black", upper_colour2="grey"
    )
    alike = dataclasses.replace(look, outfit=dataclasses.replace(look.outfit, upper_colour2="navy blue"))
    assert "elderly man" in describe(look)
    assert "navy blue sleeves" in describe(alike)


def test_tints_are_taken_away_from_the_edge_of_a_part() -> None:
    ids, labels = np.zeros((9, 9), np.int32), np.zeros((9, 9), np.uint8)
    ids[2:7, 2:7], labels[2:7, 2:7] = 1, UPPER
    image = np.full((9, 9, 3), 200, np.uint8)
    image[2:7, 2:7], image[3:6, 3:6] = 120, (10, 20, 30)  # the lens mixes the rim with the background
    assert tints_of(image, ids, labels, 0)["upper"] == (30, 20, 10)
    ids[:], labels[:] = 0, 0
    ids[4, 4], labels[4, 4] = 1, PARTS.index("hat")
    assert tints_of(image, ids, labels, 0)["hat"] == (30, 20, 10)  # nothing but its edge
