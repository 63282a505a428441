"""A verifier as graphs beside the same on torch."""

import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import yaml

pytest.importorskip("torch")
pytest.importorskip("transformers")
pytest.importorskip("onnxscript")

from engines.errors import EngineError, EngineFileError, GateError
from engines.lmm.export import export_verifier
from engines.lmm.graphs import VISION, OnnxPairs
from engines.lmm.pairs import open_pairs
from engines.lmm.pictures import Picture, prepare
from engines.manifest import Manifest, load_manifest
from pipeline.cli.main import main
from tests.support.tiny_lmm import tiny_verifier

pytestmark = pytest.mark.torch

TOLERANCE = 2e-5


@pytest.fixture(scope="module", params=["rules_first", "late"])
def both(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> tuple[Manifest, Manifest]:
    """The folder for torch, and the graphs that the command makes of it."""
    folder = tmp_path_factory.mktemp("verifier")
    source = tiny_verifier(folder / "torch", layout=request.param)
    assert main(["engines", "export", str(source), "--out", str(folder / "onnx")]) == 0
    return load_manifest(source), load_manifest(folder / "onnx" / "tiny-qwen2-vl.yaml")


def pictures(manifest: Manifest) -> list[Picture]:
    random = np.random.default_rng(3)
    return prepare([random.integers(0, 256, (8, 4, 3), np.uint8) for _ in range(4)], manifest.preprocess)


def test_they_answer_as_torch_does(both: tuple[Manifest, Manifest]) -> None:
    shown = pictures(both[0])
    pairs = [(first, second) for first in shown for second in shown]
    wanted = open_pairs(both[0], device="cpu").score(pairs)
    graphs = open_pairs(both[1], device="cpu", batch=3)
    assert isinstance(graphs, OnnxPairs)
    for _ in range(2):  # the second time from what is kept
        np.testing.assert_allclose(graphs.score(pairs), wanted, atol=TOLERANCE)
    none = open_pairs(both[1], device="cpu", vision_mb=0, read_mb=0)
    np.testing.assert_allclose(none.score(pairs), wanted, atol=TOLERANCE)
    assert wanted.std(axis=0).min() > 100 * TOLERANCE


def test_what_is_kept_of_a_picture_goes(both: tuple[Manifest, Manifest]) -> None:
    first, second, *_ = pictures(both[0])
    graphs = open_pairs(both[1], device="cpu")
    graphs.score([(first, second)])
    kept = graphs.nbytes
    graphs.forget(first)
    assert graphs.nbytes < kept
    graphs.clear()
    assert graphs.nbytes == 0


def test_they_run_without_torch(both: tuple[Manifest, Manifest]) -> None:
    program = f"""
import sys
sys.modules["torch"] = sys.modules["transformers"] = None
import numpy as np
from pathlib import Path
from plugins.verifier_lmm import LmmVerifier
from plugins.pairwise import Look
verifier = LmmVerifier(LmmVerifier.Config(engine=Path({str(_path(both[1]))!r}), device="cpu"))
pair = [Look.at(np.full((40, 20, 3), shade, np.uint8)) for shade in (9, 200)]
print(verifier.p_no([tuple(pair)])[0])
"""
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert 0 < float(done.stdout) < 1


def test_another_question_than_the_graphs_were_made_for_is_refused(
    both: tuple[Manifest, Manifest], tmp_path: Path
) -> None:
    document = yaml.safe_load(_path(both[1]).read_text())
    document["prompt"]["rules"] = "Look at shoes."
    document["file"] = str(both[1].path)
    other = _path(both[1]).with_name("other.yaml")
    other.write_text(yaml.safe_dump(document))
    with pytest.raises(EngineFileError, match="made for another question"):
        open_pairs(load_manifest(other), device="cpu")


def test_a_graph_that_is_missing_is_told(both: tuple[Manifest, Manifest]) -> None:
    lacking = both[1].derived(both[1].path.parent, files={})
    with pytest.raises(EngineFileError, match=r"0 of its files end in \.vision\.onnx"):
        open_pairs(lacking, device="cpu")


def test_the_command_tries_them(both: tuple[Manifest, Manifest], capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["engines", "check", str(_path(both[1]))]) == 0
    assert both[1].accuracy["gate"]["largest difference of a logit"] < TOLERANCE
    assert "two pictures of 56x28 -> logits of Yes and No" in capsys.readouterr().out


def test_graphs_that_answer_otherwise_are_not_kept(
    both: tuple[Manifest, Manifest], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    source, graphs = both
    made = {
        "tower": next(path for path in graphs.paths if path.name.endswith(VISION)),
        "decoder": graphs.path,
    }
    monkeypatch.setattr(
        "engines.lmm.export.graph_bytes", lambda *given: made[given[-1].split()[-1]].read_bytes()
    )
    turned = tiny_verifier(tmp_path / "torch", layout=source.layout, answers=["No", "Yes"])
    with pytest.raises(GateError, match="its graphs and torch differ by"):
        export_verifier(turned, tmp_path / "onnx")
    assert not (tmp_path / "onnx").exists()


@pytest.mark.parametrize(
    "command", [["build", "--out", "o"], ["calibrate", "--images", ".", "--out", "c.json"], ["compare"]]
)
def test_what_is_for_engines_that_are_fed_pictures_refuses_verifiers(
    both: tuple[Manifest, Manifest], command: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    for path in (both[0].path.parent / "verifier.yaml", _path(both[1])):
        assert main(["engines", command[0], str(path), *command[1:]]) == 2
        assert "is a verifier that is asked about pairs" in capsys.readouterr().err


def test_graphs_are_not_exported_again(both: tuple[Manifest, Manifest], tmp_path: Path) -> None:
    with pytest.raises(EngineError, match="made of graphs already"):
        export_verifier(_path(both[1]), tmp_path)


def test_other_architectures_stay_on_torch(tmp_path: Path) -> None:
    with pytest.raises(EngineError, match="is a qwen3_vl, and graphs are made of qwen2_vl only"):
        export_verifier(tiny_verifier(tmp_path, "qwen3_vl"), tmp_path / "onnx")


def _path(manifest: Manifest) -> Path:
    return manifest.path.parent / f"{manifest.name}.yaml"
