"""POST over HTTP within a time and a size, to the end of the answer."""

import http.client
import io
import socket
import ssl
import time
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Self
from urllib.parse import urlsplit

_LARGEST_ANSWER_BYTES = 1_000_000
_SHORTEST_WAIT_S = 0.001


@dataclass(frozen=True, slots=True)
class Address:
    """Where requests go.

    Attributes:
        where: Scheme, host and port, for messages.
        target: Path and query.
    """

    where: str
    target: str
    host: str
    port: int | None
    tls: bool

    @classmethod
    def of(cls, url: str) -> Self:
        """The address in a url that has been checked."""
        parts = urlsplit(url)
        host, query = parts.hostname or "", f"?{parts.query}" if parts.query else ""
        where = f"{parts.scheme}://{host}{f':{parts.port}' if parts.port else ''}"
        return cls(where, f"{parts.path or '/'}{query}", host, parts.port, parts.scheme == "https")

    def connection(self, timeout_s: float) -> http.client.HTTPConnection:
        """One that is not made yet; certificates are checked."""
        if not self.tls:
            connection = http.client.HTTPConnection(self.host, self.port, timeout=timeout_s)
        else:
            context = ssl.create_default_context()
            connection = http.client.HTTPSConnection(self.host, self.port, timeout=timeout_s, context=context)
        connection.response_class = _LimitedAnswer
        return connection


def send(
    connection: http.client.HTTPConnection,
    target: str,
    body: bytes,
    headers: Mapping[str, str],
    timeout_s: float,
) -> float:
    """Posts a body; returns the monotonic time at which its answer has to be over."""
    deadline_s = time.monotonic() + timeout_s
    if connection.sock is None:  # not made yet, or the last answer ended it
        connection.connect()
    connection.sock.settimeout(timeout_s)
    connection.request("POST", target, body, dict(headers))
    return deadline_s


def receive(
    connection: http.client.HTTPConnection, deadline_s: float
) -> tuple[http.client.HTTPResponse, bytes]:
    """The answer, and its body to the end.

    Raises:
        OSError: It does not end in time, or is too long.
    """
    connection.sock.settimeout(max(_SHORTEST_WAIT_S, deadline_s - time.monotonic()))
    answer = connection.getresponse()
    return answer, answer.read()


class _LimitedAnswer(http.client.HTTPResponse):
    """An answer that has to be read to its end within the timeout of its socket, and a size."""

    def __init__(
        self, sock: socket.socket, debuglevel: int = 0, method: str | None = None, url: str | None = None
    ) -> None:
        super().__init__(sock, debuglevel, method, url)
        self.fp = io.BufferedReader(_Limited(sock, self.fp.detach()))


class _Limited(io.RawIOBase):
    def __init__(self, sock: socket.socket, stream: io.RawIOBase) -> None:
        self._sock, self._stream = sock, stream
        self._deadline_s = time.monotonic() + (sock.gettimeout() or 0.0)
        self._left = _LARGEST_ANSWER_BYTES

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: Any) -> int | None:
        left_s = self._deadline_s - time.monotonic()
        if left_s <= 0:
            raise TimeoutError("its answer does not end in time")
        self._sock.settimeout(left_s)
        count = self._stream.readinto(buffer)
        self._left -= count or 0
        if self._left < 0:
            raise OSError(f"its answer has more than {_LARGEST_ANSWER_BYTES / 1e6:g} MB")
        return count

    def close(self) -> None:
        self._stream.close()
        super().close()
