"""Plugins that raise, hang or give what cannot be, in a run: no hit is lost, nothing ends, somebody is told."""

import json
import threading
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator
from itertools import count as count_up
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from pipeline.errors import HangingError
from pipeline.messages import Detections
from pipeline.runner.runner import Runner, Status
from plugins.codec_opencv import OpenCVCodec
from plugins.embedders.colour import ColourEmbedder
from plugins.index_exact import ExactIndex
from plugins.masker_box import BoxMasker
from plugins.trackers.appearance import AppearanceTracker
from plugins.verifier_distance import DistanceVerifier
from tests.pipeline.runner.rig import SCRIPTS, Camera, Rig, clip, play, plug_in
from tests.servers.ports import free_port
from tests.support.enrolment_desk import DrawnDetector
from tests.support.pictures import RED

SHORT = {"call_s": 0.3, "spare_call_s": 0.2, "backoff_s": [0.01, 0.02]}
SPARE = {
    "index": (ExactIndex, "search"),
    "verifier": (DistanceVerifier, "verify"),
    "masker": (BoxMasker, "mask"),
}
NEEDED = {
    "detector": (DrawnDetector, "detect"),
    "tracker": (AppearanceTracker, "update"),
    "embedder": (ColourEmbedder, "embed"),
    "codec": (OpenCVCodec, "encode"),
}
RUBBISH: dict[str, Any] = {
    "index": (np.zeros((1, 1), np.float32), np.full((1, 1), 99)),
    "verifier": [],
    "masker": [None, None, None],
    "detector": [Detections.empty()] * 9,
    "tracker": np.array([0.5]),
    "embedder": np.full((1, 7), np.nan, np.float32),
    "codec": "a picture",
}


@pytest.fixture
def rig(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Rig:
    plug_in(monkeypatch)
    made = Rig(tmp_path)
    made.enrol("anna", RED)
    return made


@pytest.fixture
def release() -> Iterator[threading.Event]:
    """Lets go what hangs; in the end in any case."""
    event = threading.Event()
    yield event
    event.set()


def out_of_memory(*_: object) -> None:
    raise RuntimeError("out of memory")


def count(runner: Runner, what: str, role: str) -> float | None:
    return runner.telemetry.registry.get_sample_value(f"musewatch_plugin_{what}_total", {"role": role})


@pytest.mark.parametrize("role", SPARE)
@pytest.mark.parametrize("way", ["raises", "hangs", "rubbish"])
def test_hits_are_made_without_what_can_be_spared(
    rig: Rig,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
    release: threading.Event,
    role: str,
    way: str,
) -> None:
    does: dict[str, Callable[..., Any]] = {
        "raises": out_of_memory,
        "hangs": lambda *_: release.wait(60),
        "rubbish": lambda *_: RUBBISH[role],
    }
    plugin, method = SPARE[role]
    monkeypatch.setattr(plugin, method, does[way])
    play("door", clip(40, RED))
    runner = Runner(rig.config("door", runner=SHORT))
    summary = runner.run(60.0)
    assert (rig.story, summary.failure) == ([("door", "anna", "opened"), ("door", "anna", "closed")], None)
    decisions = [event["data"]["decision"] for event in rig.events]
    missing = {"index": [], "verifier": ["verifier"], "masker": ["mask"]}[role]
    assert all(decision["degraded"] == missing for decision in decisions), (
        "without an index all rows are compared"
    )
    assert (count(runner, "timeouts", role), bool(count(runner, "failures", role))) == (
        float(way == "hangs"),
        way != "hangs",
    )
    assert [problem for problem in runner.problems() if f"the {role} '" in problem]
    told = [record for record in caplog.records if record.name == "musewatch.plugin"]
    assert len(told) == 1, "one line"
    assert f"the {role} '" in told[0].getMessage()


@pytest.mark.parametrize("role", NEEDED)
def test_a_stream_goes_on_when_what_hung_comes_back(
    rig: Rig, monkeypatch: pytest.MonkeyPatch, release: threading.Event, role: str
) -> None:
    plugin, method = NEEDED[role]
    works, calls = getattr(plugin, method), count_up()

    def hang(*arguments: Any) -> Any:
        if next(calls):  # the first embeds the watchlist, without which a run does not start
            release.wait(60)
        return works(*arguments)

    monkeypatch.setattr(plugin, method, hang)
    SCRIPTS["door"] = lambda: Camera(clip(30, RED))
    runner = Runner(rig.config("door", runner=SHORT))
    told: list[str] = []

    def look(status: Status) -> None:
        problems = [problem for problem in runner.problems() if f"the {role} '" in problem]
        told.extend(problems)
        if count(runner, "timeouts", role):
            release.set()
        if status.hits and told and not problems:
            runner.stop()

    summary = runner.run(60.0, look)
    assert "has not answered for" in told[0]
    assert (summary.hits, summary.failure) == (1, None)
    assert [problem for problem in runner.problems() if role in problem] == []


@pytest.mark.parametrize("role", NEEDED)
def test_an_answer_that_cannot_be_costs_itself(rig: Rig, monkeypatch: pytest.MonkeyPatch, role: str) -> None:
    plugin, method = NEEDED[role]
    works, calls = getattr(plugin, method), count_up()

    def odd(*arguments: Any) -> Any:
        return RUBBISH[role] if next(calls) % 3 == 1 else works(*arguments)

    monkeypatch.setattr(plugin, method, odd)
    play("door", clip(60, RED))
    runner = Runner(rig.config("door", runner=SHORT))
    summary = runner.run(60.0)
    assert (summary.hits, summary.failure) == (1, None)
    assert count(runner, "failures", role)


@pytest.mark.parametrize("role", ["detector", "codec"])
def test_a_recording_that_is_lost_on_a_plugin_that_hangs_is_no_success(
    rig: Rig, monkeypatch: pytest.MonkeyPatch, release: threading.Event, role: str
) -> None:
    monkeypatch.setattr(*NEEDED[role], lambda *_: release.wait(60))
    play("door", clip(40, RED))
    summary = Runner(rig.config("door", runner=SHORT)).run(60.0)
    assert summary.hits == 0
    assert isinstance(summary.failure, HangingError)
    assert f"the {role} '" in str(summary.failure)
    assert "what it was asked about is lost" in str(summary.failure)


def test_readyz_tells_of_a_plugin_that_hangs(
    rig: Rig, monkeypatch: pytest.MonkeyPatch, release: threading.Event
) -> None:
    monkeypatch.setattr(DistanceVerifier, "verify", lambda *_: release.wait(60))
    SCRIPTS["door"] = lambda: Camera(clip(30, RED))

    port = free_port()
    runner = Runner(rig.config("door", runner=SHORT, telemetry={"listen": f"127.0.0.1:{port}"}))
    answers: list[Any] = []

    def look(status: Status) -> None:
        if status.hits and not answers:
            try:
                urllib.request.urlopen(f"http://127.0.0.1:{port}/readyz", timeout=10)
            except urllib.error.HTTPError as error:
                answers.append((error.code, json.loads(error.read())))
            runner.stop()

    runner.run(60.0, look)
    ((code, answer),) = answers
    assert code == 503
    assert any("the verifier 'distance' has not answered for" in problem for problem in answer["problems"])
