"""`evaluate protocol` on public sets as they were published, without a table."""

import json

import cv2
import pytest
import yaml

from pipeline.cli.main import main
from pipeline.errors import ConfigError, InputError
from tests.support.pictures import BLUE, RED, person
from tests.trainers.datasets.trees import TREES
from trainers.datasets.catalogue import LAYOUTS
from trainers.datasets.search import BY_TEXT, official


def test_the_first_search_is_the_default(tmp_path):
    TREES["prcc"](tmp_path)
    same, changed = official("prcc", tmp_path), official("prcc/cross-clothes", tmp_path)
    assert [(p.identity, p.camera, p.clothes) for p in same.query] == [(2, 2, 0)]
    assert [(p.identity, p.camera, p.clothes) for p in changed.query] == [(2, 3, 1)]
    assert [(p.identity, p.camera, p.clothes) for p in same.gallery] == [(2, 1, 0)]
    assert same.gallery == changed.gallery


def test_trials(tmp_path):
    TREES["grid"](tmp_path)
    assert [p.identity for p in official("grid", tmp_path, 1).query] == [2]
    assert [p.identity for p in official("grid", tmp_path, 2).query] == [1]


@pytest.mark.parametrize(
    "name", [name for name, layout in LAYOUTS.items() if layout.reader and name in TREES]
)
def test_every_set_is_searched_or_says_why_not(name, tmp_path):
    TREES[name](tmp_path)
    searches = LAYOUTS[name].searches
    if not searches:
        with pytest.raises(ConfigError, match="has no search of one picture"):
            official(name, tmp_path)
    for search, known in searches.items():
        pictures = official(f"{name}/{search}", tmp_path)
        assert pictures.query
        assert pictures.gallery
        assert bool(pictures.texts) == (known.rule == BY_TEXT)
        if known.rule != BY_TEXT:
            assert not {p.path for p in pictures.query} & {p.path for p in pictures.gallery}


def test_a_set_without_a_tree_here_is_searched_where_it_is_made():
    assert {name for name, layout in LAYOUTS.items() if layout.reader} - set(TREES) == {"world-scenes"}


def test_refusals(tmp_path):
    with pytest.raises(ConfigError, match=r"LTCC has no search sideways\. it has standard, cloth-changing"):
        official("ltcc/sideways", tmp_path)
    with pytest.raises(InputError, match="expected train/"):
        official("ltcc", tmp_path)


def run(tmp_path, capsys, **settings):
    plan = {
        "version": 1, "sets": {"celeb": {"pictures": "set", "rules": ["all_cameras"]} | settings},
        "encoders": {"colour": {"embedder": {"use": "colour"}}}, "protocols": ["grid"],
    }  # fmt: skip
    (tmp_path / "p.yaml").write_text(yaml.safe_dump(plan))
    code = main(["evaluate", "protocol", str(tmp_path / "p.yaml"), "--out", str(tmp_path / "out"), "--json"])
    return code, json.loads(capsys.readouterr().out)


def test_a_protocol_file_names_the_layout(tmp_path, capsys):
    for number, shirt in ((1, RED), (2, BLUE)):
        for split in ("train", "query", "gallery"):
            (tmp_path / "set" / split).mkdir(parents=True, exist_ok=True)
            cv2.imwrite(str(tmp_path / "set" / split / f"{number}_1_0.jpg"), person(shirt=shirt))
    code, document = run(tmp_path, capsys, layout="celebreid")
    assert code == 0
    assert document["rows"][0]["R1"] == 1


def test_a_layout_without_pictures_is_refused(tmp_path, capsys):
    code, document = run(tmp_path, capsys, layout="celebreid", table="t.csv")
    assert code == 2
    assert "a layout needs pictures, and no table" in document["error"]
