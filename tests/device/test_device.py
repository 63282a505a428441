import json
import os
import subprocess
from pathlib import Path

import pytest

pytest.importorskip("torch", reason="needs torch")
pytestmark = pytest.mark.torch

from engines.compile import compare  # noqa: E402
from tests.device import parts, table  # noqa: E402

ROOT = Path(__file__).parents[2]
PICTURES = parts.pictures


def few_crops(folder):
    return PICTURES(folder, every=120)


def test_without_a_gpu_it_says_that_it_has_not_run(tmp_path):
    done = subprocess.run(
        [ROOT / "tests/device/run.sh"], check=False, capture_output=True, text=True, cwd=tmp_path,
        env={**os.environ, "CUDA_VISIBLE_DEVICES": ""},
    )  # fmt: skip
    assert (done.returncode, done.stdout, done.stderr) == (0, "NOT RUN: no GPU works here\n", "")


def test_without_its_libraries_it_says_which_is_missing(tmp_path):
    (tmp_path / "python").write_text("#!/bin/sh\necho onnxruntime torch\n")
    (tmp_path / "python").chmod(0o755)
    done = subprocess.run(
        [ROOT / "tests/device/run.sh"], check=False, capture_output=True, text=True,
        env={**os.environ, "PYTHON": str(tmp_path / "python")},
    )  # fmt: skip
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout == f"NOT RUN: {tmp_path / 'python'} lacks onnxruntime torch\n"


def test_a_part_that_fails_or_takes_too_long_costs_its_own_rows_only(tmp_path, monkeypatch):
    script = tmp_path / "python"
    script.write_text(
        """#!/bin/sh
case $3 in
  broken) echo '["one", "1 ms"]'; echo 'RuntimeError: out of | memory' >&2; exit 1;;
  slow) echo '["first", "2 ms"]'; sleep 60;;
  *) echo '["whole", "3 ms"]';;
esac
"""
    )
    script.chmod(0o755)
    monkeypatch.setattr(table.sys, "executable", str(script))
    rows = table.run_parts({"broken": 9, "slow": 1.5, "good": 9}, 60, tmp_path)
    assert [row for row in rows if row[1] != "seconds in all"] == [
        ("broken", "one", "1 ms"),
        ("broken", "", "FAILED (1): RuntimeError: out of | memory"),
        ("slow", "first", "2 ms"),
        ("slow", "", "CUT OFF after 2 s"),
        ("good", "whole", "3 ms"),
    ]
    assert ("late", "", "NOT RUN: no time was left") in table.run_parts({"late": 9}, 0, tmp_path)
    text = table.as_markdown(rows)
    assert all(line.count("|") == 4 for line in text.splitlines())


def test_bundled_engines_are_built_judged_and_compared(tmp_path, monkeypatch):
    monkeypatch.chdir(ROOT)
    monkeypatch.setattr(compare, "SECONDS", 0.01)
    monkeypatch.setattr(parts, "pictures", few_crops)
    rows = dict(parts.engines(tmp_path, ["person-small"], ["fp16", "bf16"], (1,)))
    assert json.loads(rows["person-small fp16, gate"])["cosine"] > 0.999
    assert rows["person-small bf16"].startswith("not built: ")
    assert json.loads(rows["person-small, onnxruntime, processor"])["latency_ms"] > 0
    assert rows["person-small, onnxruntime, GPU"].startswith("not measured: ")


def test_architectures_with_random_weights_are_compared(tmp_path, monkeypatch):
    monkeypatch.setattr(compare, "SECONDS", 0.01)
    rows = dict(parts.torch_graphs(tmp_path, (1,)))
    assert {name for name, figure in rows.items() if "latency_ms" in figure} >= {
        "random-person-nano-fp32, torch, processor",
        "random-person-small-fp32, torch, processor",
    }


def test_reranking_is_timed(tmp_path):
    rows = list(parts.rerank(tmp_path, (40, 80, 16), "cpu"))
    assert [name.split(",")[0] for name, _ in rows] == ["k_reciprocal", "ecn", "camera_jaccard"]
    assert all(figure.endswith(" s") for _, figure in rows)
