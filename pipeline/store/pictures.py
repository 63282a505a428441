"""Pictures that hits refer to, kept under their hash within a size and an age."""

import errno
import hashlib
import logging
import os
import time
from collections import OrderedDict
from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path

from pipeline.clock import SLACK_S, SteadyTime
from pipeline.errors import OutsideError
from pipeline.files import make_folder, open_private, shut_folder
from pipeline.messages import PictureRef
from pipeline.store.room import release_reserve, tell_deleted

logger = logging.getLogger(__name__)

_DAY_S = 86_400.0
_YEAR_2000_S = 946_684_800.0
_NO_ROOM = (errno.ENOSPC, errno.EDQUOT)


class EvidenceStore:
    """`<folder>/<sha256>.jpg`; the oldest go first when there are too many, too old ones, or no room.

    For one thread; the index is in memory, made once from the folder. Nothing goes by its age before the clock has
    settled (`SteadyTime`), and a picture of a time that cannot be counts as of then.

    Args:
        folder: Made when missing, for this user alone.
        base_url: Put before the file name in events; None = a file URI.
        max_mb: Most megabytes (10^6 bytes) kept.
        max_age_days: Longest time kept since a picture was last put.
        monotonic: Seconds that never jump.

    Attributes:
        problem: Why pictures cannot be kept at present, or None.

    Raises:
        OutsideError: The folder cannot be made or read.
    """

    def __init__(
        self,
        folder: Path,
        base_url: str | None,
        max_mb: float,
        max_age_days: float,
        monotonic: Callable[[], float] = time.monotonic,
    ) -> None:
        self._folder = folder
        self._prefix = _prefix(folder, base_url)
        self._max_bytes = int(max_mb * 1e6)
        self._max_age_s = max_age_days * _DAY_S
        self._time = SteadyTime(monotonic)
        self._moved_s = 0.0
        self._fresh: set[str] = set()  # put since the start
        self._stamps_checked = False
        make_folder(folder)
        try:
            self._mode = shut_folder(folder)
            self._kept = OrderedDict(sorted(_scan(folder), key=lambda item: item[1]))
        except OSError as error:
            raise OutsideError(f"the evidence folder {folder} cannot be used: {error.strerror}") from error
        self._bytes = sum(size for _, size in self._kept.values())
        self.problem: str | None = None

    def put(self, jpeg: bytes, now_s: float) -> PictureRef | None:
        """Keeps a picture; the same bytes are kept once.

        Args:
            jpeg: Its bytes.
            now_s: Seconds since 1970, as the clock shows.

        Returns:
            Where it is; None when it cannot be kept, for no hit is lost for want of a picture.
        """
        digest = hashlib.sha256(jpeg).hexdigest()
        name = f"{digest}.jpg"
        if len(jpeg) > self._max_bytes:
            return None
        believed_s = self._time(now_s)
        if not (self._again(name, believed_s) or self._save(name, jpeg, believed_s)):
            return None
        self._fresh.add(name)
        self.tidy(now_s)
        return PictureRef(f"{self._prefix}{name}", digest)

    def tidy(self, now_s: float) -> None:
        """Deletes what is too old or too much.

        Args:
            now_s: Seconds since 1970, as the clock shows.
        """
        believed_s = self._time(now_s)
        self._move_stamps(believed_s)
        while self._kept:
            kept_s, _ = next(iter(self._kept.values()))
            too_old = self._time.settled and believed_s - kept_s > self._max_age_s
            if self._bytes <= self._max_bytes and not too_old:
                return
            self._delete_oldest()

    def make_room(self, n_bytes: int) -> int:
        """Deletes the oldest until so much is free or nothing is left, then the reserve: hits go before pictures.

        Returns:
            Bytes freed.
        """
        before = self._bytes
        while self._kept and before - self._bytes < n_bytes:
            self._delete_oldest()
        freed = before - self._bytes
        if freed:
            tell_deleted(freed)
        return freed or release_reserve(self._folder.parent)

    def _move_stamps(self, believed_s: float) -> None:
        """When another time is believed, pictures put by the one before move with it.

        Those that an earlier process put by a clock that was wrong are seen once the clock has settled.
        """
        by_s, self._moved_s = self._time.followed_s - self._moved_s, self._time.followed_s
        if by_s:
            for name in self._fresh & self._kept.keys():
                self._stamp(name, self._kept[name][0] + by_s)
        if self._time.settled and not self._stamps_checked:
            self._stamps_checked = True
            for name, (kept_s, _) in self._kept.items():
                if not _YEAR_2000_S < kept_s < believed_s + SLACK_S:
                    self._stamp(name, believed_s)

    def _stamp(self, name: str, kept_s: float) -> None:
        self._kept[name] = (kept_s, self._kept[name][1])
        with suppress(OSError):
            os.utime(self._folder / name, (kept_s, kept_s))

    def _again(self, name: str, now_s: float) -> bool:
        if name not in self._kept:
            return False
        try:
            os.utime(self._folder / name, (now_s, now_s))
        except OSError:  # somebody else deleted it
            self._bytes -= self._kept.pop(name)[1]
            return False
        self._kept[name] = (now_s, self._kept[name][1])
        self._kept.move_to_end(name)
        return True

    def _save(self, name: str, jpeg: bytes, now_s: float) -> bool:
        try:
            _write(self._folder / name, jpeg, now_s, self._mode)
        except OSError as error:
            if error.errno in _NO_ROOM and self.make_room(len(jpeg)) > 0:
                return self._save(name, jpeg, now_s)
            return self._gave_up(error)
        self._kept[name] = (now_s, len(jpeg))
        self._bytes += len(jpeg)
        self.problem = None
        return True

    def _gave_up(self, error: OSError) -> bool:
        if self.problem is None:
            logger.warning(
                "evidence cannot be kept in %s, hits go out without pictures: %s",
                self._folder,
                error.strerror,
            )
        self.problem = f"evidence cannot be kept in {self._folder}: {error.strerror}"
        return False

    def _delete_oldest(self) -> None:
        name, (_, size) = self._kept.popitem(last=False)
        self._bytes -= size
        self._fresh.discard(name)
        with suppress(OSError):
            (self._folder / name).unlink()


def _prefix(folder: Path, base_url: str | None) -> str:
    base = folder.resolve().as_uri() if base_url is None else base_url
    return base if base.endswith(("/", "=")) else f"{base}/"


def _scan(folder: Path) -> Iterator[tuple[str, tuple[float, int]]]:
    for leftover in folder.glob("*.part"):
        leftover.unlink(missing_ok=True)
    for path in folder.glob("*.jpg"):
        with suppress(FileNotFoundError):
            status = path.stat()
            yield path.name, (status.st_mtime, status.st_size)


def _write(path: Path, jpeg: bytes, now_s: float, mode: int) -> None:
    """Whole or not at all."""
    part = path.with_suffix(".part")
    try:
        with open(part, "wb", opener=open_private) as file:
            os.fchmod(file.fileno(), mode)
            file.write(jpeg)
            file.flush()
            os.fsync(file.fileno())
        os.utime(part, (now_s, now_s))
        part.replace(path)
    except OSError:
        part.unlink(missing_ok=True)
        raise
