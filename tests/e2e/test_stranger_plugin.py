"""A detector, a tracker and a sink in one file outside the repository, found by entry point, run by config."""

import json
from pathlib import Path

import pytest

from tests.support.enrolment_desk import CODEC
from tests.support.pictures import BLUE, GREEN, RED, person
from tests.support.strangers import install, musewatch
from tests.support.walks import HEIGHT_PX, walk, write_walk

CONFIG = """
version: 1
streams:
  - {id: gate, source: {use: file, path: gate.mp4, pace: fast}}
detector: {use: glow, brightness: 40}
tracker: {use: turnstile}
embedder: {use: colour}
sinks:
  - {use: tally, path: tally.txt}
telemetry: {listen: null}
"""


@pytest.fixture
def site(tmp_path: Path) -> Path:
    install(tmp_path / "site")
    return tmp_path / "site"


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    folder = tmp_path / "home"
    folder.mkdir()
    (folder / "c.yaml").write_text(CONFIG, encoding="utf-8")
    (folder / "anna.jpg").write_bytes(CODEC.encode(person(HEIGHT_PX, RED), 95))
    write_walk(folder / "gate.mp4", walk(40, GREEN, RED, BLUE))
    return folder


def test_they_find_an_enrolled_person(folder: Path, site: Path) -> None:
    added = musewatch(
        folder, site, "watchlist", "add", "-c", "c.yaml", "--id", "anna", "--image", "anna.jpg", "--json"
    )
    assert added.returncode == 0, added.stderr
    ran = musewatch(folder, site, "run", "c.yaml", "--json")
    assert ran.returncode == 0, ran.stderr
    assert json.loads(ran.stdout)["hits"] == 1
    told = (folder / "tally.txt").read_text(encoding="utf-8").splitlines()
    assert told == ["gate anna opened None", "gate anna closed track_ended"]


def test_they_are_listed_with_their_package(folder: Path, site: Path) -> None:
    rows = json.loads(musewatch(folder, site, "plugins", "list", "--json").stdout)["plugins"]
    theirs = {(row["role"], row["name"]): row for row in rows if row["package"] == "night-shift"}
    assert set(theirs) == {
        ("detector", "glow"),
        ("tracker", "turnstile"),
        ("sink", "tally"),
        ("sink", "deaf"),
    }
    assert theirs["detector", "glow"]["value"] == "night_shift:GlowDetector"
    assert all(row["problem"] is None for row in theirs.values())


def test_their_keys_are_checked_like_ours(folder: Path, site: Path) -> None:
    (folder / "c.yaml").write_text(CONFIG.replace("brightness", "brightnes"), encoding="utf-8")
    ran = musewatch(folder, site, "run", "c.yaml")
    assert (ran.returncode, ran.stdout) == (2, "")
    assert ran.stderr == "musewatch: detector: brightnes: unknown key; did you mean 'brightness'?\n"


def test_a_file_that_cannot_be_imported_is_said_to_be_so(folder: Path, site: Path) -> None:
    (site / "night_shift.py").write_text("import a_library_nobody_has\n", encoding="utf-8")
    ran = musewatch(folder, site, "run", "c.yaml")
    assert ran.returncode == 2
    assert "detector 'glow' cannot be loaded: No module named 'a_library_nobody_has'" in ran.stderr
