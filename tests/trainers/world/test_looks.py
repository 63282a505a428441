"""People by seed: the same ones each time, bodies apart from clothes, splits apart from each other."""

import dataclasses
from itertools import pairwise

import pytest

from pipeline.errors import ConfigError
from trainers.world.domains import (
    DOMAINS,
    HELD_OUT,
    PEOPLE_PER_SEED,
    SPLIT_SEEDS,
    find_domain,
    identity_seeds,
    random_domain,
)  # fmt: skip
from trainers.world.hard import HARD_CASES, find_case, harden
from trainers.world.looks import sample_body, sample_look
from trainers.world.wardrobe import COLOURS, DENIM, UPPERS, WARDROBES


def test_a_seed_is_a_person() -> None:
    assert sample_look(5) == sample_look(5)
    assert sample_look(5).body != sample_look(6).body


def test_another_outfit_leaves_the_body_alone() -> None:
    one, other = sample_look(5), sample_look(5, "winter", outfit_seed=99)
    assert one.body == other.body
    assert one.outfit != other.outfit


def test_every_colour_that_is_worn_has_a_paint() -> None:
    for wardrobe in WARDROBES:
        for seed in range(300):
            outfit = sample_look(seed, wardrobe).outfit
            named = {
                outfit.upper_colour,
                outfit.upper_colour2,
                outfit.shoe_colour,
                outfit.hat_colour,
                outfit.bag_colour,
            }
            assert named <= COLOURS.keys()
            assert outfit.lower_colour in (DENIM if outfit.lower == "jeans" else COLOURS)
            assert outfit.upper in UPPERS


def test_wardrobes_differ() -> None:
    coats = {
        name: sum(sample_look(seed, name).outfit.upper == "coat" for seed in range(300)) for name in WARDROBES
    }
    assert coats["winter"] > 40 > coats["summer"]


def test_splits_share_nobody() -> None:
    ranges = sorted(SPLIT_SEEDS.values(), key=lambda seeds: seeds.start)
    assert all(one.stop <= other.start for one, other in pairwise(ranges))
    first, second = identity_seeds("test", 0, PEOPLE_PER_SEED), identity_seeds("test", 1, PEOPLE_PER_SEED)
    assert first.stop <= second.start


@pytest.mark.parametrize(
    ("split", "seed", "people"), [("nobody", 0, 1), ("test", 10**6, 1), ("test", 0, 10**6)]
)
def test_seeds_outside_their_split_are_refused(split: str, seed: int, people: int) -> None:
    with pytest.raises(ConfigError):
        identity_seeds(split, seed, people)


def test_scene_style_and_wardrobe_are_independent() -> None:
    mixed = find_domain("hall", scene="park", style="infrared", wardrobe="winter")
    assert (mixed.scene, mixed.infrared, mixed.wardrobe) == ("park", True, "winter")
    assert (
        dataclasses.replace(mixed, scene="hall", style=DOMAINS["hall"].style, wardrobe="summer")
        == DOMAINS["hall"]
    )


def test_unknown_names_are_refused_with_the_known_ones() -> None:
    with pytest.raises(ConfigError, match="garage"):
        find_domain("moon")
    with pytest.raises(ConfigError, match="like-clothes"):
        find_case("moon")


def test_random_domains_are_drawn_by_seed_and_leave_the_held_out_place_alone() -> None:
    assert random_domain(3) == find_domain("random-3")
    drawn = [random_domain(seed) for seed in range(40)]
    assert len({domain.style for domain in drawn}) == 40
    assert {domain.scene for domain in drawn}.isdisjoint(HELD_OUT)


def _people() -> list[int]:
    return list(range(8))


def test_like_clothes_are_on_different_people() -> None:
    looks = harden([sample_look(seed) for seed in _people()], HARD_CASES["like-clothes"], "summer")
    assert len({look.body.seed for look in looks[:4]}) == 4
    assert len({(look.outfit.seed, look.outfit.upper_colour) for look in looks[:4]}) == 1
    assert looks[4].outfit.seed != looks[0].outfit.seed


def test_changed_clothes_are_on_one_person() -> None:
    looks = harden([sample_look(seed) for seed in _people()], HARD_CASES["changed-clothes"], "summer")
    assert {look.body for look in looks[:4]} == {sample_body(0)}
    assert len({look.outfit.seed for look in looks[:4]}) == 4
