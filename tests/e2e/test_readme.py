"""Every command in README.md runs, in its order, on the files that README.md shows.

Left out by name: `make demo` and `make test`, which are tested where their results are looked at, and what stands
under "Not run by our tests".
"""

import hashlib
import os
import re
import shutil
import subprocess
import sys
import tomllib
from collections.abc import Iterator
from fractions import Fraction
from pathlib import Path

import av
import pytest

from engines.testing import stripe_embedder
from tests.servers.hall import CLIPS
from tests.servers.rtsp import RtspServer
from tests.tree import ROOT

NOT_RUN = "Not run by our tests"
WORDS = "By words"
TRAINING = "Train and export"
MAKE = {"make demo", "make test"}
CAMERA = "rtsp://127.0.0.1:8554/cam"
FPS, EVERY = 5, 3  # every third frame of a clip at 15 frames a second

README = (ROOT / "README.md").read_text(encoding="utf-8")
BLOCK = re.compile(r"(?:<!-- file: (?P<file>\S+) -->\n)?^```(?P<kind>\w*)\n(?P<text>.*?)^```$", re.M | re.S)


def blocks() -> Iterator[tuple[str, re.Match[str]]]:
    """Every block with the heading it stands under."""
    for section in re.split(r"^(?=###? )", README, flags=re.M):
        heading = section.partition("\n")[0].lstrip("# ")
        for match in BLOCK.finditer(section):
            yield heading, match


FILES = {match["file"]: match["text"] for _, match in blocks() if match["file"]}
COMMANDS = [
    match["text"]
    for heading, match in blocks()
    if match["kind"] == "sh"
    and heading not in {NOT_RUN, WORDS, TRAINING}
    and match["text"].strip() not in MAKE
]


def commands_under(wanted: str) -> str:
    """All commands of one section."""
    return "".join(
        match["text"] for heading, match in blocks() if heading == wanted and match["kind"] == "sh"
    )


def test_every_block_is_a_file_commands_or_a_drawing() -> None:
    for heading, match in blocks():
        if match["kind"] in {"yaml", "python", "toml"}:
            assert match["file"], f"nothing says what file this is, under {heading!r}:\n{match['text']}"
        else:
            assert match["kind"] in {"sh", ""}
    assert len(COMMANDS) >= 5
    assert {"site.yaml", "consume.py", "my_embedder.yaml", "loud_sink.py", "pyproject.toml"} <= set(FILES)


def shorten(clip: str, target: Path, start_s: float, end_s: float) -> None:
    """Writes a part of a demo clip at `FPS`, and its labels beside it."""
    first, last = round(start_s * FPS * EVERY), round(end_s * FPS * EVERY)
    kept = range(first, last, EVERY)
    with av.open(str(CLIPS / f"{clip}.mp4")) as source, av.open(str(target), "w") as container:
        stream = container.add_stream("libx264", rate=Fraction(FPS))
        stream.width, stream.height, stream.pix_fmt = 960, 540, "yuv420p"
        stream.options = {"preset": "ultrafast", "crf": "18"}
        for index, picture in enumerate(source.decode(video=0)):
            if index in kept:
                picture.pts, picture.time_base = kept.index(index), Fraction(1, FPS)
                picture.pict_type = av.video.frame.PictureType.NONE
                container.mux(stream.encode(picture))
            if index >= last:
                break
        container.mux(stream.encode())
    lines = []
    for line in (CLIPS / f"{clip}.gt.txt").read_text().splitlines():
        number, rest = line.split(",", 1)
        if int(number) - 1 in kept:
            lines.append(f"{kept.index(int(number) - 1) + 1},{rest}\n")
    target.with_suffix(".gt_ids.txt").write_text("".join(lines))


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """What somebody has who follows the README: its files, photos, footage, a network."""
    network = stripe_embedder((256, 128), batch=1)
    digest = hashlib.sha256(network).hexdigest()
    for name, text in FILES.items():
        (tmp_path / name).write_text(text.replace("${SHA256}", digest), encoding="utf-8")
    (tmp_path / "my_embedder.onnx").write_bytes(network)
    (tmp_path / "engines.yaml").write_text(
        "version: 1\ndetector: {use: hog}\nembedder: {use: onnx, engine: my_embedder.yaml}\n",
        encoding="utf-8",
    )
    (tmp_path / "clips").mkdir()
    shorten("hall-1", tmp_path / "clips" / "hall.mp4", 10.0, 13.0)
    shorten("hall-1", tmp_path / "yard.mp4", 21.0, 35.0)
    for name, person in (("anna", "p2"), ("luca", "p5")):
        shutil.copy(CLIPS / "enrol" / f"{person}.jpg", tmp_path / f"{name}.jpg")
    return tmp_path


