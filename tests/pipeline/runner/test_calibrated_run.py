"""A run with a calibration: its cut follows the watchlist, and events say how likely a hit is right."""

import json
from pathlib import Path

import pytest

from pipeline.runner.runner import Runner
from plugins.embedders.colour import ColourEmbedder
from tests.pipeline.runner.rig import Rig, clip, play, plug_in
from tests.support.pictures import BLUE, GREEN, RED


def test_hits_carry_the_cut_and_the_probability(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    plug_in(monkeypatch)
    rig = Rig(tmp_path)
    rig.enrol("anna", RED)
    rig.enrol("luca", BLUE)
    play("door", clip(40, RED, GREEN))
    rows = [
        {"enrolled": size, "max_distance": cut, "low": cut, "high": cut} for size, cut in ((1, 0.5), (4, 0.3))
    ]
    likelihood = {"intercept": 20.0, "slope": -40.0}
    document = {
        "schema": "musewatch.calibration/1",
        "made_from": "pairs.npz",
        "made_at": "2026-11-30T22:00:00+00:00",
        "asked": {"fpir": 0.01},
        "engines": {"embedder": ColourEmbedder.engine_digest},
        "picture": {"genuine": 10, "impostor": 100, "cuts": rows, "likelihood": likelihood},
    }
    (tmp_path / "calibration.json").write_text(json.dumps(document))
    Runner(rig.config("door", decision={"calibration": "calibration.json"})).run()
    decisions = [event["data"]["decision"] for event in rig.events]
    assert [who for _, who, state in rig.story if state == "opened"] == ["anna"]
    assert {round(decision["max_distance"], 6) for decision in decisions} == {0.4}, "two are enrolled"
    assert all(0.9 < decision["probability"] <= 1 for decision in decisions)
