"""Files of this user alone."""

import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from pipeline.errors import OutsideError
from pipeline.files import make_folder, make_private, need_writable, open_private


def mode(path: Path) -> int:
    return path.stat().st_mode & 0o777


@pytest.fixture(autouse=True)
def _open_to_all() -> Iterator[None]:
    before = os.umask(0)
    yield
    os.umask(before)


def test_folders_that_are_made_are_private_and_others_stay(tmp_path: Path) -> None:
    tmp_path.chmod(0o755)
    make_folder(tmp_path / "a" / "b")
    assert [mode(folder) for folder in (tmp_path, tmp_path / "a", tmp_path / "a" / "b")] == [
        0o755,
        0o700,
        0o700,
    ]
    make_folder(tmp_path / "a" / "b")


def test_a_folder_that_cannot_be_made_is_named(tmp_path: Path) -> None:
    (tmp_path / "a").write_text("a file")
    with pytest.raises(OutsideError, match="/a/b cannot be made"):
        make_folder(tmp_path / "a" / "b")


def test_files_are_made_private_or_become_so(tmp_path: Path) -> None:
    new, old, opened = (tmp_path / name for name in ("new", "old", "opened"))
    old.write_text("kept")
    old.chmod(0o666)
    make_private(new)
    make_private(old)
    make_private(tmp_path / "none", missing=False)
    with open(opened, "w", opener=open_private):
        assert [mode(file) for file in (new, old, opened)] == [0o600] * 3
    assert old.read_text() == "kept"
    assert not (tmp_path / "none").exists()


def test_whether_a_file_could_be_written_is_seen_without_a_trace(tmp_path: Path) -> None:
    need_writable(tmp_path / "a" / "b.jsonl")
    assert list(tmp_path.iterdir()) == []
    (tmp_path / "a").write_text("a file")
    with pytest.raises(OutsideError, match="is not a folder"):
        need_writable(tmp_path / "a" / "b.jsonl")
