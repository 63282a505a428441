"""The installer of `make`: what it says on a machine that is not fit, and that it does nothing twice."""

import hashlib
import os
import shutil
import stat
import subprocess
from pathlib import Path

import pytest

from tests.tree import ROOT


@pytest.fixture
def checkout(tmp_path: Path) -> Path:
    """What the installer reads, with a folder `bin` for stand-ins that come first in the path."""
    shutil.copytree(ROOT / "requirements", tmp_path / "requirements")
    shutil.copy(ROOT / "pyproject.toml", tmp_path)
    (tmp_path / "bin").mkdir()
    return tmp_path


def _stand_in(checkout: Path, name: str, script: str) -> Path:
    path = checkout / "bin" / name
    path.write_text(f"#!/bin/sh\n{script}\n")
    path.chmod(path.stat().st_mode | stat.S_IXUSR)
    return path


def _install(
    checkout: Path, wanted: str = "core", python: Path | None = None
) -> subprocess.CompletedProcess[str]:
    environment = {
        **os.environ,
        "PATH": f"{checkout / 'bin'}:{os.environ['PATH']}",
        "PYTHON": str(python or ""),
    }
    command = [str(checkout / "requirements" / "install"), wanted]
    return subprocess.run(command, env=environment, capture_output=True, text=True, timeout=30, check=False)


def _stamp(checkout: Path, name: str) -> None:
    """As if that set had been installed."""
    locks = [checkout / "requirements" / f"{lock}.txt" for lock in (name, "uv")]
    digest = hashlib.sha256(b"".join(lock.read_bytes() for lock in locks)).hexdigest()
    package = hashlib.sha256((checkout / "pyproject.toml").read_bytes()).hexdigest()
    (checkout / ".venv").mkdir(exist_ok=True)
    (checkout / ".venv" / ".libraries").write_text(f"{name} {digest}  -\n")
    (checkout / ".venv" / ".package").write_text(f"{package}  -\n")


def test_python_without_venv(checkout: Path) -> None:
    python = _stand_in(checkout, "bare", 'case "$2" in *ensurepip*) exit 1;; esac')
    done = _install(checkout, python=python)
    assert done.returncode != 0
    first = (done.stdout + done.stderr).splitlines()[0]
    assert "has no venv" in first
    assert "apt-get install -y python3-venv" in first
    assert not (checkout / ".venv").exists()


def test_python_too_old(checkout: Path) -> None:
    python = _stand_in(checkout, "old", "exit 1")
    done = _install(checkout, python=python)
    assert done.returncode != 0
    assert "no Python 3.11 or newer" in (done.stdout + done.stderr).splitlines()[0]


@pytest.mark.parametrize(("wanted", "mb"), [("core", 1500), ("test", 9000)])
def test_disk_too_small(checkout: Path, wanted: str, mb: int) -> None:
    _stand_in(checkout, "df", "echo head; echo /dev/x 9 9 102400 9% /")
    done = _install(checkout, wanted)
    assert done.returncode != 0
    first = (done.stdout + done.stderr).splitlines()[0]
    assert f"needs {mb} MB" in first
    assert "100 MB are free" in first
    assert not (checkout / ".venv").exists()


@pytest.mark.parametrize(
    ("there", "wanted", "nothing_to_do"),
    [
        ("core", "core", True),
        ("test", "core", True),
        ("test", "test-core", True),
        ("core", "test-core", False),
        ("test-core", "test", False),
    ],
)
def test_a_larger_set_is_left_alone(checkout: Path, there: str, wanted: str, nothing_to_do: bool) -> None:
    _stand_in(checkout, "df", "echo head; echo /dev/x 9 9 0 9% /")  # it would stop at the disk
    _stamp(checkout, there)
    done = _install(checkout, wanted)
    assert (done.returncode == 0) == nothing_to_do
    assert (done.stdout + done.stderr == "") == nothing_to_do


def test_a_changed_lock_is_installed_again(checkout: Path) -> None:
    _stand_in(checkout, "df", "echo head; echo /dev/x 9 9 0 9% /")
    _stamp(checkout, "core")
    with (checkout / "requirements" / "core.txt").open("a") as file:
        file.write("# changed\n")
    assert _install(checkout).returncode != 0


def test_a_changed_entry_point_needs_no_network(checkout: Path) -> None:
    _stand_in(checkout, "df", "echo head; echo /dev/x 9 9 0 9% /")
    _stamp(checkout, "core")
    (checkout / ".venv" / "bin").mkdir()
    uv = _stand_in(checkout, "uv", 'echo "$@"').rename(checkout / ".venv" / "bin" / "uv")
    assert uv.exists()
    with (checkout / "pyproject.toml").open("a") as file:
        file.write("# changed\n")
    done = _install(checkout)
    assert done.returncode == 0
    assert "--offline" in done.stdout
    assert "sync" not in done.stdout
    assert _install(checkout).stdout == ""


def test_an_outdated_larger_set_is_not_cut_down(checkout: Path) -> None:
    _stand_in(checkout, "df", "echo head; echo /dev/x 9 9 0 9% /")
    _stamp(checkout, "test")
    with (checkout / "requirements" / "test.txt").open("a") as file:
        file.write("# changed\n")
    assert "test needs 9000 MB" in _install(checkout, "core").stderr
