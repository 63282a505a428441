"""`musewatch init` as a newcomer types it: a config that `check` accepts, and what comes next."""

import json
import shlex
import stat
from pathlib import Path

import pytest
import yaml

from engines.fetch.catalogue import load_catalogue
from engines.testing import stripe_embedder, write_engine
from pipeline.cli.main import main
from pipeline.config import load_config
from plugins import command_init
from plugins.command_init import DEMO_CLIP


@pytest.fixture(autouse=True)
def here(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("MUSEWATCH_CONFIG", raising=False)
    monkeypatch.setattr(command_init, "WEBCAM", tmp_path / "no-camera")
    return tmp_path


@pytest.fixture
def call(capfd):
    """Exit code, stdout (parsed with --json) and stderr of a command line."""

    def run(*words):
        code = main([*map(str, words)])
        out, err = capfd.readouterr()
        return code, json.loads(out) if "--json" in words else out, err

    return run


def document(path="musewatch.yaml"):
    return yaml.safe_load(Path(path).read_text(encoding="utf-8"))


def fetched(folder):
    """Stands for the recommended pair on the shelf: its names, with a network for each."""
    for entry in load_catalogue().find("real"):
        keys = {"role": "embedder", "name": entry.name, "operating_point": {"max_distance": 0.7}}
        write_engine(folder / "data" / "engines" / entry.name, stripe_embedder((64, 32)), **keys)


def test_check_accepts_it_and_the_bundled_engines_say_what_they_are_good_for(here, call):
    assert call("init", "--camera", DEMO_CLIP)[0] == 0
    code, answer, _ = call("check", "musewatch.yaml", "--json")
    assert (code, answer["problems"]) == (0, [])
    assert answer["streams"][0]["people"] > 0
    (note,) = answer["notes"]
    assert "musewatch engines fetch real" in note


def test_it_says_what_to_do_next(here, call):
    code, out, err = call("init", "--camera", "rtsp://127.0.0.1:8554/door")
    assert code == 0
    assert [shlex.split(line)[1] for line in out.splitlines()] == ["check", "watchlist", "run"]
    assert "wrote musewatch.yaml" in err
    assert "musewatch engines fetch real" in err
    assert document()["streams"] == [
        {"id": "camera", "source": {"use": "rtsp", "url": "rtsp://127.0.0.1:8554/door"}}
    ]


def test_a_config_is_never_replaced(here, call):
    (here / "musewatch.yaml").write_text("mine")
    code, out, err = call("init", "--camera", DEMO_CLIP)
    assert (code, out) == (2, "")
    assert "musewatch.yaml is there already" in err
    assert (here / "musewatch.yaml").read_text() == "mine"


def test_the_fetched_pair_is_taken_where_it_is_here(here, call):
    fetched(here)
    code, answer, _ = call("init", "--camera", DEMO_CLIP, "--json")
    assert (code, answer["engines"], answer["config"]) == (0, "real", "musewatch.yaml")
    config = load_config(here / "musewatch.yaml")
    pair = load_catalogue().find("real")
    assert [config.detector.settings["engine"], config.embedder.settings["engine"]] == [e.name for e in pair]


def test_the_bundled_pair_on_request(here, call):
    fetched(here)
    assert call("init", "--camera", DEMO_CLIP, "--engines", "bundled", "--json")[1]["engines"] == "bundled"
    assert document()["embedder"] == {"use": "onnx", "engine": "person-small"}


def test_what_is_not_fetched_is_not_written_down(here, call):
    code, _, err = call("init", "--camera", DEMO_CLIP, "--engines", "real")
    assert code == 2
    assert "musewatch engines fetch real" in err
    assert not (here / "musewatch.yaml").exists()


def test_another_place_and_a_password_that_nobody_else_reads(here, call):
    code, _, err = call("init", "-c", "site/door.yaml", "--camera", "rtsp://me:secret@127.0.0.1/1")
    assert code == 0
    assert "secret" not in err
    assert stat.S_IMODE((here / "site/door.yaml").stat().st_mode) == 0o600
    assert document("site/door.yaml")["streams"][0]["source"]["url"] == "rtsp://me:secret@127.0.0.1/1"


def test_a_camera_is_looked_for_where_none_is_given(here, call, monkeypatch):
    assert call("init", "-c", "demo.yaml")[0] == 0
    assert document("demo.yaml")["streams"][0]["source"] == {"use": "file", "path": str(DEMO_CLIP)}
    (here / "video0").touch()
    monkeypatch.setattr(command_init, "WEBCAM", here / "video0")
    monkeypatch.setattr(command_init, "source_of", lambda url: {"use": "camera", "device": url})
    assert call("init", "-c", "webcam.yaml")[0] == 0
    assert document("webcam.yaml")["streams"][0]["source"] == {
        "use": "camera",
        "device": str(here / "video0"),
    }


def test_a_machine_without_anything_to_see_needs_a_camera(here, call, monkeypatch):
    monkeypatch.setattr(command_init, "DEMO_CLIP", here / "no-clip")
    code, _, err = call("init")
    assert code == 2
    assert "--camera" in err


def test_a_folder_that_cannot_be_written(here, call):
    (here / "file").touch()
    code, _, err = call("init", "-c", "file/c.yaml", "--camera", DEMO_CLIP)
    assert code == 2
    assert "cannot be written" in err


@pytest.mark.parametrize("url", ["rtsp://cam/1: #", "it's {odd}.mp4", "- [x]"])
def test_any_address_is_written_so_that_it_reads_back(url, here, call):
    assert call("init", "--camera", url)[0] == 0
    source = load_config(here / "musewatch.yaml").streams[0].source.settings
    assert (source.get("url") or source["path"]) in (url, str(here / url))
