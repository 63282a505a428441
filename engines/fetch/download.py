"""One file from its publisher: bounded in size and time, taken up where it was cut off, kept only by its digest."""

import errno
import fcntl
import hashlib
import http.client
import os
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from io import BufferedRandom
from pathlib import Path
from typing import IO, Any
from urllib.parse import urlsplit

from engines.errors import EngineFileError
from engines.fetch.catalogue import Build, Published
from pipeline.errors import DiskFullError, InputError, OutsideError

_BLOCK = 1 << 16
_AGENT = "musewatch engines fetch"
_PASSING = (
    http.client.REQUEST_TIMEOUT, http.client.REQUESTED_RANGE_NOT_SATISFIABLE, http.client.TOO_MANY_REQUESTS,
)  # fmt: skip


@dataclass(frozen=True, slots=True)
class Patience:
    """How long a publisher is waited for.

    Attributes:
        silence_s: Longest time without a byte.
        whole_s: Longest time for one file, all tries together.
        tries: Connections made for one file.
        pause_s: Between two of them; doubled each time.
    """

    silence_s: float = 30.0
    whole_s: float = 3600.0
    tries: int = 5
    pause_s: float = 1.0


PATIENCE = Patience()


def download(file: Published, folder: Path, patience: Patience | None = None) -> Path:
    """Fetches a file into a folder; what an earlier call left unfinished there is gone on with.

    Returns:
        Where it lies, whole and with the right digest.

    Raises:
        OutsideError: The publisher cannot be reached, stops, or is too slow; what came is kept for the next call.
        InputError: What came is another file; nothing is kept.
        EngineFileError: The folder cannot be written, or another fetch is writing there.
    """
    patience = patience or PATIENCE
    target = folder / file.name
    try:
        folder.mkdir(parents=True, exist_ok=True)
        if target.exists() and fits(target, file):
            return target
        with _alone(folder / f".{file.name}.part") as part:
            _Transfer(file, part, patience).finish()
            Path(part.name).replace(target)
    except OSError as error:
        raise _of_the_disk(error, folder) from None
    return target


def fits(path: Path, build: Build) -> bool:
    """Whether a file is this build.

    Raises:
        OSError: It cannot be read.
    """
    algorithm, digest = build.digest
    if path.stat().st_size != build.bytes:
        return False
    with path.open("rb") as file:
        return hashlib.file_digest(file, algorithm).hexdigest() == digest


class _SafeRedirects(urllib.request.HTTPRedirectHandler):
    """Redirects are followed, but never from https to http, and to nothing but these two."""

    def redirect_request(
        self, req: urllib.request.Request, fp: IO[bytes], code: int, msg: str, headers: Any, newurl: str
    ) -> urllib.request.Request | None:
        """The next request, with the range that the first one asked for."""
        scheme = urlsplit(newurl).scheme
        if scheme != "https" and scheme != urlsplit(req.full_url).scheme:
            raise urllib.error.URLError(f"it redirects to {scheme}, which is not safe")
        return super().redirect_request(req, fp, code, msg, headers, newurl)


