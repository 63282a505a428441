"""A publisher on this machine: an HTTP server whose files are whole, cut off, changed, slow or elsewhere."""

import re
import time
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from threading import Thread
from types import TracebackType
from typing import Any, Self


@dataclass
class Shelf:
    """How one file is handed out.

    Attributes:
        data: Its bytes.
        ranges: Whether a part of it can be asked for.
        cuts: After how many bytes each answer breaks off, in order; whole afterwards.
        pause_s: Between the kilobytes of an answer.
        moved_to: Where it redirects to instead.
        status: Answered instead of the file.
    """

    data: bytes = b""
    ranges: bool = True
    cuts: list[int] = field(default_factory=list)
    pause_s: float = 0.0
    moved_to: str = ""
    status: int = 0


class Publisher:
    """Serves `files` on loopback until it is left; `asked` lists (path, Range header) of every request."""

    def __init__(self) -> None:
        self.files: dict[str, Shelf] = {}
        self.asked: list[tuple[str, str | None]] = []
        self._server = ThreadingHTTPServer(
            ("127.0.0.1", 0), type("Handler", (_Handler,), {"publisher": self})
        )
        self._server.daemon_threads = True

    def url(self, name: str) -> str:
        """The address of a file."""
        return f"http://127.0.0.1:{self._server.server_address[1]}/{name}"

    def __enter__(self) -> Self:
        Thread(target=self._server.serve_forever, args=(0.05,), daemon=True).start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._server.shutdown()
        self._server.server_close()


class _Handler(BaseHTTPRequestHandler):
    publisher: Publisher

    def do_GET(self) -> None:
        wanted = self.headers.get("Range")
        self.publisher.asked.append((self.path, wanted))
        shelf = self.publisher.files.get(self.path.lstrip("/"), Shelf(status=404))
        if shelf.moved_to or shelf.status:
            self._send_elsewhere(shelf)
            return
        start = int(re.findall(r"\d+", wanted)[0]) if wanted and shelf.ranges else 0
        if start and start >= len(shelf.data):
            self.send_error(416)
        else:
            self._send(shelf, start, partial=start > 0)

    def _send_elsewhere(self, shelf: Shelf) -> None:
        self.send_response(302 if shelf.moved_to else shelf.status)
        if shelf.moved_to:
            self.send_header("Location", shelf.moved_to)
        self.send_header("Content-Length", "0")
        self.end_headers()

    def _send(self, shelf: Shelf, start: int, *, partial: bool) -> None:
        body = shelf.data[start:]
        self.send_response(206 if partial else 200)
        self.send_header("Content-Length", str(len(body)))
        if partial:
            size = len(shelf.data)
            self.send_header("Content-Range", f"bytes {start}-{size - 1}/{size}")
        self.end_headers()
        if shelf.cuts:
            body = body[: shelf.cuts.pop(0)]
        try:
            for at in range(0, len(body), 1024):
                self.wfile.write(body[at : at + 1024])
                time.sleep(shelf.pause_s)
        except OSError:  # whoever asked has gone
            pass

    def log_message(self, format: str, *args: Any) -> None:
        pass
