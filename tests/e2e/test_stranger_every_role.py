"""A stranger's package with a plugin of every role: installed, tested by the suites that ship, and run."""

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from tests.support.enrolment_desk import CODEC
from tests.support.pictures import BLUE, GREEN, RED, person
from tests.support.strangers import musewatch
from tests.support.walks import HEIGHT_PX, walk

PACKAGE = Path(__file__).parent / "stranger"
ROLES = {"source", "detector", "tracker", "embedder", "index", "verifier", "masker", "codec", "sink", "bus"}


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The package, with what an installer puts into `site` in the place of the environment."""
    folder = tmp_path_factory.mktemp("stranger") / "day"
    shutil.copytree(PACKAGE, folder, ignore=shutil.ignore_patterns("__pycache__"))
    options = ["--quiet", "--disable-pip-version-check", "--no-build-isolation", "--no-deps"]
    subprocess.run(
        [sys.executable, "-m", "pip", "install", *options, "--target", folder / "site", "."],
        cwd=folder, check=True, capture_output=True, timeout=120,
    )  # fmt: skip
    return folder


def test_the_suites_that_ship_pass_where_it_is_installed(folder: Path) -> None:
    done = subprocess.run(
        [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", "test_day_shift.py"],
        cwd=folder, env={**os.environ, "PYTHONPATH": str(folder / "site")},
        capture_output=True, text=True, timeout=200, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stdout
    assert "80 passed" in done.stdout


def test_it_brings_every_role_and_finds_an_enrolled_person(folder: Path) -> None:
    np.save(folder / "gate.npy", np.stack(list(walk(40, GREEN, RED, BLUE))))
    (folder / "anna.jpg").write_bytes(CODEC.encode(person(HEIGHT_PX, RED), 95))
    site = folder / "site"
    rows = json.loads(musewatch(folder, site, "plugins", "list", "--json").stdout)["plugins"]
    assert {row["role"] for row in rows if row["package"] == "day-shift" and not row["problem"]} == ROLES
    line = ("watchlist", "add", "-c", "day.yaml", "--id", "anna", "--image", "anna.jpg")
    added = musewatch(folder, site, *line, "--json")
    assert added.returncode == 0, added.stderr
    ran = musewatch(folder, site, "run", "day.yaml", "--json")
    assert ran.returncode == 0, ran.stderr
    assert json.loads(ran.stdout)["hits"] == 1
    told = [json.loads(line)[1:] for line in (folder / "ledger.txt").read_text().splitlines()]
    assert (told[0], told[-1]) == (["anna", "opened"], ["anna", "closed"])
