"""Engines by name in a config, beside paths."""

from pathlib import Path

import pytest

from engines.shelf import ZOO
from engines.testing import stripe_embedder, write_engine
from pipeline import registry
from pipeline.cli.main import main
from pipeline.errors import ConfigError
from pipeline.settings import choose

NETWORK = stripe_embedder((64, 32))


def engine_of(choice, folder, data_dir=None):
    plugin = registry.load("embedder", "onnx")
    return registry.settings_of(plugin, choose("onnx", engine=choice), folder, "embedder", data_dir).engine


def test_a_bundled_engine_by_its_name(tmp_path):
    assert engine_of("person-small", tmp_path) == ZOO / "person-small.yaml"


def test_an_added_engine_by_its_name(tmp_path):
    path = write_engine(tmp_path / "store" / "engines" / "ours", NETWORK, name="ours")
    assert engine_of("ours", tmp_path, tmp_path / "store") == path


def test_without_a_data_dir_they_are_in_the_configs_data(tmp_path):
    path = write_engine(tmp_path / "data" / "engines" / "ours", NETWORK, name="ours")
    assert engine_of("ours", tmp_path) == path


@pytest.mark.parametrize("given", ["engines/tiny.yaml", "../tiny.yaml", "tiny.yaml", "/abs/tiny"])
def test_a_path_stays_one_whether_it_is_there_or_not(given, tmp_path):
    assert engine_of(given, tmp_path) == tmp_path / given


def test_a_file_wins_over_a_name(tmp_path):
    (tmp_path / "person-small").write_text("a manifest without a suffix")
    assert engine_of("person-small", tmp_path) == tmp_path / "person-small"


def test_a_name_that_nobody_has_is_told_with_those_there_are(tmp_path):
    with pytest.raises(
        ConfigError, match=r"embedder: engine: .*no engine called person-smal; .*person-small"
    ):
        engine_of("person-smal", tmp_path)


def test_what_add_keeps_is_found_by_a_config(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("MUSEWATCH_CONFIG", raising=False)
    source = write_engine(tmp_path / "from", NETWORK, name="ours")
    assert main(["engines", "add", str(source)]) == 0
    assert engine_of("ours", Path(tmp_path)) == tmp_path / "data/engines/ours/ours.yaml"
    capsys.readouterr()
