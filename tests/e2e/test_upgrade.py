"""`musewatch run` over data that another version of it has left: older is taken up, newer is left alone."""

import json
import sqlite3
from contextlib import closing
from pathlib import Path

import pytest

from tests.support.pictures import RED
from tests.support.strangers import install, musewatch
from tests.support.walks import walk, write_walk

CONFIG = """
version: 1
streams:
  - {id: gate, source: {use: file, path: gate.mp4, pace: fast}}
detector: {use: glow}
telemetry: {listen: null}
"""


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    install(tmp_path / "site")
    (tmp_path / "c.yaml").write_text(CONFIG, encoding="utf-8")
    write_walk(tmp_path / "gate.mp4", walk(5, RED))
    (tmp_path / "data").mkdir()
    return tmp_path


def _stamp(path: Path, version: int) -> None:
    with closing(sqlite3.connect(path)) as db:
        db.execute(f"PRAGMA user_version = {version}")


@pytest.mark.parametrize("name", ["outbox.db", "watchlist.db"])
def test_a_file_of_a_newer_version_is_refused_and_untouched(folder: Path, name: str) -> None:
    assert musewatch(folder, folder / "site", "run", "c.yaml").returncode == 0
    path = folder / "data" / name
    _stamp(path, 99)
    before = path.read_bytes()
    ran = musewatch(folder, folder / "site", "run", "c.yaml")
    assert ran.returncode == 2
    assert name in ran.stderr
    assert "newer" in ran.stderr
    assert path.read_bytes() == before


def test_files_from_before_the_first_version_are_taken_up(folder: Path) -> None:
    for name in ("outbox.db", "watchlist.db"):
        _stamp(folder / "data" / name, 0)
    ran = musewatch(folder, folder / "site", "run", "c.yaml", "--json")
    assert ran.returncode == 0, ran.stderr
    assert json.loads(ran.stdout)["outbox"] == 0
    for name in ("outbox.db", "watchlist.db"):
        with closing(sqlite3.connect(folder / "data" / name)) as db:
            assert db.execute("PRAGMA user_version").fetchone() > (0,)
