"""Every config in configs/ loads, each part says what its plugin knows, and every plugin is in one of them."""

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml

from pipeline import registry
from pipeline.cli.modules import missing_library
from pipeline.config import Config, load_config
from pipeline.errors import ConfigError
from pipeline.settings import PluginChoice
from tests.tree import ROOT

FILES = sorted((ROOT / "configs").glob("*.yaml"))
IN_DOCKER = [ROOT / "docker/edge.yaml", ROOT / "docker/verify.yaml"]
NOT_IN_A_CONFIG = {"command", "rerank", "projection"}  # sub-commands, functions, forms that sinks name
BOUNDS = {"maximum", "exclusiveMaximum", "enum", "const"}
NEEDS_TORCH = {"agpl.yaml", "dinov2.yaml", "lmm.yaml", "pe.yaml", "siglip2.yaml"}
WITHOUT_STREAMS = {"verify.yaml"}


def _choices(config: Config) -> Iterator[tuple[str, PluginChoice]]:
    """Every role of a config with its choice."""
    for role in ("detector", "tracker", "embedder", "verifier", "masker", "codec", "bus", "store"):
        yield role, getattr(config, role)
    yield "index", config.matcher.index
    yield from (("source", stream.source) for stream in config.streams)
    yield from (("sink", sink) for sink in config.sinks)


@pytest.fixture
def with_secrets(monkeypatch: pytest.MonkeyPatch) -> None:
    for path in [*FILES, *IN_DOCKER]:
        for name in re.findall(r"\$\{(\w+)\}", path.read_text(encoding="utf-8")):
            monkeypatch.setenv(name, "a-value")


@pytest.mark.usefixtures("with_secrets")
@pytest.mark.parametrize(
    "path",
    [pytest.param(path, marks=pytest.mark.torch if path.name in NEEDS_TORCH else ()) for path in FILES],
    ids=lambda path: path.name,
)
def test_a_config_loads_and_its_plugins_know_their_keys(path: Path) -> None:
    config = load_config(path)
    assert config.streams or path.name in WITHOUT_STREAMS
    for role, choice in _choices(config):
        settings = registry.settings_of(registry.load(role, choice.use), choice, config.base_dir, role)
        engine = getattr(settings, "engine", None)
        assert engine is None or engine.is_absolute()


@pytest.mark.usefixtures("with_secrets")
def test_every_plugin_is_in_one() -> None:
    named = {(role, choice.use) for path in FILES for role, choice in _choices(load_config(path))}
    ours = {
        (role, name)
        for role in set(registry.ROLES) - NOT_IN_A_CONFIG
        for name, point in registry.known(role).items()
        if point.dist is not None and point.dist.name == "musewatch"
    }
    assert ours - named == set()


def _unbounded(schema: Any, place: str) -> Iterator[str]:
    """Numbers of a JSON Schema that may be as large as they like."""
    if isinstance(schema, dict):
        if schema.get("type") in {"number", "integer"} and not BOUNDS & schema.keys():
            yield place
        for key, inner in schema.items():
            yield from _unbounded(inner, f"{place}.{key}")
    elif isinstance(schema, list):
        for i, inner in enumerate(schema):
            yield from _unbounded(inner, f"{place}.{i}")


def test_every_number_has_bounds() -> None:
    found = list(_unbounded(Config.model_json_schema(), "config"))
    for role in set(registry.ROLES) - NOT_IN_A_CONFIG:
        for name, point in registry.known(role).items():
            if point.dist is None or point.dist.name != "musewatch" or missing_library(point.module):
                continue
            found += _unbounded(registry.load(role, name).Config.model_json_schema(), f"{role} {name}")
    assert found == []


@pytest.mark.usefixtures("with_secrets")
def test_a_wrong_key_would_be_seen(tmp_path: Path) -> None:
    document = yaml.safe_load((ROOT / "configs" / "demo.yaml").read_text(encoding="utf-8"))
    document["detector"] = {"use": "hog", "min_scor": 0.3}
    path = tmp_path / "wrong.yaml"
    path.write_text(yaml.safe_dump(document), encoding="utf-8")
    config = load_config(path)
    with pytest.raises(ConfigError, match="did you mean 'min_score'"):
        registry.settings_of(registry.load("detector", "hog"), config.detector, tmp_path, "detector")


@pytest.mark.usefixtures("with_secrets")
def test_configs_name_engines_that_ship_with_us() -> None:
    named = [
        (path.name, choice.settings["engine"])
        for path in [*FILES, *IN_DOCKER]
        for role, choice in _choices(load_config(path))
        if "engine" in choice.settings and role != "verifier" and choice.use != "captions"  # none ships
    ]
    assert {"demo.yaml", "live.yaml", "edge.yaml", "verify.yaml", "gpu.yaml"} <= {name for name, _ in named}
    shipped = {path.stem for path in (ROOT / "engines/zoo").glob("*.yaml")}
    assert {engine for _, engine in named} <= shipped
