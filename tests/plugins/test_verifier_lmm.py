"""The language model in this process, as a config makes it."""

from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest

pytest.importorskip("torch")
pytest.importorskip("transformers")

from pipeline.errors import ConfigError
from pipeline.messages import Candidate
from pipeline.plugged import PluggedVerifier
from pipeline.protocols import Enrolled
from pipeline.registry import build
from pipeline.settings import choose
from plugins.pairwise import Look
from tests.support.pictures import person
from tests.support.tiny_lmm import tiny_verifier
from tests.support.tracklets import tracklet

pytestmark = pytest.mark.torch


def made(manifest: Path, **keys: Any) -> Any:
    return build(
        "verifier", choose("lmm", engine=str(manifest), device="cpu", **keys), manifest.parent, "verifier"
    )


def test_what_it_says_of_itself_is_the_manifests(tmp_path: Path) -> None:
    point = {"max_distance": 0.7, "embedder": "sha256:e", "alpha": 0.3, "tau": 2.0}
    manifest = tiny_verifier(tmp_path, alpha=0.3, tau=2.0, operating_point=point)
    known = PluggedVerifier.of(made(manifest)).facts
    assert known.fuses
    assert (known.alpha, known.tau) == (0.3, 2.0)
    assert known.operating_point is not None
    assert known.operating_point.model_dump() == point
    assert PluggedVerifier.of(made(manifest, alpha=0.1)).facts.alpha == 0.1


def test_both_orders_are_two_questions_and_the_smallest_crop_is_answered(tmp_path: Path) -> None:
    verifier = made(tiny_verifier(tmp_path), both_orders=True)
    enrolled = Enrolled("p1", 1, cv2.imencode(".png", person())[1].tobytes(), np.array([1, 0], np.float32))
    ((verdict,),) = verifier.verify([(tracklet(), [(Candidate("p1", 1, 0.5, 1), enrolled)])])
    assert verdict.p_no is not None
    assert verdict.p_no_swapped is not None
    assert verdict.fused == pytest.approx(0.8 * 0.5 + 0.2 * (verdict.p_no + verdict.p_no_swapped))
    pixel, red, blue = (Look.at(image) for image in (np.zeros((1, 1, 3), np.uint8), person(200), person(20)))
    there, back = verifier.p_no([(pixel, red), (red, pixel)])
    assert there != back
    assert verifier.p_no([(pixel, blue)])[0] != there


def test_an_engine_of_another_role_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="no verifier with a prompt"):
        made(Path("engines/zoo/person-nano.yaml").resolve())


def test_without_memory_it_fails_once_gives_up_what_it_keeps_and_goes_on(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    verifier = made(tiny_verifier(tmp_path), batch=1)
    pairs = [(Look.at(person(200)), Look.at(person(shade))) for shade in (20, 90)]
    before = verifier.p_no(pairs)
    verifier.forget()
    with monkeypatch.context() as narrow:
        narrow.setattr("engines.lmm.decoder.Decoder.last", full)
        with pytest.raises(MemoryError):
            verifier.p_no(pairs)
    assert verifier._scorer.nbytes == 0
    assert verifier.p_no(pairs) == pytest.approx(before, abs=1e-6)


def full(*_: object) -> None:
    raise MemoryError


def test_nothing_is_kept_of_anybody_once_it_forgets(tmp_path: Path) -> None:
    verifier = made(tiny_verifier(tmp_path))
    enrolled = Enrolled("p1", 1, cv2.imencode(".png", person())[1].tobytes(), np.array([1, 0], np.float32))
    question = [(tracklet(), [(Candidate("p1", 1, 0.5, 1), enrolled)])]
    before = verifier.verify(question)
    assert verifier._scorer.nbytes > 0
    verifier.forget()
    assert (verifier._scorer.nbytes, len(verifier._judge._known)) == (0, 0)
    assert verifier.verify(question)[0][0].fused == pytest.approx(before[0][0].fused, abs=1e-6)
