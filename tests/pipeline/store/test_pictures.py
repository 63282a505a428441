import errno
import hashlib
import logging
import os
import time
from collections.abc import Callable
from pathlib import Path
from urllib.parse import urlparse
from urllib.request import url2pathname

import pytest

from pipeline.store import pictures as module
from pipeline.store.pictures import EvidenceStore
from pipeline.store.room import RESERVE_BYTES, keep_reserve

DAY_S = 86_400.0
NOW_S = 1_796_000_000.0  # the wall clock when the monotonic one shows 0


class Clock:
    """The monotonic clock of a test."""

    def __init__(self) -> None:
        self.s = 0.0

    def __call__(self) -> float:
        return self.s

    def after(self, seconds: float) -> float:
        """Goes on; what a wall clock that is right shows then."""
        self.s += seconds
        return NOW_S + self.s


def store(
    folder: Path,
    base_url: str | None = None,
    max_mb: float = 1.0,
    days: float = 30,
    monotonic: Callable[[], float] = time.monotonic,
) -> EvidenceStore:
    return EvidenceStore(folder, base_url, max_mb, days, monotonic)


def picture(number: int, size: int = 1000) -> bytes:
    return number.to_bytes(4, "big") * (size // 4)


def names(folder: Path) -> set[str]:
    return {path.name for path in folder.iterdir()}


def modes(folder: Path) -> dict[str, int]:
    return {path.name: path.stat().st_mode & 0o777 for path in folder.rglob("*")}


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
    clock = Clock()
    kept = store(tmp_path, days=1, monotonic=clock)
    kept.put(picture(1), clock.after(0))
    kept.put(picture(2), clock.after(0.9 * DAY_S))
    kept.tidy(clock.after(0.2 * DAY_S))
    assert names(tmp_path) == {name_of(picture(2))}


@pytest.mark.parametrize("wrong_by_s", [3650 * DAY_S, -NOW_S], ids=["in ten years", "1970"])
def test_a_clock_that_is_wrong_for_a_minute_deletes_nothing(tmp_path: Path, wrong_by_s: float) -> None:
    clock = Clock()
    kept = store(tmp_path, days=1, monotonic=clock)
    kept.put(picture(1), clock.after(0))
    for _ in range(60):
        kept.put(picture(2), clock.after(1) + wrong_by_s)
    for _ in range(120):
        kept.put(picture(3), clock.after(10))
    everything = {name_of(picture(number)) for number in (1, 2, 3)}
    assert names(tmp_path) == everything
    for number in range(4):  # and later each goes in its time
        kept.tidy(clock.after(DAY_S / 4))
        assert names(tmp_path) == (everything if number < 3 else {name_of(picture(3))})


@pytest.mark.parametrize("wrong_by_s", [3650 * DAY_S, -NOW_S], ids=["in ten years", "1970"])
def test_a_clock_that_is_wrong_at_the_start_deletes_nothing(tmp_path: Path, wrong_by_s: float) -> None:
    store(tmp_path).put(picture(1), NOW_S - DAY_S / 2)
    clock = Clock()
    kept = store(tmp_path, days=1, monotonic=clock)
    kept.put(picture(2), clock.after(0) + wrong_by_s)
    kept.put(picture(3), clock.after(60) + wrong_by_s)
    kept.tidy(clock.after(1))
    kept.tidy(clock.after(600))
    assert names(tmp_path) == {name_of(picture(number)) for number in (1, 2, 3)}
    stamps = [(tmp_path / name_of(picture(number))).stat().st_mtime - NOW_S for number in (2, 3)]
    assert stamps == [pytest.approx(0, abs=2), pytest.approx(60, abs=2)]
    kept.tidy(clock.after(DAY_S / 2))
    assert names(tmp_path) == {name_of(picture(number)) for number in (2, 3)}


@pytest.mark.parametrize("stamp_s", [NOW_S + 3650 * DAY_S, 5.0], ids=["in ten years", "1970"])
def test_a_picture_of_a_time_that_cannot_be_is_as_old_as_it_was_found(tmp_path: Path, stamp_s: float) -> None:
    store(tmp_path).put(picture(1), stamp_s)
    clock = Clock()
    kept = store(tmp_path, days=1, monotonic=clock)
    for step_s in (0, 601, 0.9 * DAY_S):
        kept.tidy(clock.after(step_s))
        assert names(tmp_path) == {name_of(picture(1))}
    kept.tidy(clock.after(0.2 * DAY_S))
    assert names(tmp_path) == set()


def test_the_folder_and_its_pictures_are_private(tmp_path: Path) -> None:
    store(tmp_path / "data" / "evidence").put(picture(1), NOW_S)
    assert modes(tmp_path) == {"data": 0o700, "evidence": 0o700, name_of(picture(1)): 0o600}


def test_a_folder_from_before_is_closed_and_one_for_a_group_stays(tmp_path: Path) -> None:
    for folder, mode in (("open", 0o755), ("group", 0o750)):
        (tmp_path / folder).mkdir()
        (tmp_path / folder).chmod(mode)
        store(tmp_path / folder).put(picture(ord(folder[0])), NOW_S)
    assert modes(tmp_path) == {
        "open": 0o700,
        name_of(picture(ord("o"))): 0o600,
        "group": 0o750,
        name_of(picture(ord("g"))): 0o640,
    }


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

    def __call__(self, path: Path, jpeg: bytes, *rest: float) -> None:
        used = sum(file.stat().st_size for file in self.folder.iterdir())
        if used + len(jpeg) > self.room:
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        self.write(path, jpeg, *rest)  # type: ignore[operator]


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


def test_the_reserve_goes_when_no_picture_is_left(tmp_path: Path) -> None:
    kept = store(tmp_path / "evidence")
    kept.put(picture(1), 0.0)
    keep_reserve(tmp_path)
    assert kept.make_room(99_999) == 1000
    assert (tmp_path / "reserve").exists()
    assert kept.make_room(99_999) >= RESERVE_BYTES
    assert not (tmp_path / "reserve").exists()
    assert kept.make_room(99_999) == 0
