"""Every command in README.md runs, in its order, on the files that README.md shows; then those of the docs.

Left out by name: `make demo` and `make test`, which are tested where their results are looked at, and what stands
under "Not run by our tests". Of pages whose commands take hours it is shown that the program knows every option.
"""

import hashlib
import os
import re
import shlex
import shutil
import subprocess
import sys
from collections.abc import Iterator
from fractions import Fraction
from importlib.metadata import version
from pathlib import Path

import av
import pytest
from typer.core import TyperGroup

from engines.testing import stripe_embedder
from pipeline.cli.main import application
from tests.servers.hall import CLIPS
from tests.servers.rtsp import RtspServer
from tests.tree import ROOT

NOT_RUN = "Not run by our tests"
WORDS = "By words"
TRAINING = "Train and export"
PLUGIN = "A plugin in one file"
MAKE = {"make demo", "make test"}
ON_THE_PATH = ". .venv/bin/activate"
CAMERA = "rtsp://127.0.0.1:8554/cam"
FPS, EVERY = 5, 3  # every third frame of a clip at 15 frames a second

README = (ROOT / "README.md").read_text(encoding="utf-8")
BLOCK = re.compile(r"(?:<!-- file: (?P<file>\S+) -->\n)?^```(?P<kind>\w*)\n(?P<text>.*?)^```$", re.M | re.S)


def blocks(page: str = README) -> Iterator[tuple[str, re.Match[str]]]:
    """Every block with the heading it stands under."""
    for section in re.split(r"^(?=###? )", page, flags=re.M):
        heading = section.partition("\n")[0].lstrip("# ")
        for match in BLOCK.finditer(section):
            yield heading, match


def commands_of(page: str) -> list[str]:
    """The blocks of commands of a page of the docs."""
    text = (ROOT / "docs" / page).read_text(encoding="utf-8")
    return [match["text"] for _, match in blocks(text) if match["kind"] == "sh"]


DOCS = ["operate.md", "consume.md"]  # run behind the README, in the same folder
HOURS = ["train.md", "engines.md", "evaluate.md", "world.md", "calibrate.md"]
PLUGIN_TESTS = (ROOT / "docs" / "plugins.md").read_text(encoding="utf-8")
FILES = {
    match["file"]: match["text"]
    for page in (README, PLUGIN_TESTS)
    for _, match in blocks(page)
    if match["file"]
}
COMMANDS = [
    match["text"]
    for heading, match in blocks()
    if match["kind"] == "sh"
    and heading not in {NOT_RUN, WORDS, TRAINING, PLUGIN}
    and match["text"].strip() not in MAKE
    and ON_THE_PATH not in match["text"]
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
    readme = "".join(f"echo '== {i}'\n{text}" for i, text in enumerate(COMMANDS))
    pages = "".join(text for page in DOCS for text in commands_of(page))
    marked = f"{readme}echo '== again'\npython consume.py\necho '== pages'\n{pages}"
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
    from tests.support import tiny_weights

    tiny_weights.transformers_clip(folder / "clip")
    shown = shell(f"{commands_under(WORDS)}musewatch watchlist show p7 -c words.yaml --json", folder)
    assert shown.returncode == 0, shown.stderr
    assert "a woman in a red coat with a white backpack" in shown.stdout
    assert "red coat" in shown.stdout


@pytest.mark.slow
def test_the_plugin_in_one_file_is_installed_shouts_and_passes_its_suite(folder: Path) -> None:
    site = str(folder / "site")  # in the place of the environment, which other tests use too
    script = commands_under(PLUGIN) + "".join(commands_of("plugins.md"))
    done = shell(script, folder, PYTHONPATH=site, PIP_TARGET=site, PIP_DISABLE_PIP_VERSION_CHECK="1")
    assert done.returncode == 0, f"{done.stdout}\n{done.stderr}"
    assert re.search(r"sink +loud +loud-sink", done.stdout)
    assert re.search(r"^HIT test musewatch\.test \S+$", done.stdout, re.M)
    assert "4 passed" in done.stdout


def test_the_program_is_on_the_path_as_the_readme_says() -> None:
    (block,) = (match["text"] for _, match in blocks() if ON_THE_PATH in match["text"])
    done = shell(f"{block}command -v musewatch", ROOT)
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout.splitlines() == [
        f"musewatch {version('musewatch')}",
        str(ROOT / ".venv/bin/musewatch"),
    ]


@pytest.mark.parametrize("page", HOURS)
def test_the_program_knows_every_command_of_a_page(page: str) -> None:
    lines = [
        line for text in commands_of(page) for line in text.splitlines() if line.startswith("musewatch ")
    ]
    assert lines
    for line in lines:
        words = shlex.split(line, comments=True)[1:]
        command = application(words)
        while isinstance(command, TyperGroup) and words and words[0] in command.list_commands(None):
            command = command.get_command(None, words.pop(0))
        command.make_context("musewatch", words)  # raises where an option or argument is unknown


def test_what_is_not_run_names_files_that_exist() -> None:
    left_out = "".join(m["text"] for heading, m in blocks() if m["kind"] == "sh" and heading == NOT_RUN)
    named = re.findall(r"(?:requirements|docker|configs)/[\w./-]+", left_out)
    assert named
    assert all((ROOT / path).exists() for path in named)
