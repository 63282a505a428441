"""Hits to a web address, one POST an event."""

import http.client
import re
from collections import OrderedDict
from collections.abc import Mapping, Sequence
from typing import Any

from pydantic import AnyHttpUrl, Field, field_validator

from pipeline.deliver.forms import bytes_of, content_type_of, event_of
from pipeline.errors import BackpressureError, OutsideError, RefusedError
from pipeline.secrets import remember
from pipeline.settings import Settings
from plugins.bounded_http import Address, receive, send

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
_MOST_POSTED = 10_000  # ids remembered
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
        self._address = Address.of(str(config.url))
        self._where = self._address.where
        self._has_type = "content-type" in map(str.lower, config.headers)
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
        connection = self._address.connection(self._config.timeout_s)
        try:
            connection.connect()
            for event in events:
                self._post(connection, event)
        except (
            OSError,
            http.client.HTTPException,
            ValueError,
            OverflowError,
        ) as error:  # sizes that cannot be
            raise OutsideError(f"webhook {self._where}: {error or type(error).__name__}") from error
        finally:
            connection.close()

    def _post(self, connection: http.client.HTTPConnection, event: Mapping[str, Any]) -> None:
        ours = {} if self._has_type else {"Content-Type": content_type_of(event)}
        headers, event_id = {**self._config.headers, **ours}, event_of(event)["id"]
        deadline_s = send(connection, self._address.target, bytes_of(event), headers, self._config.timeout_s)
        posted_before = self._remember(event_id)
        answer, _ = receive(connection, deadline_s)
        if answer.status in _BUSY:
            raise BackpressureError(
                f"webhook {self._where}: busy ({answer.status})", _pause_s(answer.getheader("Retry-After"))
            )
        if 200 <= answer.status < 300 or (answer.status == _REPEATED and posted_before):
            return
        problem = f"webhook {self._where}: {answer.status} {answer.reason}"
        if answer.status in _NOT_THIS:
            del self._posted[event_id]
            raise RefusedError(problem)
        raise OutsideError(problem)

    def _remember(self, event_id: str) -> bool:
        """That an event was posted, whatever comes of it; whether it was before."""
        known = event_id in self._posted
        self._posted[event_id] = None
        if len(self._posted) > _MOST_POSTED:
            self._posted.popitem(last=False)
        return known


def _pause_s(retry_after: str | None) -> float:
    """Seconds of a Retry-After header; its other form, a date, counts as absent."""
    if retry_after is None or not retry_after.isdecimal():
        return 1.0
    return min(_LONGEST_PAUSE_S, float(retry_after))
