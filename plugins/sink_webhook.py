"""Hits to a web address, one POST an event."""

import http.client
import io
import re
import socket
import ssl
import time
from collections import OrderedDict
from collections.abc import Mapping, Sequence
from typing import Any
from urllib.parse import urlsplit

from pydantic import AnyHttpUrl, Field, field_validator

from pipeline.deliver.events import CONTENT_TYPE, encode
from pipeline.errors import BackpressureError, OutsideError, RefusedError
from pipeline.secrets import remember
from pipeline.settings import Settings

_BUSY = (429, 503)
_NOT_THIS = (
    400,
    409,
    413,
    415,
    422,
)  # what is wrong is in the event; of 401, 403, 404... it is in the settings
_REPEATED = 409
_LONGEST_PAUSE_S = 300.0
_LARGEST_ANSWER_BYTES = 1_000_000
_MOST_POSTED = 10_000  # ids remembered
_SHORTEST_WAIT_S = 0.001
_SHORTEST_SECRET = 8
_HEADER_NAME = re.compile(r"[A-Za-z0-9!#$%&'*+.^_`|~-]+")
_HEADER_VALUE = re.compile(r"[\t\x20-\x7e\xa0-\xff]*")
_OURS = ("connection", "content-length", "host", "transfer-encoding")


class WebhookSink:
    """Any 2xx answer that ends says that the event is safe; redirects are not followed.

    So does a 409 to an event that was posted before: the receiver has it, and only its answer was lost.
    """

    class Config(Settings):
        """Keys of this sink."""

        url: AnyHttpUrl = Field(description="http or https; certificates are checked.")
        headers: dict[str, str] = Field(
            default_factory=dict,
            description="Sent with each event, and never printed; Content-Type in place of ours.",
        )
        timeout_s: float = Field(
            default=10.0, gt=0, le=300, description="Longest time for one event, to the end of its answer."
        )

        @field_validator("url")
        @classmethod
        def _without_user(cls, url: AnyHttpUrl) -> AnyHttpUrl:
            if url.username or url.password:
                raise ValueError("user and password belong into headers, as Authorization")
            return url

        @field_validator("headers")
        @classmethod
        def _can_be_sent(cls, headers: dict[str, str]) -> dict[str, str]:
            for name, value in headers.items():
                if {"\r", "\n"} & {*name, *value}:
                    raise ValueError(
                        f"the header {name!r} has a line break in it; is there one in its secret?"
                    )
                if not _HEADER_NAME.fullmatch(name) or not _HEADER_VALUE.fullmatch(value):
                    raise ValueError(f"the header {name!r} has characters in it that no header may have")
                if name.lower() in _OURS:
                    raise ValueError(f"the header {name!r} is set by musewatch")
            names = [name.lower() for name in headers]
            twice = {name for name in names if names.count(name) > 1}
            if twice:
                raise ValueError(f"the header {min(twice)!r} is given twice; capitals make no difference")
            return headers

    def __init__(self, config: Config) -> None:
        self._config = config
        parts = urlsplit(str(config.url))
        self._host, self._port, self._tls = parts.hostname or "", parts.port, parts.scheme == "https"
        self._target = f"{parts.path or '/'}{f'?{parts.query}' if parts.query else ''}"
        self._where = f"{parts.scheme}://{self._host}{f':{self._port}' if self._port else ''}"
        ours = {} if "content-type" in map(str.lower, config.headers) else {"Content-Type": CONTENT_TYPE}
        self._headers = {**config.headers, **ours}
        self._posted: OrderedDict[str, None] = OrderedDict()
        for value in config.headers.values():
            if len(value) >= _SHORTEST_SECRET:
                remember(value)

    def publish(self, events: Sequence[Mapping[str, Any]]) -> None:
        """Posts one after another over one connection, which is made even when there are none.

        Raises:
            BackpressureError: The answer was 429 or 503.
            RefusedError: It was 400, 413, 415 or 422, or 409 to an event that was never posted before.
            OutsideError: Nobody answers, or with anything else than 2xx, or the answer does not end.
        """
        connection = self._connection()
        try:
            connection.connect()
            for event in events:
                self._post(connection, event)
        except (OSError, http.client.HTTPException) as error:
            raise OutsideError(f"webhook {self._where}: {error or type(error).__name__}") from error
        finally:
            connection.close()

    def _connection(self) -> http.client.HTTPConnection:
        timeout_s = self._config.timeout_s
        if not self._tls:
            connection = http.client.HTTPConnection(self._host, self._port, timeout=timeout_s)
        else:
            context = ssl.create_default_context()
            connection = http.client.HTTPSConnection(
                self._host, self._port, timeout=timeout_s, context=context
            )
        connection.response_class = _LimitedAnswer
        return connection

    def _post(self, connection: http.client.HTTPConnection, event: Mapping[str, Any]) -> None:
        deadline_s = time.monotonic() + self._config.timeout_s
        if connection.sock is None:  # the last answer ended the connection
            connection.connect()
        connection.sock.settimeout(self._config.timeout_s)
        connection.request("POST", self._target, encode(event), self._headers)
        posted_before = self._remember(event["id"])
        connection.sock.settimeout(max(_SHORTEST_WAIT_S, deadline_s - time.monotonic()))
        answer = connection.getresponse()
        answer.read()
        if answer.status in _BUSY:
            raise BackpressureError(
                f"webhook {self._where}: busy ({answer.status})", _pause_s(answer.getheader("Retry-After"))
            )
        if 200 <= answer.status < 300 or (answer.status == _REPEATED and posted_before):
            return
        problem = f"webhook {self._where}: {answer.status} {answer.reason}"
        if answer.status in _NOT_THIS:
            del self._posted[event["id"]]
            raise RefusedError(problem)
        raise OutsideError(problem)

    def _remember(self, event_id: str) -> bool:
        """That an event was posted, whatever comes of it; whether it was before."""
        known = event_id in self._posted
        self._posted[event_id] = None
        if len(self._posted) > _MOST_POSTED:
            self._posted.popitem(last=False)
        return known


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


def _pause_s(retry_after: str | None) -> float:
    """Seconds of a Retry-After header; its other form, a date, counts as absent."""
    if retry_after is None or not retry_after.isdecimal():
        return 1.0
    return min(_LONGEST_PAUSE_S, float(retry_after))
