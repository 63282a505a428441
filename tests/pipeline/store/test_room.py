"""A full disk: the oldest evidence gives way, then a reserve; a person can be removed, and a run started."""

import os
import subprocess
from collections.abc import Iterator
from contextlib import suppress
from datetime import UTC, datetime
from pathlib import Path
from types import SimpleNamespace

import pytest

from pipeline.deliver.outbox import Outbox
from pipeline.errors import DiskFullError, OutboxError
from pipeline.store.room import EVIDENCE, RESERVE, RESERVE_BYTES, STEP_BYTES, keep_reserve, make_room
from pipeline.watchlist.records import Identity, NewPicture
from pipeline.watchlist.roster import WatchlistStore
from tests.servers.packets import need_root

NOW = datetime(2026, 11, 21, tzinfo=UTC)


def evidence(data_dir: Path, count: int, size: int) -> list[Path]:
    """Pictures, the oldest first."""
    folder = data_dir / EVIDENCE
    folder.mkdir(exist_ok=True)
    paths = [folder / f"{number}.jpg" for number in range(count)]
    for number, path in enumerate(reversed(paths)):
        path.write_bytes(bytes(size))
        os.utime(path, (1e9 - number, 1e9 - number))
    return paths


def test_the_oldest_evidence_gives_way_step_by_step_and_then_the_reserve(tmp_path: Path) -> None:
    keep_reserve(tmp_path)
    assert (tmp_path / RESERVE).stat().st_size == RESERVE_BYTES
    pictures = evidence(tmp_path, 5, STEP_BYTES // 2)
    left = []
    while make_room(tmp_path):
        left.append((sum(path.exists() for path in pictures), (tmp_path / RESERVE).exists()))
    assert left == [(3, True), (1, True), (0, True), (0, False)]
    assert not make_room(tmp_path / "nowhere")


def test_a_disk_with_little_room_is_left_most_of_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def free(n_bytes: int) -> None:
        disk = SimpleNamespace(f_bavail=n_bytes // 1000, f_frsize=1000)
        monkeypatch.setattr(os, "statvfs", lambda _: disk)

    free(300_000)
    keep_reserve(tmp_path)
    assert not (tmp_path / RESERVE).exists()
    free(1_000_000)
    keep_reserve(tmp_path)
    assert (tmp_path / RESERVE).stat().st_size == 250_000


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    """4 MB."""
    need_root()
    folder = tmp_path / "data"
    folder.mkdir()
    subprocess.run(["mount", "-t", "tmpfs", "-o", "size=4m", "tmpfs", str(folder)], check=True)
    yield folder
    subprocess.run(["umount", "-l", str(folder)], check=True)


def fill(data_dir: Path) -> None:
    with suppress(OSError), (data_dir / "filler").open("ab", buffering=0) as file:
        while True:
            file.write(bytes(4096))


def enrol(data_dir: Path) -> None:
    with WatchlistStore.in_folder(data_dir) as store:
        for name in ("anna", "luca"):
            picture = NewPicture(name.encode() * 20_000, NOW)
            store.add(Identity(name, None, None, None, NOW), [picture])


def event(number: int) -> dict[str, object]:
    return {"id": f"h{number}-1", "data": {"hit_id": f"h{number}", "revision": 1, "state": "opened"}}


@pytest.mark.root
@pytest.mark.parametrize("pictures", [0, 20])
def test_on_a_full_disk_a_person_can_be_removed_for_good(small_disk: Path, pictures: int) -> None:
    enrol(small_disk)
    evidence(small_disk, pictures, 50_000)
    fill(small_disk)
    reserve_bytes = (small_disk / RESERVE).stat().st_size
    with WatchlistStore.in_folder(small_disk) as store:
        assert store.remove("anna")
        assert [identity.id for identity in store.identities()] == ["luca"]
    found = [b"annaanna" in path.read_bytes() for path in small_disk.glob("watchlist.db*")]
    assert found == [False]
    assert ((small_disk / RESERVE).stat().st_size == reserve_bytes) is (pictures > 0)


@pytest.mark.root
def test_on_a_full_disk_an_outbox_is_opened_and_closes_what_a_crash_left_open(small_disk: Path) -> None:
    enrol(small_disk)
    first = Outbox(small_disk / "outbox.db", ("a",))
    first.append([event(1)])
    first.close()
    fill(small_disk)
    second = Outbox(small_disk / "outbox.db", ("a",))
    assert [close["id"] for close in second.close_interrupted()] == ["h1-1000001"]
    assert len(second.take("a", 9)) == 2
    second.close()


@pytest.mark.root
def test_when_nothing_is_left_to_give_way_that_is_said(small_disk: Path) -> None:
    enrol(small_disk)
    Outbox(small_disk / "outbox.db", ("a",)).close()
    (small_disk / RESERVE).unlink()
    fill(small_disk)
    with pytest.raises(DiskFullError, match="the disk has room"):
        WatchlistStore.in_folder(small_disk)
    with pytest.raises(OutboxError, match="the disk has room"):
        Outbox(small_disk / "outbox.db", ("a",))