class _Transfer:
    """The bytes of one file on their way into a draft."""

    def __init__(self, file: Published, draft: BufferedRandom, patience: Patience) -> None:
        self._file, self._draft, self._patience = file, draft, patience
        self._until_s = time.monotonic() + patience.whole_s
        self._opener = urllib.request.build_opener(_SafeRedirects)

    def finish(self) -> None:
        """Fetches what is missing; a draft that others began may be of another file, and is then begun once more.

        Raises:
            InputError: It is another file.
            OutsideError: It did not come.
        """
        begun = self._had
        self._fetch()
        if begun and not self._is_right():
            self._begin_again()
            self._fetch()
        if not self._is_right():
            found = self._digest()
            self._begin_again()
            algorithm, digest = self._file.digest
            raise InputError(
                f"{self._file.url} is another file: {algorithm} {found}, not {digest}",
                "it was changed by its publisher or on the way, and is not used; look for a newer musewatch",
            )

    @property
    def _had(self) -> int:
        return os.fstat(self._draft.fileno()).st_size

    def _begin_again(self) -> None:
        self._draft.truncate(0)

    def _fetch(self) -> None:
        pause_s, reason = self._patience.pause_s, "it sent nothing"
        for attempt in range(self._patience.tries):
            if self._had >= self._file.bytes:
                break
            if attempt:
                time.sleep(min(pause_s, max(0.0, self._until_s - time.monotonic())))
                pause_s *= 2
            try:
                reason = self._once() or "it was cut off"
            except _UselessError as error:
                reason = str(error)
                break
            if time.monotonic() >= self._until_s:
                reason = f"it is not whole after {self._patience.whole_s:g} s"
                break
        if self._had > self._file.bytes:
            self._begin_again()
            raise InputError(
                f"{self._file.url} is another file: larger than {self._file.bytes} bytes",
                "it is not used; look for a newer musewatch",
            )
        if self._had < self._file.bytes:
            raise OutsideError(
                f"{self._file.url}: {reason}; {self._had} of {self._file.bytes} bytes are here",
                "try again, it goes on from there; or fetch it elsewhere and give it with --from FILE",
            )

    def _once(self) -> str:
        """One connection; what went wrong, empty when nothing did.

        Raises:
            _UselessError: Another try would go the same way.
            OSError: The disk refuses the bytes.
        """
        had = self._had
        headers = {"User-Agent": _AGENT, "Accept-Encoding": "identity"}
        if had:
            headers["Range"] = f"bytes={had}-"
        request = urllib.request.Request(self._file.url, headers=headers)
        try:
            with self._opener.open(request, timeout=self._patience.silence_s) as answer:
                if had and not _goes_on_at(answer, had):
                    self._begin_again()
                for block in self._blocks(answer):
                    self._draft.write(block)
                self._draft.flush()
        except urllib.error.HTTPError as error:
            if error.code == http.client.REQUESTED_RANGE_NOT_SATISFIABLE:
                self._begin_again()
            with error:
                reason = f"it answers {error.code} {error.reason}"
            if error.code < http.client.INTERNAL_SERVER_ERROR and error.code not in _PASSING:
                raise _UselessError(reason) from None
            return reason
        except _LostError as error:
            self._draft.flush()
            return str(error)
        except urllib.error.URLError as error:
            raise _UselessError(f"it cannot be reached ({_words(error.reason)})") from None
        except (http.client.HTTPException, TimeoutError, ConnectionError) as error:
            return f"it was cut off ({_words(error)})"
        return ""

    def _blocks(self, answer: http.client.HTTPResponse) -> Iterator[bytes]:
        """What comes, until one byte more than the file may have, or until the time is over."""
        left = self._file.bytes + 1 - self._had
        while left > 0 and time.monotonic() < self._until_s:
            try:
                block = answer.read1(min(_BLOCK, left))
            except (http.client.HTTPException, OSError) as error:
                raise _LostError(f"it was cut off ({_words(error)})") from None
            if not block:
                return
            left -= len(block)
            yield block

    def _digest(self) -> str:
        self._draft.seek(0)
        return hashlib.file_digest(self._draft, self._file.digest[0]).hexdigest()

    def _is_right(self) -> bool:
        return self._digest() == self._file.digest[1]


class _UselessError(Exception):
    """The publisher is not there, or has no such file."""


class _LostError(Exception):
    """The connection went while bytes were coming."""


def _goes_on_at(answer: http.client.HTTPResponse, place: int) -> bool:
    """Whether the answer is the part that was asked for, and not the whole file."""
    said = answer.headers.get("Content-Range", "")
    return answer.status == http.client.PARTIAL_CONTENT and said.startswith(f"bytes {place}-")


def _words(error: Any) -> str:
    return str(getattr(error, "strerror", None) or error) or type(error).__name__


@contextmanager
def _alone(path: Path) -> Iterator[BufferedRandom]:
    """A draft that nobody else writes meanwhile; what is in it stays when the block fails.

    Raises:
        EngineFileError: Another process has it.
        OSError: It cannot be opened.
    """
    with path.open("ab+") as draft:
        try:
            fcntl.flock(draft, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise EngineFileError(
                f"another fetch is writing {path}", "wait until it is through, then try again"
            ) from None
        try:
            yield draft
        finally:
            if path.exists() and not os.fstat(draft.fileno()).st_size:
                path.unlink()


def _of_the_disk(error: OSError, folder: Path) -> Exception:
    if error.errno in (errno.ENOSPC, errno.EDQUOT):
        return DiskFullError(f"{folder} has no room for the download", "make room, then try again")
    return EngineFileError(
        f"{folder} cannot be written: {error.strerror or error}", "choose another data_dir"
    )
