"""Room on a full disk: the oldest evidence gives way, in the end a reserve that lies beside it.

A file of SQLite cannot even be read without some room for the index of its log. So a run can be started, and a
person removed, on a disk that something else has filled.
"""

import logging
import os
from contextlib import suppress
from pathlib import Path

logger = logging.getLogger(__name__)

EVIDENCE = "evidence"
RESERVE = "reserve"
RESERVE_BYTES = 1_000_000  # or a quarter of what is free, if that is less
LEAST_BYTES = 100_000
STEP_BYTES = 1_000_000  # of evidence, deleted at once


def keep_reserve(data_dir: Path) -> None:
    """Sets the reserve aside where it is missing and the disk has room to spare; never raises."""
    path = data_dir / RESERVE
    with suppress(OSError):
        disk = os.statvfs(data_dir)
        size = min(RESERVE_BYTES, disk.f_bavail * disk.f_frsize // 4)
        if path.exists() or size < LEAST_BYTES:
            return
        handle = os.open(path, os.O_WRONLY | os.O_CREAT, 0o600)
        try:
            os.posix_fallocate(handle, 0, size)
        finally:
            os.close(handle)


def release_reserve(data_dir: Path) -> int:
    """Gives the reserve up; the bytes freed, 0 where there is none."""
    try:
        path = data_dir / RESERVE
        freed = path.stat().st_blocks * 512
        path.unlink()
    except OSError:
        return 0
    logger.warning("the disk is full: the reserve %s is given up", path)
    return freed


def make_room(data_dir: Path) -> bool:
    """Deletes the oldest evidence, `STEP_BYTES` of it, where none is left the reserve; whether anything was freed.

    For whoever needs room and has no `EvidenceStore` at hand; a store that has this folder bears it.
    """
    freed = 0
    with suppress(OSError):
        oldest = sorted((data_dir / EVIDENCE).glob("*.jpg"), key=lambda path: path.stat().st_mtime)
        for path in oldest:
            if freed >= STEP_BYTES:
                break
            freed += path.stat().st_size
            path.unlink()
    if freed:
        tell_deleted(freed)
    return freed > 0 or release_reserve(data_dir) > 0


def tell_deleted(n_bytes: int) -> None:
    """Tells the log that evidence gave way."""
    logger.warning("the disk is full: %.2f MB of the oldest evidence deleted", n_bytes / 1e6)