def shell(script: str, folder: Path, **variables: str) -> subprocess.CompletedProcess[str]:
    path = f"{Path(sys.executable).parent}:{os.environ['PATH']}"
    return subprocess.run(
        ["bash", "-e"], input=script, cwd=folder, env={**os.environ, "PATH": path, **variables},
        text=True, capture_output=True, check=False, timeout=280,
    )  # fmt: skip


@pytest.mark.rtsp
@pytest.mark.slow
def test_every_command_runs_in_its_order(folder: Path) -> None:
    marked = (
        "".join(f"echo '== {i}'\n{text}" for i, text in enumerate(COMMANDS))
        + "echo '== again'\npython consume.py\n"
    )
    assert CAMERA in marked
    with RtspServer({"cam": CLIPS / "hall-2.mp4"}) as server:
        done = shell(marked.replace(CAMERA, server.url("cam")), folder)
    assert done.returncode == 0, f"{done.stdout}\n{done.stderr}"
    assert "Traceback" not in done.stderr
    printed = dict(zip(*[iter(re.split(r"^== (\w+)\n", done.stdout, flags=re.M)[1:])] * 2, strict=True))
    consumed = next(printed[str(i)] for i, text in enumerate(COMMANDS) if "consume.py" in text)
    assert re.search(r"^yard anna arrived 0\.\d+$", consumed, re.M), done.stdout
    assert re.search(r"^yard anna left 0\.\d+$", consumed, re.M)
    assert printed["again"].strip() in consumed  # the trial event that `hits test` wrote is no hit
    assert sorted(path.name for path in (folder / "snapshots").iterdir()) == ["door.jpg", "yard.jpg"]
    assert (folder / "evaluation" / "summary.json").exists()


@pytest.mark.torch
@pytest.mark.slow
def test_a_network_is_trained_exported_and_compared(folder: Path) -> None:
    done = shell(commands_under(TRAINING), folder)
    assert done.returncode == 0, f"{done.stdout}\n{done.stderr}"
    assert "Traceback" not in done.stderr
    made = {path.name for path in (folder / "engines").iterdir()}
    assert {"my-people.yaml", "my-people.onnx", "my-people-fp16.yaml", "my-people-fp16.onnx"} <= made
    rows = [line.split() for line in done.stdout.splitlines() if line.startswith("my-people")]
    assert {row[1] for row in rows} == {"fp32", "fp16"}


@pytest.mark.torch
@pytest.mark.slow
def test_somebody_is_enrolled_by_words(folder: Path) -> None:
    from tests import tiny_weights

    tiny_weights.transformers_clip(folder / "clip")
    (folder / "words.yaml").write_text(
        "version: 1\nembedder: {use: transformers, weights: clip, device: cpu}\n"
        "decision: {max_distance: 0.5, max_distance_text: 1.2}\n",
        encoding="utf-8",
    )
    shown = shell(f"{commands_under(WORDS)}musewatch watchlist show p7 -c words.yaml --json", folder)
    assert shown.returncode == 0, shown.stderr
    assert "a woman in a red coat with a white backpack" in shown.stdout
    assert "red coat" in shown.stdout


def test_the_plugin_in_one_file_is_found_and_shouts(folder: Path) -> None:
    points = tomllib.loads(FILES["pyproject.toml"])["project"]["entry-points"]
    information = folder / "loud_sink-1.0.dist-info"  # what `pip install .` would leave
    information.mkdir()
    (information / "METADATA").write_text("Metadata-Version: 2.1\nName: loud-sink\nVersion: 1.0\n")
    text = "".join(
        f"[{group}]\n" + "".join(f"{name} = {value}\n" for name, value in names.items())
        for group, names in points.items()
    )
    (information / "entry_points.txt").write_text(text)
    (folder / "loud.yaml").write_text("version: 1\nsinks: [{use: loud}]\n")
    done = shell("musewatch hits test -c loud.yaml", folder, PYTHONPATH=str(folder))
    assert done.returncode == 0, done.stderr
    assert "HIT test musewatch.test\n" in done.stdout


def test_what_is_not_run_names_files_that_exist() -> None:
    left_out = "".join(m["text"] for heading, m in blocks() if m["kind"] == "sh" and heading == NOT_RUN)
    named = re.findall(r"(?:requirements|docker|configs)/[\w./-]+", left_out)
    assert named
    assert all((ROOT / path).exists() for path in named)
