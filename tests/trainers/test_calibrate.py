"""`musewatch calibrate` on a file of features, as a script calls it; what it leaves is what a run decides by."""

import json
from importlib.metadata import EntryPoint
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from pipeline import build, registry
from pipeline.cli.main import main
from pipeline.config import load_config
from pipeline.identify.calibration import Calibration
from pipeline.messages import Verdict
from pipeline.settings import Settings
from plugins.embedders.colour import ColourEmbedder
from trainers.evaluate.feature_set import FeatureSet
from trainers.evaluate.pairs import searches_of

WIDTH = ColourEmbedder.dimension


def arrays(seed: int = 0, people: int = 40, **changes: Any) -> dict[str, NDArray[Any]]:
    """Everybody seen once and enrolled from another camera, twice."""
    rng = np.random.default_rng(seed)
    centres = rng.standard_normal((people, WIDTH)).astype(np.float32)
    ids = np.arange(people)

    def seen(who: NDArray[Any]) -> NDArray[np.float32]:
        return centres[who] + 0.3 * rng.standard_normal((len(who), WIDTH)).astype(np.float32)

    twice = np.repeat(ids, 2)
    return {
        "query_features": seen(ids), "gallery_features": seen(twice), "query_ids": ids, "gallery_ids": twice,
        "query_cameras": np.zeros(people, int), "gallery_cameras": np.ones(len(twice), int),
    } | changes  # fmt: skip


