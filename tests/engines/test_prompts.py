"""The question that ships, and what is left of it without its parts."""

import pytest
import yaml

from engines.prompts import Layout, Prompt
from tests.tree import ROOT

NAMED = Prompt(**{part: f"<{part}>" for part in Prompt.model_fields})
SHIPPED = Prompt.model_validate(yaml.safe_load((ROOT / "configs/prompts/pair.yaml").read_text()))


@pytest.mark.parametrize("layout", ["rules_first", "rules_last", "late"])
@pytest.mark.parametrize("part", sorted(set(Prompt.model_fields) - {"system"}))
def test_every_part_can_be_left_out(layout: Layout, part: str) -> None:
    whole, without = NAMED.words(layout), NAMED.model_copy(update={part: ""}).words(layout)
    said, left = ("|".join((each.before, each.first, each.second, each.after)) for each in (whole, without))
    assert f"<{part}>" not in left
    assert (f"<{part}>" in said) == (layout != "rules_last" or part != "cue")
    assert "\n\n" not in left


def test_the_rules_stand_where_the_layout_says() -> None:
    assert SHIPPED.rules in SHIPPED.words("rules_first").before
    assert SHIPPED.rules in SHIPPED.words("rules_last").after
    assert SHIPPED.words("late").after == ""


def test_nothing_at_all_is_a_question_too() -> None:
    words = Prompt().words("rules_first")
    assert (words.before, words.first, words.second, words.after) == ("", "", "", "")
