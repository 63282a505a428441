"""Where the cut comes from: the config, the embedder's engine, a verifier that fuses."""

import json
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from pipeline import build
from pipeline.calls import Guests
from pipeline.config import parse_config
from pipeline.desk.check import check
from pipeline.errors import ConfigError
from pipeline.identify.calibration import Cuts
from pipeline.plugged import PluggedDetector, PluggedEmbedder, PluggedVerifier
from pipeline.testing import FakeDetector, FakeEmbedder


def cuts(folder: Path, decision: dict[str, Any], **verifier: Any) -> Cuts:
    config = parse_config({"version": 1, "decision": decision, "verifier": {"use": "lmm"}}, folder)
    guests = Guests()
    embedder = PluggedEmbedder.of(FakeEmbedder(max_distance=0.2), guests)
    return build.cuts(config, embedder, PluggedVerifier.of(SimpleNamespace(**verifier), guests))


def point(**more: Any) -> SimpleNamespace:
    return SimpleNamespace(**({"max_distance": 0.6, "embedder": None, "alpha": None, "tau": None} | more))


def calibrated(folder: Path, **engines: Any) -> dict[str, Any]:
    """A decision by a calibration of these engines."""
    rows = [{"enrolled": 1, "max_distance": 0.5, "low": 0.4, "high": 0.6}]
    document = {
        "schema": "musewatch.calibration/1",
        "made_from": "pairs.npz",
        "made_at": "2026-11-30T22:00:00+00:00",
        "asked": {"fpir": 0.01},
        "engines": {"embedder": "sha256:fake"} | engines,
        "picture": {"genuine": 10, "impostor": 100, "cuts": rows},
    }
    (folder / "calibration.json").write_text(json.dumps(document))
    return {"calibration": "calibration.json"}


def test_a_calibration_says_where_a_hit_begins(tmp_path: Path) -> None:
    found = cuts(tmp_path, calibrated(tmp_path))
    assert (found.pictures, found.texts, found.fused) == (0.5, None, None)
    told = {"verifier": "sha256:judge", "fuses": True, "alpha": 0.2, "tau": 1.0}
    here = {"engine_digest": "sha256:judge", "fuses": True, "alpha": 0.2, "tau": 1.0}
    found = cuts(tmp_path, calibrated(tmp_path, **told), **here)
    assert (found.pictures, found.texts, found.fused) == (0.2, None, 0.5)


@pytest.mark.parametrize(
    ("told", "problem"),
    [
        (
            {"embedder": "sha256:other"},
            "calibration.json was made with embedder sha256:other, here sha256:fake",
        ),
        ({"verifier": "sha256:judge"}, "made with verifier sha256:judge, here None"),
        ({"alpha": 0.3, "fuses": True}, r"made with fuses True, here False; alpha 0\.3, here None"),
    ],
)
def test_start_is_refused_where_an_engine_of_the_calibration_changed(
    tmp_path: Path, told: dict[str, Any], problem: str
) -> None:
    with pytest.raises(ConfigError, match=problem):
        cuts(tmp_path, calibrated(tmp_path, **told))


def test_a_calibration_of_another_detector_is_refused(tmp_path: Path) -> None:
    detector = PluggedDetector.of(FakeDetector(), Guests())
    decision = calibrated(tmp_path, detector="sha256:other")
    config = parse_config({"version": 1, "decision": decision}, tmp_path)
    with pytest.raises(ConfigError, match="made with detector sha256:other, here None"):
        build.need_calibrated(config, detector)
    calibrated(tmp_path)
    build.need_calibrated(config, detector)  # one of features alone goes with any


@pytest.mark.parametrize(
    ("content", "problem"),
    [
        (None, "cannot be read: No such file"),
        ("{", "cannot be read: not JSON"),
        ('{"schema": "musewatch.calibration/9"}', "schema"),
    ],
)
def test_a_calibration_that_cannot_be_read_is_refused(
    tmp_path: Path, content: str | None, problem: str
) -> None:
    if content is not None:
        (tmp_path / "calibration.json").write_text(content)
    with pytest.raises(ConfigError, match=problem):
        cuts(tmp_path, {"calibration": "calibration.json"})


def test_a_calibration_and_a_number_cannot_both_say_it(tmp_path: Path) -> None:
    for more in ({"max_distance": 0.5}, {"max_distance_text": 1.2}):
        with pytest.raises(ConfigError, match="a calibration gives the cuts"):
            cuts(tmp_path, calibrated(tmp_path) | more)


def test_check_tells_what_is_wrong_with_a_calibration(tmp_path: Path) -> None:
    document = {"version": 1, "decision": calibrated(tmp_path), "telemetry": {"listen": None}}
    problems, *_ = check(parse_config(document, tmp_path))
    assert [p.where for p in problems if "was made with embedder" in p.problem] == ["decision.calibration"]


def test_of_the_plain_distance_is_the_embedders_or_the_configs(tmp_path: Path) -> None:
    assert cuts(tmp_path, {}) == Cuts(0.2)
    assert cuts(tmp_path, {"max_distance": 0.7, "max_distance_text": 1.3}) == Cuts(0.7, 1.3)


def test_auto_is_the_operating_point_of_a_verifier_that_fuses(tmp_path: Path) -> None:
    chosen = point(embedder="sha256:fake", alpha=0.2, tau=1.0)
    told = {"fuses": True, "alpha": 0.2, "tau": 1.0}
    assert cuts(tmp_path, {}, operating_point=chosen, **told) == Cuts(0.2, None, 0.6)
    assert cuts(tmp_path, {"max_distance": 0.7}, operating_point=chosen, **told) == Cuts(0.7)
    assert cuts(tmp_path, {}, operating_point=chosen) == Cuts(0.2), "it does not fuse"


@pytest.mark.parametrize(
    ("chosen", "problem"),
    [
        (None, "the verifier 'lmm' has no operating point"),
        (point(embedder="sha256:other"), "chosen with embedder sha256:other, here sha256:fake"),
        (point(alpha=0.3), r"chosen with alpha 0\.3, here 0\.2"),
        (point(alpha=0.2, tau=2.0), r"chosen with tau 2\.0, here 1\.0"),
        (point(max_distance=3.0), r"operating_point\.max_distance: Input should be less than or equal to 2"),
    ],
)
def test_start_is_refused_where_its_point_does_not_fit(tmp_path: Path, chosen: Any, problem: str) -> None:
    with pytest.raises(ConfigError, match=problem):
        cuts(tmp_path, {}, fuses=True, operating_point=chosen, alpha=0.2, tau=1.0)
