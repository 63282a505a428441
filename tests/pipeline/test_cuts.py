"""Where the cut comes from: the config, the embedder's engine, a verifier that fuses."""

from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from pipeline import build
from pipeline.calls import Guests
from pipeline.config import parse_config
from pipeline.errors import ConfigError
from pipeline.identify.calibration import Cuts
from pipeline.plugged import PluggedCodec, PluggedEmbedder, PluggedVerifier
from pipeline.testing import FakeCodec, FakeEmbedder


def cuts(folder: Path, decision: dict[str, Any], **verifier: Any) -> Cuts:
    config = parse_config({"version": 1, "decision": decision, "verifier": {"use": "lmm"}}, folder)
    guests = Guests()
    embedder = PluggedEmbedder.of(FakeEmbedder(max_distance=0.2), guests)
    looks = build.Looks(
        embedder, PluggedCodec.of(FakeCodec(), guests), build.max_distance(config, embedder), guests
    )
    return build.cuts(config, looks, PluggedVerifier.of(SimpleNamespace(**verifier), guests))


def point(**more: Any) -> SimpleNamespace:
    return SimpleNamespace(**({"max_distance": 0.6, "embedder": None, "alpha": None, "tau": None} | more))


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
