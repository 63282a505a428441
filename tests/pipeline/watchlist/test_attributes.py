"""Attributes on the command line, and the sentence they make."""

import pytest

from pipeline.errors import ConfigError
from pipeline.watchlist.attributes import NAMES, parse_attributes, sentence


def test_everything_said_is_in_the_sentence() -> None:
    attributes = {name: f"{name}-value" for name in NAMES}
    text = sentence(attributes)
    assert [name for name in NAMES if text.count(f"{name}-value") != 1] == []
    assert text.startswith(
        "A photo of an age-value shape-value gender-value with hair-value hair_colour-value hair,"
    )


@pytest.mark.parametrize(
    ("pairs", "text"),
    [
        (["gender=man", "hat=cap", "hat_colour=white"], "A photo of a man, wearing a white cap."),
        (["shoes = red trainers"], "A photo of a person, wearing red trainers."),
        (["upper=dress"], "A photo of a person, wearing a dress."),
        (["upper=coat", "lower=jeans", "shoes=boots", "bag_colour=orange"],
         "A photo of a person, wearing a coat, jeans and boots, carrying an orange bag."),
        (["hair_colour=grey"], "A photo of a person with grey hair."),
        (["upper=shirt=blue"], "A photo of a person, wearing a shirt=blue."),
    ],
)  # fmt: skip
def test_the_sentence(pairs: list[str], text: str) -> None:
    assert sentence(parse_attributes(pairs)) == text


@pytest.mark.parametrize(
    ("pairs", "problem"),
    [
        (["uper=coat"], "did you mean 'upper'"),
        (["zzz=1"], "known: gender"),
        (["coat"], "no attribute is called 'coat'"),
        (["upper="], "upper has no value"),
        (["upper=coat", "upper=shirt"], "upper comes twice"),
    ],
)
def test_what_is_no_attribute_is_refused(pairs: list[str], problem: str) -> None:
    with pytest.raises(ConfigError, match=problem):
        parse_attributes(pairs)
