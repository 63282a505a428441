"""A plugin whose library is missing says which extra brings it."""

from importlib.metadata import EntryPoint

import pytest

from pipeline import registry
from pipeline.errors import UnknownPluginError

MISSING = "a_library_nobody_has.tracker:Tracker"


@pytest.mark.parametrize(
    ("value", "advice"),
    [
        (f"{MISSING} [agpl]", r"make -C /\S+ extra NAMES=agpl"),
        (MISSING, "install the package that brings its library"),
    ],
)
def test_a_missing_library_names_its_extra(monkeypatch: pytest.MonkeyPatch, value: str, advice: str) -> None:
    point = EntryPoint("far", value, "musewatch.tracker")
    monkeypatch.setattr(registry, "known", lambda role: {"far": point})
    with pytest.raises(UnknownPluginError, match=rf"tracker 'far'.*a_library_nobody_has.*{advice}"):
        registry.load("tracker", "far")


@pytest.mark.parametrize(
    ("role", "name", "extra"),
    [("tracker", "boxmot", "agpl"), ("detector", "ultralytics", "agpl"), ("verifier", "lmm", "mllm")],
)
def test_plugins_of_an_extra_name_it(role: str, name: str, extra: str) -> None:
    assert registry.known(role)[name].extras == [extra]
