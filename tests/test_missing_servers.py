"""What happens where a program is missing: it is installed, or asked for, and the run's last line says so."""

import os
import subprocess
import sys
from pathlib import Path
from types import SimpleNamespace

import pytest

from tests.conftest import everything_is_installed, not_run, pytest_collection_modifyitems
from tests.servers import install

ROOT = Path(__file__).parents[1]


def test_the_line_counts_the_tests_and_names_one_command() -> None:
    assert not_run([]) == ""
    line = not_run(["kcat", "kafka", "kcat", "root"])
    assert line.startswith("NOT RUN: 4 tests need kafka, kcat, root: sudo apt-get install -y ")
    assert line.count("apt-get") == 1
    assert line.endswith(" kcat")


def test_it_is_the_last_line_of_the_run(tmp_path: Path) -> None:
    test = tmp_path / "test_x.py"
    test.write_text(
        "import pytest\ndef test_a(): pytest.skip('needs kcat: some command')\ndef test_b(): pytest.skip('mood')\n"
    )
    command = [
        sys.executable,
        "-m",
        "pytest",
        "-q",
        "-c",
        "pyproject.toml",
        "-p",
        "tests.conftest",
        str(test),
    ]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=60, check=False)
    assert done.stdout.splitlines()[-1].startswith("NOT RUN: 1 tests need kcat: sudo apt-get"), done.stdout


def test_a_library_that_is_missing_fails_where_everything_is_installed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "test_file.py").write_text("import pytest\npytest.importorskip('no_such_library')\n")
    (tmp_path / "test_one.py").write_text(
        "import pytest\ndef test_a(): pytest.importorskip('no_such_library', reason='needs it')\n"
        "def test_b(): pytest.skip('no GPU here')\n"
    )
    options = ["-q", "-c", "pyproject.toml", "-p", "tests.conftest", "--continue-on-collection-errors"]
    done = subprocess.run(
        [sys.executable, "-m", "pytest", *options, str(tmp_path)], cwd=ROOT, env={**os.environ, "CI": "1"},
        capture_output=True, text=True, timeout=60, check=False,
    )  # fmt: skip
    assert "1 failed, 1 skipped, 1 error" in done.stdout, done.stdout
    monkeypatch.setenv("CI", "1")
    expressions = ("", "slow", "not torch")
    configs = [SimpleNamespace(option=SimpleNamespace(markexpr=expression)) for expression in expressions]
    assert [everything_is_installed(config) for config in configs] == [True, True, False]


def test_long_files_come_first() -> None:
    def item(path: str, *marks: str) -> SimpleNamespace:
        return SimpleNamespace(path=path, get_closest_marker=lambda name: name in marks)

    items = [item("quick"), item("served"), item("served", "kafka"), item("long"), item("long", "slow")]
    ordered = items.copy()
    pytest_collection_modifyitems(ordered)
    assert ordered == [items[3], items[4], items[1], items[2], items[0]]


@pytest.fixture
def without_kcat(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A machine that lacks kcat alone, and an apt-get that only writes down what it was asked."""
    log = tmp_path / "log"
    apt = tmp_path / "apt-get"
    apt.write_text(f'#!/bin/sh\necho "$@" >>{log}\n')
    apt.chmod(0o755)
    monkeypatch.setenv("PATH", f"{tmp_path}:{os.environ['PATH']}")
    monkeypatch.setattr(install, "available", lambda name: name != "kcat")
    return log


def test_root_installs_what_is_missing(without_kcat: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(os, "geteuid", lambda: 0)
    install.main()
    assert without_kcat.read_text().splitlines() == ["update -q", "install -y --no-install-recommends kcat"]


def test_others_are_told_the_command(
    without_kcat: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(os, "geteuid", lambda: 1000)
    install.main()
    assert capsys.readouterr().out.endswith("sudo apt-get install -y --no-install-recommends kcat\n")
    assert not without_kcat.exists()
