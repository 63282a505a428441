"""The shape of the house: what is listed, how long files are, who may print, which way imports point."""

import ast
import shutil
import subprocess
import sys
from pathlib import Path

import cv2
import numpy as np
import pytest

from tests.tree import LIST, PACKAGES, ROOT, document, first_line, source_files

MODULES = [path for path in source_files() if path.suffix == ".py"]
MOST_LINES = 500


def _name(path: Path) -> str:
    return str(path.relative_to(ROOT))


def test_every_file_is_listed() -> None:
    assert LIST.read_text(encoding="utf-8") == document(), "run make tree"


@pytest.mark.parametrize("path", source_files(), ids=_name)
def test_a_file_says_what_it_is_and_is_short(path: Path) -> None:
    text = path.read_text(encoding="utf-8")
    assert len(text.splitlines()) <= MOST_LINES
    assert len(first_line(path)) > 10, "the first line says what the file is"


def test_only_command_lines_print() -> None:
    printing = {
        _name(path)
        for path in MODULES
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8")))
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.func.id == "print"
    }
    assert {path for path in printing if "cli" not in Path(path).with_suffix("").parts} == set()


def _lint_imports(folder: Path) -> subprocess.CompletedProcess[str]:
    code = "import sys; sys.path[:] = ['.', *(p for p in sys.path if p not in ('', '.'))]; " \
           "from importlinter.cli import lint_imports; sys.exit(lint_imports())"  # fmt: skip
    return subprocess.run(
        [sys.executable, "-c", code], cwd=folder, capture_output=True, text=True, timeout=120, check=False
    )


@pytest.fixture(scope="module")
def copy(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The four packages and the contracts, to be broken."""
    folder = tmp_path_factory.mktemp("copy")
    shutil.copy(ROOT / "pyproject.toml", folder)
    for package in PACKAGES:
        shutil.copytree(ROOT / package, folder / package, ignore=shutil.ignore_patterns("__pycache__"))
    return folder


def test_imports_point_the_way_they_should(copy: Path) -> None:
    done = _lint_imports(copy)
    assert done.returncode == 0, done.stdout


@pytest.mark.parametrize(
    ("module", "line", "broken"),
    [
        ("pipeline/errors.py", "import plugins.sources.pace", "no sideways imports BROKEN"),
        ("engines/errors.py", "import pipeline.messages", "no sideways imports BROKEN"),
        ("pipeline/messages.py", "import engines.errors", "no sideways imports BROKEN"),
        ("pipeline/settings.py", "import pipeline.messages", "the ground stands on nothing BROKEN"),
        ("plugins/sources/pace.py", "import trainers.metrics", "no sideways imports BROKEN"),
        ("pipeline/errors.py", "import cv2", "no vendor library BROKEN"),
        ("pipeline/follow/geometry.py", "import pipeline.build", "among the rooms of a package BROKEN"),
        ("pipeline/runner/gate.py", "import pipeline.runner.front", "among the rooms of a package BROKEN"),
        ("plugins/kafka/link.py", "import plugins.kafka.bus", "among the rooms of a package BROKEN"),
        ("engines/manifest.py", "import engines.shelf", "among the rooms of a package BROKEN"),
        (
            "trainers/metrics/alerts.py",
            "import trainers.evaluate.alerts",
            "among the rooms of a package BROKEN",
        ),
    ],
)
def test_the_contracts_see_an_import_the_wrong_way(copy: Path, module: str, line: str, broken: str) -> None:
    path = copy / module
    before = path.read_text(encoding="utf-8")
    path.write_text(f"{before}\n{line}\n", encoding="utf-8")
    try:
        done = _lint_imports(copy)
    finally:
        path.write_text(before, encoding="utf-8")
    assert done.returncode == 1
    assert broken in done.stdout, done.stdout


@pytest.mark.parametrize("module", ["pipeline.cli.main", "plugins", "pipeline.rerank"])
def test_heavy_libraries_wait_until_they_are_needed(module: str) -> None:
    heavy = {
        "torch",
        "cv2",
        "av",
        "onnxruntime",
        "kafka",
        "faiss",
        "trackers",
        "matplotlib",
        "ultralytics",
        "boxmot",
    }
    code = f"import sys, {module}; print(*sorted({heavy!r} & sys.modules.keys()))"
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=True)
    assert done.stdout.split() == []


def test_help_starts_without_networks() -> None:
    code = (
        "import sys; from pipeline.cli.main import main; main(['--help']); "
        "print('HEAVY', *sorted({'torch', 'onnxruntime', 'faiss', 'trackers'} & sys.modules.keys()))"
    )
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=True)
    assert done.stdout.splitlines()[-1] == "HEAVY"


def test_a_run_loads_what_it_uses(tmp_path: Path) -> None:
    picture = cv2.imencode(".jpg", np.zeros((96, 128, 3), np.uint8))[1].tobytes()
    (tmp_path / "pictures").mkdir()
    for number in range(3):
        (tmp_path / "pictures" / f"{number}.jpg").write_bytes(picture)
    (tmp_path / "c.yaml").write_text(
        "version: 1\ndata_dir: data\ntelemetry: {listen: null}\n"
        "streams: [{id: a, source: {use: folder, path: pictures, pace: fast}}]\n"
        "detector: {use: onnx, engine: person-nano}\nembedder: {use: onnx, engine: person-small}\n"
        "sinks: [{use: jsonl, path: hits.jsonl}]\n"
    )
    code = (
        f"import sys; from pipeline.cli.main import main; status = main(['run', {str(tmp_path / 'c.yaml')!r}]); "
        "print('HEAVY', status, *sorted({'scipy', 'torch', 'faiss', 'kafka', 'trackers', 'supervision', 'matplotlib'}"
        " & sys.modules.keys()))"
    )
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=True)
    assert done.stdout.splitlines()[-1] == "HEAVY 0", done.stderr
