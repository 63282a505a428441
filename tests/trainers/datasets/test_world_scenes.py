"""Scenes of the world, written by its own command, read back and searched."""

import json

import numpy as np
import pytest

from pipeline.cli.main import main
from pipeline.errors import InputError
from trainers.datasets.catalogue import find
from trainers.datasets.search import official
from trainers.evaluate.feature_set import FeatureSet
from trainers.evaluate.rules import RULES


@pytest.fixture(scope="module")
def root(tmp_path_factory):
    out = tmp_path_factory.mktemp("world") / "scenes"
    size = ["--scenes", "8", "--people", "5", "--seed", "3", "--size", "320x180"]
    assert main(["world", "scenes", str(out), "--domain", "hall", *size]) == 0
    return out


def test_everybody_shown_is_read_back_with_box_mask_and_text(root):
    scenes = [json.loads(line) for line in (root / "scenes.jsonl").read_text().splitlines()]
    shown = [(number, p) for number, scene in enumerate(scenes) for p in scene["people"] if p["shown"]]
    gallery = find("world-scenes").load(root).splits["gallery"]
    assert [(s.scene, s.identity) for s in gallery] == [(number, p["person_id"]) for number, p in shown]
    for sample, (_, person) in zip(gallery, shown, strict=True):
        x, y, wide, high = person["box"]
        assert sample.box == (x, y, x + wide, y + high)
        assert sample.text == tuple(person["captions"])
        assert sample.mask is not None
        assert sample.mask.exists()


def test_a_person_is_found_in_the_scenes_that_show_them(root):
    search = official("world-scenes/galleries of 50", root)
    assert search.rule == "scenes_50"

    def vectors(samples):
        return np.eye(8, dtype=np.float32)[[sample.identity for sample in samples]]

    data = FeatureSet.of(search.arrays(vectors))
    with pytest.raises(InputError, match="galleries of 50 scenes need as many"):
        RULES["scenes_50"](data.unit_distances(), data)
    present = {
        scene for scene, who in zip(data.labels["gallery_scenes"], data.gallery_ids, strict=True) if who == 1
    }
    assert present


def test_a_damaged_line_is_named(root, tmp_path):
    for name in ("scenes.jsonl", "queries.jsonl"):
        (tmp_path / name).write_text((root / name).read_text() + '{"query": 3}\n')
    with pytest.raises(InputError, match=r"queries\.jsonl"):
        find("world-scenes").load(tmp_path)
