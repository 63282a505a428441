"""The closing line of a run in which something outside was missing."""

import subprocess
import sys
from pathlib import Path

from tests.conftest import not_run

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
