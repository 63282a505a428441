"""Hits to a web address, one POST an event."""

import http.client
import ssl
from collections.abc import Mapping, Sequence
from typing import Any
from urllib.parse import urlsplit

from pydantic import AnyHttpUrl, Field, field_validator

from pipeline.deliver.events import CONTENT_TYPE, encode
from pipeline.errors import BackpressureError, OutsideError, RefusedError
from pipeline.secrets import remember
from pipeline.settings import Settings

_BUSY = (429, 503)
_NOT_THIS = (400, 413, 415, 422)  # what is wrong is in the request; of 401, 403, 404... it is in the settings
_LONGEST_PAUSE_S = 300.0
_SHORTEST_SECRET = 8


class WebhookSink:
    """Any 2xx answer says that the event is safe; redirects are not followed."""

    class Config(Settings):
        """Keys of this sink."""

        url: AnyHttpUrl = Field(description="http or https; certificates are checked.")
        headers: dict[str, str] = Field(
            default_factory=dict, description="Sent with each event, and never printed."
        )
        timeout_s: float = Field(default=10.0, gt=0, le=300)

        @field_validator("url")
        @classmethod
        def _without_user(cls, url: AnyHttpUrl) -> AnyHttpUrl:
            if url.username or url.password:
                raise ValueError("user and password belong into headers, as Authorization")
            return url

        @field_validator("headers")
        @classmethod
        def _of_one_line(cls, headers: dict[str, str]) -> dict[str, str]:
            broken = [name for name, value in headers.items() if {"\r", "\n"} & {*name, *value}]
            if broken:
                raise ValueError(
                    f"the header {broken[0]!r} has a line break in it; is there one in its secret?"
                )
            return headers

    def __init__(self, config: Config) -> None:
        self._config = config
        parts = urlsplit(str(config.url))
        self._host, self._port, self._tls = parts.hostname or "", parts.port, parts.scheme == "https"
        self._target = f"{parts.path or '/'}{f'?{parts.query}' if parts.query else ''}"
        self._where = f"{parts.scheme}://{self._host}{f':{self._port}' if self._port else ''}"
        self._headers = {**config.headers, "Content-Type": CONTENT_TYPE}
        for value in config.headers.values():
            if len(value) >= _SHORTEST_SECRET:
                remember(value)

    def publish(self, events: Sequence[Mapping[str, Any]]) -> None:
        """Posts one after another over one connection, which is made even when there are none.

        Raises:
            BackpressureError: The answer was 429 or 503.
            RefusedError: It was 400, 413, 415 or 422.
            OutsideError: Nobody answers, or with anything else than 2xx.
        """
        connection = self._connection()
        try:
            connection.connect()
            for event in events:
                self._post(connection, encode(event))
        except (OSError, http.client.HTTPException) as error:
            raise OutsideError(f"webhook {self._where}: {error or type(error).__name__}") from error
        finally:
            connection.close()

    def _connection(self) -> http.client.HTTPConnection:
        if self._tls:
            context = ssl.create_default_context()
            return http.client.HTTPSConnection(
                self._host, self._port, timeout=self._config.timeout_s, context=context
            )
        return http.client.HTTPConnection(self._host, self._port, timeout=self._config.timeout_s)

    def _post(self, connection: http.client.HTTPConnection, body: bytes) -> None:
        connection.request("POST", self._target, body, self._headers)
        answer = connection.getresponse()
        answer.read()
        if answer.status in _BUSY:
            raise BackpressureError(
                f"webhook {self._where}: busy ({answer.status})", _pause_s(answer.getheader("Retry-After"))
            )
        if not 200 <= answer.status < 300:
            kind = RefusedError if answer.status in _NOT_THIS else OutsideError
            raise kind(f"webhook {self._where}: {answer.status} {answer.reason}")


def _pause_s(retry_after: str | None) -> float:
    """Seconds of a Retry-After header; its other form, a date, counts as absent."""
    if retry_after is None or not retry_after.isdecimal():
        return 1.0
    return min(_LONGEST_PAUSE_S, float(retry_after))
