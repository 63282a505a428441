"""Extras as a user installs them: beside the core, by one command, in a checkout of their own."""

import json
import os
import shutil
import subprocess
from pathlib import Path

import pytest

from tests.tree import PACKAGES, ROOT

NEEDED = (*PACKAGES, "requirements", "configs", "Makefile", "pyproject.toml", "README.md", "LICENSE")
ONE_OF_EACH = (
    {"opencv-python", "opencv-python-headless", "opencv-contrib-python"},
    {"onnxruntime", "onnxruntime-gpu"},
)
LIST = """import importlib.metadata, json
print(json.dumps([d.metadata["Name"].lower() for d in importlib.metadata.distributions()]))"""


@pytest.fixture
def checkout(tmp_path: Path) -> Path:
    """What a clone has and an installation reads."""
    for name in NEEDED:
        if (ROOT / name).is_dir():
            shutil.copytree(ROOT / name, tmp_path / name, ignore=shutil.ignore_patterns("__pycache__"))
        else:
            shutil.copy(ROOT / name, tmp_path)
    return tmp_path


def _said(checkout: Path, *command: str) -> str:
    plain = {
        name: value for name, value in os.environ.items() if not name.startswith(("VIRTUAL_ENV", "PYTHON"))
    }
    done = subprocess.run(
        command, cwd=checkout, env=plain, capture_output=True, text=True, timeout=280, check=False
    )
    assert done.returncode == 0, f"{done.stdout}\n{done.stderr}"
    return done.stdout


@pytest.mark.slow
@pytest.mark.parametrize(
    ("extras", "modules", "command"),
    [
        ("lab", "numba, matplotlib", "world"),
        ("train,agpl", "torch, timm, open_clip, ultralytics, boxmot", "train"),
    ],
)
def test_extras_stand_beside_the_core(checkout: Path, extras: str, modules: str, command: str) -> None:
    _said(checkout, "make", "extra", f"NAMES={extras}")
    python = str(checkout / ".venv/bin/python")
    installed = json.loads(_said(checkout, python, "-c", LIST))
    for wheels in ONE_OF_EACH:
        assert len([name for name in installed if name in wheels]) == 1, "both own one folder"
    _said(checkout, python, "-W", "ignore", "-c", f"import {modules}")
    assert "Usage: musewatch" in _said(checkout, str(checkout / ".venv/bin/musewatch"), command, "--help")
