"""`musewatch engines` as an operator types it."""

import json
import re

import pytest
import yaml

from engines import shelf
from engines.testing import stripe_embedder, write_engine
from pipeline.cli.main import main

NETWORK = stripe_embedder((64, 32))


@pytest.fixture
def here(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("MUSEWATCH_CONFIG", raising=False)
    return tmp_path


@pytest.fixture
def call(capfd):
    """Exit code, stdout (parsed with --json) and stderr of a command line."""

    def run(*words):
        code = main(["engines", *words])
        out, err = capfd.readouterr()
        return code, json.loads(out) if "--json" in words else out, err

    return run


def test_an_engine_is_checked_added_listed_and_shown(here, call):
    source = write_engine(here / "from", NETWORK, operating_point={"max_distance": 0.7})
    (here / "musewatch.yaml").write_text("data_dir: ./kept")

    assert call("check", "from/tiny.yaml") == (
        0,
        "tiny fits: 'pictures' (any, 3, 64, 32) float32 -> 'colours' (any, 3, 8, 1) float32\n",
        "",
    )
    code, added, _ = call("add", str(source), "--json")
    assert (code, added["manifest"]) == (0, "kept/engines/tiny/tiny.yaml")

    source.with_name("tiny.onnx").unlink()  # the copy stands on its own
    code, listed, _ = call("list", "--json")
    assert (code, listed["problems"]) == (0, [])
    assert [row for row in listed["engines"] if row["name"] == "tiny"] == [added]
    assert re.search(r"^tiny +embedder +0\.7 +Apache-2\.0 +kept/", call("list")[1], re.MULTILINE)
    assert call("check", "tiny")[0] == 0
    assert yaml.safe_load(call("show", "tiny")[1])["operating_point"]["max_distance"] == 0.7
    assert call("show", "tiny", "--json")[1]["manifest"] == "kept/engines/tiny/tiny.yaml"


def test_what_ships_with_us_is_listed_first(here, call, monkeypatch):
    write_engine(here / "zoo", NETWORK, name="ours")
    write_engine(here / "data" / "engines" / "added", NETWORK, name="added")
    monkeypatch.setattr(shelf, "ZOO", here / "zoo")
    assert [row["name"] for row in call("list", "--json")[1]["engines"]] == ["ours", "added"]
    assert call("check", "ours")[0] == 0


def test_a_name_is_taken_once(here, call):
    write_engine(here, NETWORK)
    assert call("add", "tiny.yaml")[0] == 0
    code, out, err = call("add", "tiny.yaml")
    assert (code, out) == (2, "")
    assert "there is an engine tiny already" in err


def test_check_tells_what_does_not_fit_and_ends_with_1(here, call):
    write_engine(here, NETWORK, preprocess={"colour": "bgr", "resize": "stretch", "size": [64, 64]})
    code, answer, err = call("check", "tiny.yaml", "--json")
    assert (code, answer["ok"], err) == (1, False, "")
    (problem,) = answer["problems"]
    assert problem["where"] == "tiny.yaml"
    assert "(any, 3, 64, 32)" in problem["problem"]
    assert problem["fix"]
    code, out, _ = call("check", "tiny.yaml")
    assert code == 1
    assert problem["problem"] in out


def test_an_engine_that_does_not_fit_is_not_added(here, call):
    write_engine(here, NETWORK, sha256="0" * 64)
    code, out, err = call("add", "tiny.yaml")
    assert (code, out) == (2, "")
    assert "sha256" in err
    assert not (here / "data").exists()


@pytest.mark.parametrize("command", ["show", "check", "add"])
def test_a_wrong_manifest_ends_with_2(command, here, call):
    write_engine(here, NETWORK, licens="x")
    code, out, err = call(command, "tiny.yaml")
    assert (code, out) == (2, "")
    assert "did you mean 'licence'?" in err
    code, _, err = call(command, "nowhere")
    assert code == 2
    assert "no engine called nowhere" in err


def test_a_wrong_manifest_on_the_shelf_does_not_hide_the_others(here, call):
    write_engine(here / "data" / "engines" / "good", NETWORK, name="good")
    write_engine(here / "data" / "engines" / "bad", NETWORK, name="bad", role="watcher")
    code, answer, _ = call("list", "--json")
    assert code == 0
    assert "good" in [row["name"] for row in answer["engines"]]
    assert [problem["where"] for problem in answer["problems"]] == ["data/engines/bad/bad.yaml"]
    assert "role" in call("list")[2]


def test_data_dir_comes_from_the_config(here, call, monkeypatch):
    write_engine(here / "site" / "store" / "engines" / "tiny", NETWORK)
    (here / "site" / "c.yaml").write_text("{version: 1, data_dir: '${STORE}'}")
    monkeypatch.setenv("STORE", "store")
    assert call("check", "tiny")[0] == 2
    assert call("check", "tiny", "-c", "site/c.yaml")[0] == 0
    monkeypatch.setenv("MUSEWATCH_CONFIG", "site/c.yaml")
    assert call("check", "tiny")[0] == 0
    code, _, err = call("list", "-c", "absent.yaml")
    assert code == 2
    assert "there is no file absent.yaml" in err


def test_data_dir_follows_the_rules_of_every_config(here, call, monkeypatch):
    write_engine(here / "site" / "store" / "engines" / "tiny", NETWORK)
    (here / "site" / "where").write_text("store\n")
    config = here / "site" / "c.yaml"
    config.write_text("{version: 1, data_dir: '${file:where}', site: '${OF_NO_CONCERN}'}")
    assert call("check", "tiny", "-c", "site/c.yaml")[0] == 0
    config.write_text("{version: 1, data_dir: '${NOWHERE}'}")
    code, _, err = call("list", "-c", "site/c.yaml")
    assert code == 2
    assert "data_dir: the environment variable NOWHERE is not set" in err
    config.write_text("{version: 1, data_dir: $STORE}")
    monkeypatch.setenv("STORE", "store")
    assert call("check", "tiny", "-c", "site/c.yaml")[0] == 2, "only ${NAME} is filled in, as in run"
