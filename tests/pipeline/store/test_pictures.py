import errno
import hashlib
import logging
import os
from pathlib import Path
from urllib.parse import urlparse
from urllib.request import url2pathname

import pytest

from pipeline.store import pictures as module
from pipeline.store.pictures import EvidenceStore

DAY_S = 86_400.0


def store(folder: Path, base_url: str | None = None, max_mb: float = 1.0, days: float = 30) -> EvidenceStore:
    return EvidenceStore(folder, base_url, max_mb, days)


def picture(number: int, size: int = 1000) -> bytes:
    return number.to_bytes(4, "big") * (size // 4)


def names(folder: Path) -> set[str]:
    return {path.name for path in folder.iterdir()}


def name_of(data: bytes) -> str:
    return f"{hashlib.sha256(data).hexdigest()}.jpg"


def test_a_picture_lies_under_its_hash_and_its_uri_leads_there(tmp_path: Path) -> None:
    ref = store(tmp_path / "with space" / "e").put(picture(1), 0.0)
    assert ref is not None
    path = Path(url2pathname(urlparse(ref.uri).path))
    assert path.read_bytes() == picture(1)
    assert path.name == f"{ref.sha256}.jpg" == name_of(picture(1))


@pytest.mark.parametrize(
    ("base", "prefix"),
    [
        ("https://h/e", "https://h/e/"),
        ("https://h/e/", "https://h/e/"),
        ("https://h/?name=", "https://h/?name="),
    ],
)
def test_base_url_goes_before_the_name(tmp_path: Path, base: str, prefix: str) -> None:
    ref = store(tmp_path, base).put(picture(1), 0.0)
    assert ref is not None
    assert ref.uri == prefix + name_of(picture(1))


def test_the_same_picture_is_kept_once_and_counts_as_new(tmp_path: Path) -> None:
    kept = store(tmp_path, max_mb=0.002)
    for number in (1, 2, 1, 3):
        kept.put(picture(number), float(number))
    assert names(tmp_path) == {name_of(picture(1)), name_of(picture(3))}


def test_the_oldest_go_when_there_is_too_much(tmp_path: Path) -> None:
    kept = store(tmp_path, max_mb=0.0035)
    for number in range(10):
        assert kept.put(picture(number), float(number)) is not None
    assert names(tmp_path) == {name_of(picture(number)) for number in (7, 8, 9)}


def test_a_picture_larger_than_the_limit_is_not_kept_and_costs_the_others_nothing(tmp_path: Path) -> None:
    kept = store(tmp_path, max_mb=0.002)
    kept.put(picture(1), 0.0)
    assert kept.put(picture(2, 4000), 1.0) is None
    assert names(tmp_path) == {name_of(picture(1))}


def test_age_counts_from_the_clock_given(tmp_path: Path) -> None:
    kept = store(tmp_path, days=1)
    kept.put(picture(1), 0.0)
    kept.put(picture(2), 0.9 * DAY_S)
    kept.tidy(1.1 * DAY_S)
    assert names(tmp_path) == {name_of(picture(2))}


def test_limits_hold_for_what_an_earlier_run_left(tmp_path: Path) -> None:
    first = store(tmp_path)
    for number in (3, 1, 2):
        first.put(picture(number), 100.0 - number)
    (tmp_path / "torn.part").write_bytes(b"half a pict")
    second = store(tmp_path, max_mb=0.002)
    second.tidy(100.0)
    assert names(tmp_path) == {name_of(picture(1)), name_of(picture(2))}


def test_a_picture_deleted_by_somebody_else_is_written_again(tmp_path: Path) -> None:
    kept = store(tmp_path)
    kept.put(picture(1), 0.0)
    (tmp_path / name_of(picture(1))).unlink()
    assert kept.put(picture(1), 1.0) is not None
    assert names(tmp_path) == {name_of(picture(1))}


class FullDisk:
    """A disk of so many bytes, in place of the write."""

    def __init__(self, folder: Path, room: int, write: object = module._write) -> None:
        self.folder, self.room, self.write = folder, room, write

    def __call__(self, path: Path, jpeg: bytes, now_s: float) -> None:
        used = sum(file.stat().st_size for file in self.folder.iterdir())
        if used + len(jpeg) > self.room:
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        self.write(path, jpeg, now_s)  # type: ignore[operator]


def test_on_a_full_disk_the_oldest_make_room(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "_write", FullDisk(tmp_path, 2500))
    kept = store(tmp_path)
    for number in range(5):
        assert kept.put(picture(number), float(number)) is not None
    assert names(tmp_path) == {name_of(picture(3)), name_of(picture(4))}


def test_when_nothing_is_left_to_delete_it_says_so_once_and_goes_on(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    disk = FullDisk(tmp_path, 500)
    monkeypatch.setattr(module, "_write", disk)
    kept = store(tmp_path)
    with caplog.at_level(logging.WARNING):
        assert [kept.put(picture(number), 0.0) for number in range(3)] == [None, None, None]
    assert len(caplog.records) == 1
    assert "No space left" in caplog.text
    disk.room = 5000
    assert kept.put(picture(1), 0.0) is not None


def test_a_write_that_fails_leaves_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(_: int) -> None:
        raise OSError(errno.EIO, "broken")

    monkeypatch.setattr(os, "fsync", refuse)
    assert store(tmp_path).put(picture(1), 0.0) is None
    assert names(tmp_path) == set()


def test_make_room_frees_what_is_asked(tmp_path: Path) -> None:
    kept = store(tmp_path)
    for number in range(5):
        kept.put(picture(number), float(number))
    assert kept.make_room(1500) == 2000
    assert len(names(tmp_path)) == 3
    assert kept.make_room(99_999) == 3000
    assert kept.make_room(1) == 0
