"""Near infrared: colours are gone, but cloth, prints, seams and hair of one person remain to be seen."""

import dataclasses
from typing import Any

import numpy as np
import pytest

from trainers.world.body import build_figure
from trainers.world.compiled import F64, U8
from trainers.world.doll import HAIR, SHEET_H, SHEET_W, SKIN, UPPER
from trainers.world.figure import Figure
from trainers.world.looks import Look, sample_look
from trainers.world.paint import paint

COLOUR, NIR, PART = slice(0, 3), 3, 4


def _look(**clothes: Any) -> Look:
    look = sample_look(3, "winter")
    plain: dict[str, Any] = {
        "hat": "none",
        "bag": "none",
        "prop": "none",
        "upper_pattern": "solid",
        "lower": "trousers",
    }
    return dataclasses.replace(look, outfit=dataclasses.replace(look.outfit, **(plain | clothes)))


def _atlas(look: Look) -> U8:
    figure: Figure = build_figure(look)
    return paint(look, figure, np.ones((SHEET_H, SHEET_W), bool))


def _upper_front(atlas: U8) -> tuple[F64, F64]:
    """Brightness and near infrared of the front of the upper garment."""
    sheet = atlas[:, :SHEET_W]
    worn = sheet[..., PART] == UPPER
    return sheet[worn][:, COLOUR].mean(1), sheet[worn][:, NIR].astype(float)


def test_a_print_stays_visible() -> None:
    printed = _look(upper="sweater", upper_pattern="hstripe", upper_colour="black", upper_colour2="white")
    brightness, infrared = _upper_front(_atlas(printed))
    white = brightness > 140
    assert 0.1 < white.mean() < 0.7
    assert infrared[white].mean() > 1.5 * infrared[~white].mean()


def test_relief_is_as_deep_as_in_colours() -> None:
    brightness, infrared = _upper_front(_atlas(_look(upper="puffer", upper_colour="grey")))
    assert np.corrcoef(brightness, infrared)[0, 1] > 0.8


def test_like_colours_may_differ_by_their_dye() -> None:
    looks = [_look(upper="sweater", upper_colour="black", seed=seed) for seed in range(12)]
    levels = [_upper_front(_atlas(look))[1].mean() for look in looks]
    assert max(levels) > min(levels) + 30


@pytest.mark.parametrize("seed", range(3))
def test_dark_hair_stands_off_the_skin(seed: int) -> None:
    body = dataclasses.replace(sample_look(seed).body, hair="long", hair_colour="black")
    atlas = _atlas(dataclasses.replace(_look(), body=body))
    hair, skin = (atlas[atlas[..., PART] == part][:, NIR].mean() for part in (HAIR, SKIN))
    assert hair < 0.7 * skin
