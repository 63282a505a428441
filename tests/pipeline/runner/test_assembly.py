"""What the parts of a site say of themselves: once, when it is set up."""

import logging
from pathlib import Path

import pytest

from engines.testing import stripe_embedder, write_engine
from pipeline import build
from pipeline.config import parse_config
from pipeline.runner.runner import Runner
from plugins.embedders.colour import ColourEmbedder
from tests.pipeline.runner.rig import Rig, clip, play, plug_in
from tests.support.enrolment_desk import DrawnDetector
from tests.support.pictures import RED
from trainers.evaluate.clips import measuring

NOTE = "for drawn people only"


@pytest.fixture
def rig(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Rig:
    plug_in(monkeypatch)
    for part in (DrawnDetector, ColourEmbedder):
        monkeypatch.setattr(part, "note", NOTE, raising=False)
    return Rig(tmp_path)


def test_the_first_run_says_what_its_parts_are_good_for_and_no_other_does(
    rig: Rig, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO, "musewatch.runner")
    told = []
    for _ in range(2):
        play("door", clip(5, RED))
        caplog.clear()
        Runner(rig.config("door")).run()
        told.append([record.getMessage() for record in caplog.records if record.getMessage() == NOTE])
    assert told == [[NOTE], []]


def test_what_measures_elsewhere_finds_the_engines_of_the_site(tmp_path: Path) -> None:

    keys = {"name": "fetched", "operating_point": {"max_distance": 0.7}}
    write_engine(tmp_path / "kept/engines/fetched", stripe_embedder((64, 32)), **keys)
    document = {"version": 1, "data_dir": "kept", "embedder": {"use": "onnx", "engine": "fetched"}}
    config = measuring(parse_config(document, tmp_path), tmp_path / "out")
    assert config.data_dir == tmp_path / "out/data"
    assert build.plugin(config, "embedder", config.embedder).max_distance == 0.7
