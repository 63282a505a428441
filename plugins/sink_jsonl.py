"""Hits into a file, one JSON object a line."""

import os
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from pydantic import Field

from pipeline.deliver.forms import bytes_of
from pipeline.errors import ConfigError, InputError
from pipeline.files import make_folder, need_writable, open_private
from pipeline.settings import ConfigPath, Settings
from pipeline.strict_json import JsonError, parse_json

_CHUNK = 4096


class JsonlSink:
    """Appends; a line is on the disk before `publish` returns. A new file is this user's alone.

    What a crash left of a half-written line is cut off before the next write: its event still waits in the
    outbox.
    """

    class Config(Settings):
        """Keys of this sink."""

        path: ConfigPath = Field(description="File to append to; folders are made.")

    def __init__(self, config: Config) -> None:
        self._path = config.path
        if self._path.is_dir():
            raise ConfigError(f"{self._path} is a folder, not a file", "give the path of a file")

    def publish(self, events: Sequence[Mapping[str, Any]]) -> None:
        """Appends all, or, when the disk does not take them, none.

        Raises:
            OSError: The file cannot be written.
            OutsideError: There is nothing to append, and the file could not be written.
        """
        if not events:
            need_writable(self._path)
            return
        make_folder(self._path.parent)
        handle = open_private(str(self._path), os.O_RDWR | os.O_CREAT | os.O_APPEND)
        try:
            start = _mend(handle)
            try:
                _write(handle, b"".join(bytes_of(event) + b"\n" for event in events))
                os.fsync(handle)
            except OSError:
                os.ftruncate(handle, start)
                raise
        finally:
            os.close(handle)

    def read(self, from_start: bool) -> Iterator[dict[str, Any] | None]:
        """The events of the file, then those that come; None whenever there is nothing new.

        Raises:
            InputError: A whole line is not JSON.
        """
        size, known = _state(self._path)
        place = 0 if from_start else size
        while True:
            size, file = _state(self._path)
            if size < place or file != known:  # emptied, or moved away and begun anew
                place, known = 0, file
            for line in _whole_lines(self._path, place):
                place += len(line)
                yield _parse(line, self._path)
            yield None


def _mend(handle: int) -> int:
    """Ends the file with a whole line; its size then, in bytes."""
    size = os.fstat(handle).st_size
    tail = b""
    start = size
    while start > 0 and b"\n" not in tail:
        start = max(0, start - _CHUNK)
        tail = os.pread(handle, size - start, start)
    torn = tail.rpartition(b"\n")[2]
    if not torn:
        return size
    try:
        parse_json(torn)
    except JsonError:
        os.ftruncate(handle, size - len(torn))
        return size - len(torn)
    _write(handle, b"\n")
    return size + 1


def _write(handle: int, data: bytes) -> None:
    while data:
        data = data[os.write(handle, data) :]


def _state(path: Path) -> tuple[int, int | None]:
    """Size in bytes, and which file it is; None where there is none."""
    try:
        found = path.stat()
    except FileNotFoundError:
        return 0, None
    return found.st_size, found.st_ino


def _whole_lines(path: Path, place: int) -> Iterator[bytes]:
    if not path.exists():
        return
    with path.open("rb") as file:
        file.seek(place)
        for line in file:
            if line.endswith(b"\n"):
                yield line


def _parse(line: bytes, path: Path) -> dict[str, Any]:
    try:
        event = parse_json(line)
    except JsonError:
        event = None
    if not isinstance(event, dict):
        raise InputError(f"{path}: not an event: {line[:60]!r}", "each line must be one JSON object")
    return event
