"""A zero-shot embedder in the whole program: check, people enrolled by a picture and by words, a run, and its hits."""

import json
import subprocess
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from pipeline.cli.main import main
from pipeline.registry import build
from pipeline.settings import choose
from plugins.codec_opencv import OpenCVCodec
from tests.support import tiny_weights
from tests.support.pictures import GREEN, RED, person
from tests.support.strangers import MUSEWATCH, environment, install
from tests.support.walks import walk, write_walk

pytestmark = [pytest.mark.torch, pytest.mark.slow]

CONFIG = """
version: 1
streams:
  - {id: gate, source: {use: file, path: gate.mp4, pace: fast}}
detector: {use: DETECTOR}
embedder: {use: transformers, weights: models/clip, device: cpu}
decision: DECISION
sinks: [{use: jsonl, path: hits.jsonl}]
telemetry: {listen: null}
"""
NO_NETWORK = """
import socket


def refuse(*arguments, **settings):
    open(WHERE, "a").write(f"{arguments}\\n")
    raise OSError("no network here")


socket.socket.connect = socket.socket.connect_ex = socket.getaddrinfo = refuse
"""


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    tiny_weights.transformers_clip(tmp_path / "models" / "clip")
    write_walk(tmp_path / "gate.mp4", walk(25, RED, GREEN))
    monkeypatch.chdir(tmp_path)
    return tmp_path


def write_config(detector: str, **decision: float) -> None:
    text = CONFIG.replace("DECISION", json.dumps(decision)).replace("DETECTOR", detector)
    Path("c.yaml").write_text(text)


def answer(capsys: pytest.CaptureFixture[str], *arguments: str) -> tuple[int, Any]:
    capsys.readouterr()
    code = main([*arguments, "--json"])
    return code, json.loads(capsys.readouterr().out)


def cut_of_texts(folder: Path, text: str) -> float:
    """Just beyond how far the nearer of the walkers is from the words; `other.jpg` becomes the other one."""
    embedder = build("embedder", choose("transformers", weights="models/clip"), folder, "embedder")
    walkers = [person(120, RED), person(120, GREEN)]
    distances = np.linalg.norm(embedder.embed(walkers) - embedder.embed_text([text]), axis=1)
    assert np.ptp(distances) > 0.03, "the random network tells them apart"
    codec = OpenCVCodec(OpenCVCodec.Config())
    (folder / "other.jpg").write_bytes(codec.encode(walkers[int(distances.argmax())], 95))
    return float(distances.min()) + 0.02


def run_far_from_everything(folder: Path) -> subprocess.CompletedProcess[str]:
    """`musewatch run` at home in an empty folder; whoever reaches for a network is written down."""
    install(folder / "site")
    (folder / "site" / "sitecustomize.py").write_text(f"WHERE = {str(folder / 'reached')!r}\n{NO_NETWORK}")
    (folder / "home").mkdir()
    elsewhere = {"HF_HUB_OFFLINE", "HF_HOME", "XDG_CACHE_HOME", "TORCH_HOME"}
    env = environment(folder / "site", HOME=str(folder / "home"))
    return subprocess.run(
        [str(MUSEWATCH), "run", "c.yaml", "--json"], capture_output=True, text=True, timeout=200, check=False,
        env={key: value for key, value in env.items() if key not in elsewhere},
    )  # fmt: skip


def test_it_finds_people_by_a_picture_and_by_words_without_a_network(
    folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    write_config("hog")
    code, said = answer(capsys, "check", "c.yaml")
    assert code == 1
    (problem,) = (each for each in said["problems"] if each["where"] == "decision.max_distance")
    assert "has no operating point" in problem["problem"]

    cut = cut_of_texts(folder, "A photo of a person, wearing a green coat.")
    write_config("glow", max_distance=0.05, max_distance_text=cut, margin=0)
    add = ("watchlist", "add", "-c", "c.yaml")
    assert answer(capsys, *add, "--id", "p1", "--image", "other.jpg", "--whole")[0] == 0
    code, said = answer(capsys, *add, "--id", "p2", "--attr", "upper=coat", "--attr", "upper_colour=green")
    assert (code, said["enrolled"], said["warnings"]) == (0, 1, [])

    done = run_far_from_everything(folder)
    assert done.returncode == 0, done.stderr
    hits = [json.loads(line)["data"] for line in (folder / "hits.jsonl").read_text().splitlines()]
    found = {hit["identity"]["id"]: hit["decision"] for hit in hits}
    assert set(found) == {"p1", "p2"}
    assert found["p1"]["distance"] < found["p1"]["max_distance"] == 0.05
    assert 0.05 < found["p2"]["distance"] < found["p2"]["max_distance"] == pytest.approx(cut, abs=1e-6)
    assert all(line[9:].startswith(("info ", "warning ")) for line in done.stderr.splitlines()), done.stderr
    assert not (folder / "reached").exists(), (folder / "reached").read_text()
    assert list((folder / "home").iterdir()) == []