class Lab:
    """A folder with a config and a file of features."""

    def __init__(self, folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
        self.folder, self._capsys = folder, capsys
        self.config = folder / "c.yaml"
        self.config.write_text("version: 1\n")
        self.out = folder / "calibration.json"
        self.error = ""

    def calibrate(self, *options: str, code: int = 0, **changes: Any) -> dict[str, Any]:
        """The document of a call."""
        np.savez(self.folder / "pairs.npz", **arrays(**changes))
        line = ["calibrate", str(self.folder / "pairs.npz"), "-c", str(self.config), "--out", str(self.out)]
        assert main([*line, *(options or ("--fpir", "0.01")), "--json"]) == code
        out, self.error = self._capsys.readouterr()
        document: dict[str, Any] = json.loads(out)
        return document


@pytest.fixture
def lab(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> Lab:
    return Lab(tmp_path, capsys)


def test_what_it_leaves_is_what_a_run_decides_by(lab: Lab) -> None:
    document = lab.calibrate()
    kept = json.loads(lab.out.read_text())
    assert kept.items() <= document.items()
    assert document["curve"] == str(lab.out.with_suffix(".png"))
    assert Path(document["curve"]).read_bytes().startswith(b"\x89PNG")
    picture = document["picture"]
    assert (picture["genuine"], picture["impostor"]) == (80, 40 * 78)
    assert 0 < picture["many"] < 1, "two pictures of one person are alike"
    assert picture["cuts"][0]["found"] == 1.0

    lab.config.write_text("version: 1\ndecision: {calibration: calibration.json}\n")
    config = load_config(lab.config)
    assert build.calibration(config) == Calibration.model_validate(kept)
    assert main(["check", str(lab.config), "--json"]) == 1
    assert "decision.calibration" not in lab._capsys.readouterr().out


def test_start_is_refused_with_another_embedder(lab: Lab) -> None:
    lab.calibrate()
    kept = json.loads(lab.out.read_text())
    kept["engines"]["embedder"] = "sha256:before"
    lab.out.write_text(json.dumps(kept))
    lab.config.write_text("version: 1\ndecision: {calibration: calibration.json}\n")
    assert main(["check", str(lab.config), "--json"]) == 1
    assert "made with embedder sha256:before, here" in lab._capsys.readouterr().out


def test_false_alarms_a_day_are_a_share_of_the_people_of_a_day(lab: Lab) -> None:
    rare = lab.calibrate("--false-alarms-per-camera-day", "2", "--people-per-camera-day", "200")
    assert rare["asked"] == {"fpir": 0.01, "false_alarms_per_camera_day": 2.0, "people_per_camera_day": 200.0}
    assert rare["picture"] == lab.calibrate("--fpir", "0.01")["picture"]


def test_texts_have_a_calibration_of_their_own(lab: Lab) -> None:
    is_text = np.arange(80) % 2
    document = lab.calibrate(gallery_is_text=is_text)
    assert (document["picture"]["genuine"], document["text"]["genuine"]) == (40, 40)


@pytest.mark.parametrize(
    ("options", "code", "problem"),
    [
        ([], 2, "give --fpir or --false-alarms-per-camera-day"),
        (["--fpir", "0.1", "--false-alarms-per-camera-day", "1"], 2, "give --fpir or"),
        (["--fpir", "0"], 2, "a share of 0"),
        (["--fpir", "nan"], 2, "a share of nan"),
        (["--false-alarms-per-camera-day", "1"], 2, "give --people-per-camera-day"),
        (["--false-alarms-per-camera-day", "9", "--people-per-camera-day", "3"], 2, "a share of 3"),
    ],
)
def test_what_is_asked_for_must_be_clear(lab: Lab, options: list[str], code: int, problem: str) -> None:
    assert problem in lab.calibrate(*(options or ["--people-per-camera-day", "5"]), code=code)["error"]
    assert not lab.out.exists()


@pytest.mark.parametrize(
    ("changes", "problem"),
    [
        ({"people": 5}, "5 people seen who are not the one enrolled"),
        ({"query_ids": np.arange(40) + 100}, "0 genuine pairs for a picture"),
        ({"gallery_cameras": np.zeros(80, int)}, "0 genuine pairs for a picture"),
        ({"query_features": np.full((40, WIDTH), np.nan)}, "not finite"),
        ({"query_features": np.zeros((40, WIDTH))}, "query_features row 0 is zero"),
        ({"gallery_is_text": np.ones(80, int)}, "nobody is enrolled by a picture"),
        ({"query_features": np.ones((40, 8)), "gallery_features": np.ones((80, 8))}, "vectors of 8 numbers"),
        ({"candidates": np.zeros((40, 1), int), "p_no": np.zeros((40, 1))}, "has a verifier's answers"),
        ({"query_ids": (np.arange(40) + 1) % 40}, "not nearer than impostors"),
    ],
)
def test_pairs_that_say_too_little_are_refused(lab: Lab, changes: dict[str, Any], problem: str) -> None:
    assert problem in lab.calibrate(code=3, **changes)["error"]
    assert not lab.out.exists()


class Fusing:
    """A verifier whose word is mixed into the distance."""

    needs_pictures, fuses, alpha, tau, engine_digest = False, True, 0.2, 1.0, "sha256:judge"

    class Config(Settings):
        """Nothing to set."""

    def __init__(self, config: Config) -> None:
        del config

    def verify(self, questions: Any) -> list[list[Verdict]]:
        raise NotImplementedError


def test_a_verifier_that_fuses_is_calibrated_with_its_answers(
    lab: Lab, monkeypatch: pytest.MonkeyPatch
) -> None:
    point = EntryPoint("fusing", f"{__name__}:Fusing", "musewatch.verifier")
    monkeypatch.setitem(registry.known("verifier"), "fusing", point)
    lab.config.write_text("version: 1\nverifier: {use: fusing}\n")
    answers = {"candidates": np.arange(80)[None].repeat(40, 0), "p_no": np.full((40, 80), 0.5)}
    document = lab.calibrate(**answers)
    told = {"fuses": True, "verifier": "sha256:judge", "alpha": 0.2, "tau": 1.0}
    assert told.items() <= document["engines"].items()
    assert "has no verifier's answers" in lab.calibrate(code=3)["error"]


def test_with_a_verifiers_answers_the_distance_is_fused() -> None:
    made = arrays(candidates=np.arange(40)[:, None] * 2, p_no=np.full((40, 1), 0.25))
    plain, fused = (searches_of(FeatureSet.of(made), alpha)["picture"].distances for alpha in (None, 0.2))
    own = np.arange(40), np.arange(40) * 2
    np.testing.assert_allclose(fused[own], 0.8 * plain[own] + 0.2 * 2 * 0.25, rtol=1e-6)
    np.testing.assert_allclose(fused[0, 3], 0.8 * plain[0, 3] + 0.4, rtol=1e-6)
    assert searches_of(FeatureSet.of(made), 0.2)["picture"].genuine[own].all()


def test_junk_and_the_same_camera_do_not_count() -> None:
    ids = np.repeat(np.arange(40), 2)
    ids[:2] = -1
    made = arrays(gallery_ids=ids, gallery_cameras=np.arange(80) % 2)
    found = searches_of(FeatureSet.of(made), None)["picture"]
    assert not (found.genuine | found.impostor)[:, :2].any()
    assert found.genuine.sum() == 39
    assert found.impostor.sum() == 40 * 78 - 78
