"""The short form of the campaign: nothing but errors of ours comes of changed inputs of any kind."""

from pathlib import Path

import pytest

from tests.fuzz.campaign import play
from tests.fuzz.kinds import kinds

INPUTS = {"config": 150, "manifest": 150, "zip": 60, "npz": 150}


@pytest.mark.parametrize("name", kinds(Path()))
def test_changed_inputs_are_taken_or_refused(tmp_path: Path, name: str) -> None:
    outcome = play(kinds(tmp_path)[name](), INPUTS.get(name, 400), seed=7)
    assert outcome.findings == {}
    assert outcome.refused > 0
