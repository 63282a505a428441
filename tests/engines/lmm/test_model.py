"""Opening a verifier's folder: what does not fit costs one error before anything runs."""

import json
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import yaml

pytest.importorskip("torch")
pytest.importorskip("transformers")

from engines.errors import EngineError, EngineFileError, ManifestError, PictureError
from engines.lmm.model import open_model
from engines.lmm.pictures import prepare
from engines.lmm.scorer import Scorer
from engines.manifest import load_manifest
from pipeline.cli.main import main
from tests.support.tiny_lmm import KINDS, tiny_verifier, write_manifest

pytestmark = pytest.mark.torch


@pytest.mark.parametrize("kind", KINDS)
def test_opens_each_architecture_from_its_folder(tmp_path: Path, kind: str) -> None:
    manifest = load_manifest(tiny_verifier(tmp_path, kind))
    scorer = Scorer(open_model(manifest))
    crop = np.full((1, 1, 3), 90, np.uint8)  # even one pixel is stretched to the network's size
    first, second = prepare([crop, np.zeros((80, 33, 3), np.uint8)], manifest.preprocess)
    assert scorer.score(scorer.prefix(["First:", first]), [["Second:", second, "?"]]).shape == (1, 2)


def test_a_picture_without_pixels_is_refused(tmp_path: Path) -> None:
    manifest = load_manifest(tiny_verifier(tmp_path))
    with pytest.raises(PictureError, match=r"\(0, 5, 3\)"):
        prepare([np.zeros((0, 5, 3), np.uint8)], manifest.preprocess)


def another_architecture(folder: Path) -> None:
    config = folder / "config.json"
    config.write_text(json.dumps(json.loads(config.read_text()) | {"model_type": "llama"}))
    write_manifest(folder, "qwen2_vl")


def no_architecture(folder: Path) -> None:
    (folder / "config.json").write_text("[]")
    write_manifest(folder, "qwen2_vl")


def half_the_weights(folder: Path) -> None:
    from safetensors.torch import load_file, save_file

    weights = folder / "model.safetensors"
    kept = {key: value for key, value in load_file(weights).items() if "mlp" not in key}
    save_file(kept, weights, {"format": "pt"})
    write_manifest(folder, "qwen2_vl")


def a_stranger_beside(folder: Path) -> None:
    (folder / "added_tokens.json").write_text("{}")


def another_digest(folder: Path) -> None:
    with (folder / "config.json").open("a") as file:
        file.write("\n")


def odd_size(folder: Path) -> None:
    path = folder / "verifier.yaml"
    document = yaml.safe_load(path.read_text())
    document["preprocess"]["size"] = [60, 28]
    path.write_text(yaml.safe_dump(document))


def no_question(folder: Path) -> None:
    path = folder / "verifier.yaml"
    document = yaml.safe_load(path.read_text())
    del document["prompt"]
    path.write_text(yaml.safe_dump(document))


@pytest.mark.parametrize(
    ("damage", "error", "words"),
    [
        (another_architecture, EngineError, "is a llama, and this reads qwen2_vl"),
        (no_architecture, EngineFileError, "names no architecture"),
        (half_the_weights, EngineError, "lacks weights, such as .*mlp"),
        (a_stranger_beside, EngineError, "no digest covers it"),
        (another_digest, EngineFileError, "it is damaged, another one"),
        (odd_size, ManifestError, r"\[60, 28\] is not made of squares of 28 pixels"),
        (no_question, ManifestError, "no verifier with a prompt"),
    ],
)
def test_what_does_not_fit_is_one_error(
    tmp_path: Path, damage: Callable[[Path], None], error: type[Exception], words: str
) -> None:
    path = tiny_verifier(tmp_path)
    damage(tmp_path)
    with pytest.raises(error, match=words):
        open_model(load_manifest(path))


def test_a_tokenizer_without_the_answers_is_one_error(tmp_path: Path) -> None:
    manifest = load_manifest(tiny_verifier(tmp_path, words=("Yes",)))
    with pytest.raises(EngineError, match="no single token for 'No'"):
        open_model(manifest)


@pytest.mark.parametrize(
    ("keys", "words"),
    [
        ({"answers": ["Yes", "Yes"]}, "two different words"),
        ({"role": "embedder"}, "prompt, answers, tau, alpha, layout: of a verifier only"),
        ({"prompt": {"tusk": "x"}}, "task"),
        ({"tau": 0}, "tau"),
        ({"layout": "upside_down"}, "layout"),
    ],
)
def test_a_manifest_that_says_what_it_may_not_is_refused(
    tmp_path: Path, keys: dict[str, object], words: str
) -> None:
    path = tiny_verifier(tmp_path)
    path.write_text(yaml.safe_dump(yaml.safe_load(path.read_text()) | keys))
    with pytest.raises(ManifestError, match=words):
        load_manifest(path)


def test_the_question_is_part_of_the_engines_identity_and_the_weight_is_not(tmp_path: Path) -> None:
    def digest(**keys: object) -> str:
        return load_manifest(write_manifest(tmp_path, "qwen2_vl", **keys)).digest

    tiny_verifier(tmp_path)
    usual = digest()
    assert digest(alpha=0.7) == usual
    others = [digest(tau=1.0), digest(layout="rules_last"), digest(answers=["No", "Yes"]), digest(prompt={})]
    assert len({usual, *others}) == 5


def test_the_command_tries_a_verifier(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = tiny_verifier(tmp_path)
    assert main(["engines", "check", str(path)]) == 0
    assert "two pictures of 56x28 -> logits of Yes and No" in capsys.readouterr().out
    another_architecture(tmp_path)
    assert main(["engines", "check", str(path)]) == 1
    assert "is a llama" in capsys.readouterr().out
