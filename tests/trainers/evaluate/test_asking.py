"""`evaluate features --verifier`: shortlists asked about by the command itself."""

import json
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest

pytest.importorskip("torch")
pytest.importorskip("transformers")

from pipeline.cli.main import main
from pipeline.rerank import Distances, MuEntries, mu_distance
from tests.support.tiny_lmm import tiny_verifier
from tests.trainers.evaluate.feature_files import arrays

pytestmark = pytest.mark.torch

TOP_C = 3


@pytest.fixture
def line(tmp_path: Path) -> list[str]:
    """The command over a file of five queries, their pictures, and a tiny verifier."""
    content: dict[str, Any] = arrays(queries=5, gallery=12)
    del content["candidates"], content["p_no"]
    images = tmp_path / "images"
    images.mkdir()
    rng = np.random.default_rng(0)
    for kind, count in (("query", 5), ("gallery", 12)):
        names = [f"{kind}{i}.png" for i in range(count)]
        for name in names:
            cv2.imwrite(str(images / name), rng.integers(0, 256, (40, 20, 3), np.uint8))
        content[f"{kind}_paths"] = np.array(names)
    np.savez(tmp_path / "f.npz", **content)
    manifest = tiny_verifier(tmp_path / "verifier")
    return [
        "evaluate", "features", str(tmp_path / "f.npz"), "--verifier", str(manifest), "--images", str(images),
        "--top-c", str(TOP_C), "--alpha", "0.4", "--device", "cpu", "--json",
    ]  # fmt: skip


def test_the_rows_are_those_of_its_answers(
    line: list[str], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main([*line, "--save", str(tmp_path / "out")]) == 0
    rows = json.loads(capsys.readouterr().out)["rows"]
    assert [(row["rerank"], row["mu"]) for row in rows] == [("none", False), ("none", True)]
    candidates, p_no = (np.load(tmp_path / "out" / f"{name}.npy") for name in ("candidates", "p_no"))
    assert candidates.shape == p_no.shape == (5, TOP_C)
    assert p_no.std() > 0
    a = arrays(queries=5, gallery=12)
    d = Distances.from_features(a["query_features"], a["gallery_features"])
    plain = np.load(tmp_path / "out" / "none_raw.npy")
    np.testing.assert_array_equal(candidates, np.argsort(plain, axis=1, kind="stable")[:, :TOP_C])
    expected = mu_distance(d, MuEntries(candidates, p_no, 0.4))
    np.testing.assert_array_equal(np.load(tmp_path / "out" / "none.npy"), expected)


def test_a_picture_that_is_not_there_is_named(
    line: list[str], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "images" / "query3.png").unlink()
    assert main(line) == 3
    assert "query3.png" in capsys.readouterr().err


def test_without_a_folder_or_names_there_is_nothing_to_look_at(
    line: list[str], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    where = line.index("--images")
    assert main(line[:where] + line[where + 2 :]) == 2
    assert "--images DIR" in capsys.readouterr().err
    np.savez(tmp_path / "f.npz", **arrays(queries=5, gallery=12))
    assert main(line) == 3
    assert "query_paths" in capsys.readouterr().err
