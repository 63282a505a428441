"""Plugins are found by role and name, and refused with what is known."""

from importlib.metadata import EntryPoint
from pathlib import Path

import pytest
from pydantic import Field

from pipeline import registry
from pipeline.errors import ConfigError, UnknownPluginError
from pipeline.settings import ConfigPath, Settings, choose


class Needy:
    """Wants a path and a number."""

    class Config(Settings):
        """Its keys."""

        path: ConfigPath
        share: float = Field(default=0.5, ge=0, le=1)

    def __init__(self, config: Config) -> None:
        self.config = config


@pytest.fixture
def needy(monkeypatch: pytest.MonkeyPatch) -> None:
    point = EntryPoint("needy", f"{__name__}:Needy", "musewatch.masker")
    monkeypatch.setitem(registry.known("masker"), "needy", point)


def test_every_role_is_found_by_its_own_group() -> None:
    assert set(registry.known("masker")) == {"box"}
    assert set(registry.known("source")) == {"camera", "file", "folder", "rtsp"}
    assert registry.known("nothing") == {}


def test_an_unknown_name_comes_with_the_known_ones() -> None:
    with pytest.raises(
        UnknownPluginError, match="no source is called 'rstp'; known: camera, file, folder, rtsp"
    ):
        registry.load("source", "rstp")


def test_a_missing_library_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    point = EntryPoint("gone", "a_library_nobody_has:Thing", "musewatch.sink")
    monkeypatch.setitem(registry.known("sink"), "gone", point)
    with pytest.raises(
        UnknownPluginError, match="sink 'gone' cannot be loaded: No module named 'a_library_nobody_has'"
    ):
        registry.load("sink", "gone")


def test_a_class_that_is_not_there_is_said_to_be_so(monkeypatch: pytest.MonkeyPatch) -> None:
    point = EntryPoint("typo", f"{__name__}:Nedy", "musewatch.sink")
    monkeypatch.setitem(registry.known("sink"), "typo", point)
    with pytest.raises(
        UnknownPluginError, match=r"sink 'typo' cannot be loaded: AttributeError: .*'Nedy'. mend "
    ):
        registry.load("sink", "typo")


def test_a_plugin_without_settings_is_said_to_have_none(monkeypatch: pytest.MonkeyPatch) -> None:
    point = EntryPoint("bare", "builtins:object", "musewatch.sink")
    monkeypatch.setitem(registry.known("sink"), "bare", point)
    with pytest.raises(ConfigError, match=r"sinks\.0: 'bare' has no Config"):
        registry.build("sink", choose("bare"), Path(), "sinks.0")


def test_two_plugins_of_one_name_are_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    points = [EntryPoint("loud", f"{package}:Sink", "musewatch.sink") for package in ("ours", "theirs")]
    monkeypatch.setattr(registry, "entry_points", lambda group: points)
    with pytest.raises(
        ConfigError, match="two plugins call themselves sink 'loud': ours:Sink and theirs:Sink"
    ):
        registry.known.__wrapped__("sink")


def test_one_plugin_seen_twice_is_one(monkeypatch: pytest.MonkeyPatch) -> None:
    points = [EntryPoint("loud", "ours:Sink", "musewatch.sink")] * 2
    monkeypatch.setattr(registry, "entry_points", lambda group: points)
    assert list(registry.known.__wrapped__("sink")) == ["loud"]


@pytest.mark.usefixtures("needy")
def test_a_plugin_gets_its_own_keys_with_paths_from_the_config() -> None:
    made = registry.build("masker", choose("needy", path="a/b", share=0.25), Path("/site"), "masker")
    assert made.config.path == Path("/site/a/b")
    assert made.config.share == 0.25


@pytest.mark.usefixtures("needy")
@pytest.mark.parametrize(
    ("keys", "message"),
    [
        ({}, "masker: path: Field required"),
        ({"path": "x", "shar": 1}, "masker: shar: unknown key; did you mean 'share'?"),
        ({"path": "x", "share": 2}, "masker: share: Input should be less than or equal to 1"),
    ],
)
def test_wrong_keys_are_named_with_their_path(keys: dict[str, object], message: str) -> None:
    with pytest.raises(ConfigError) as caught:
        registry.build("masker", choose("needy", **keys), Path(), "masker")
    assert str(caught.value) == message
