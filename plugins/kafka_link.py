"""How to reach Kafka: settings, errors in our words, and a reader, for the sink and the bus."""

import logging
import time
from collections.abc import Iterator
from contextlib import suppress
from typing import Any, Literal, Self

from kafka import KafkaConsumer, TopicPartition
from kafka.errors import KafkaError, KafkaTimeoutError
from pydantic import Field, SecretStr, model_validator

from pipeline.config import ConfigPath, Settings
from pipeline.errors import BackpressureError, OutsideError

logger = logging.getLogger(__name__)

_RETRY_S = 1.0
_POLL_MS = 200
_QUIET_POLLS = 50  # without a record before the end: the broker has gone


class Sasl(Settings):
    """Who we are."""

    mechanism: Literal["PLAIN", "SCRAM-SHA-256", "SCRAM-SHA-512"] = "SCRAM-SHA-512"
    username: str
    password: SecretStr = Field(description="Put it in by ${NAME} or ${file:PATH}.")


class Tls(Settings):
    """Certificates; the broker's is always checked, by the system's authorities unless `ca` names others."""

    ca: ConfigPath | None = None
    cert: ConfigPath | None = Field(default=None, description="Our own certificate, with `key`.")
    key: ConfigPath | None = None

    @model_validator(mode="after")
    def _pair(self) -> Self:
        if (self.cert is None) != (self.key is None):
            raise ValueError("cert and key belong together")
        return self


class KafkaLink(Settings):
    """Keys of everything that speaks to Kafka."""

    bootstrap: str = Field(
        pattern=r"^\S+:\d{1,5}(,\S+:\d{1,5})*$", description="HOST:PORT, or several by comma."
    )
    tls: bool | Tls = Field(default=False, description="true = TLS with the system's authorities.")
    sasl: Sasl | None = None
    timeout_s: float = Field(default=10.0, ge=1, le=300, description="Longest wait for the broker.")

    def client_options(self) -> dict[str, Any]:
        """What every client of the library is made with."""
        _hush()
        options: dict[str, Any] = {
            "bootstrap_servers": self.bootstrap.split(","),
            "client_id": "musewatch",
            "security_protocol": f"{'SASL_' if self.sasl else ''}{'SSL' if self.tls else 'PLAINTEXT'}",
            "bootstrap_timeout_ms": self.timeout_ms,
            "request_timeout_ms": self.timeout_ms,
            "reconnect_backoff_max_ms": 1000,
        }
        if isinstance(self.tls, Tls):
            files = {"ssl_cafile": self.tls.ca, "ssl_certfile": self.tls.cert, "ssl_keyfile": self.tls.key}
            options |= {name: str(path) for name, path in files.items() if path}
        if self.sasl:
            options |= {
                "sasl_mechanism": self.sasl.mechanism,
                "sasl_plain_username": self.sasl.username,
                "sasl_plain_password": self.sasl.password.get_secret_value(),
            }
        return options

    @property
    def timeout_ms(self) -> int:
        """The longest wait in the library's unit."""
        return int(self.timeout_s * 1000)


class _Complaints(logging.Handler):
    """Keeps why connections failed: the library's own exception says only that time is up."""

    def __init__(self) -> None:
        super().__init__()
        self.reason = ""

    def emit(self, record: logging.LogRecord) -> None:
        text = record.getMessage()
        logger.debug("%s: %s", record.name, text)
        _, found, reason = text.partition(" failed: ")
        if found and not any(empty in reason for empty in _SAYS_NOTHING):
            self.reason = reason.partition(" (backoff")[0]


_SAYS_NOTHING = ("KafkaTimeoutError", "socket disconnected")
_complaints = _Complaints()


def complaint() -> str:
    """Why connections have failed since the last client was made; empty when the library does not know."""
    return _complaints.reason


def explained(error: KafkaError, link: KafkaLink, topic: str) -> OutsideError:
    """Our error for the library's: where, why, and whether to try again."""
    where = f"Kafka at {link.bootstrap}, topic {topic}"
    if isinstance(error, KafkaTimeoutError):
        reason = complaint() or "the broker is silent"
        return BackpressureError(f"{where}: no answer within {link.timeout_s:g} s: {reason}", _RETRY_S)
    if error.retriable:
        return BackpressureError(f"{where}: {error}", _RETRY_S)
    return OutsideError(f"{where}: {error}")


def _hush() -> None:
    """The library logs every failed try as an error; here that is debugging, and the relay speaks for it."""
    library = logging.getLogger("kafka")
    library.propagate = False
    library.setLevel(logging.WARNING)
    library.addHandler(_complaints)  # once, however often it is said
    _complaints.reason = ""


class TopicReader:
    """Reads every partition of a topic, in order per partition; makes no group and commits nothing.

    Args:
        link: The broker.
        topic: What to read; a missing one has no records.
        age_s: Start at records so old, on the broker's clock; None = at the first.
    """

    def __init__(self, link: KafkaLink, topic: str, age_s: float | None = None) -> None:
        self._link, self._topic, self._age_s = link, topic, age_s
        self._consumer: KafkaConsumer | None = None

    def to_end(self) -> Iterator[Any]:
        """The records there are now; starts again from the first when called again.

        Raises:
            OutsideError: The broker cannot be reached.
        """
        self.close()
        try:
            yield from self._to_end()
        except KafkaError as error:
            self.close()
            raise explained(error, self._link, self._topic) from error

    def news(self) -> list[Any]:
        """Records that came since; none while the broker is away.

        Raises:
            OutsideError: The broker refuses us.
        """
        if self._consumer is None:
            return []
        try:
            return [record for records in self._consumer.poll(0).values() for record in records]
        except KafkaError as error:
            raise explained(error, self._link, self._topic) from error

    def close(self) -> None:
        """Lets the broker go."""
        consumer, self._consumer = self._consumer, None
        if consumer is not None:
            with suppress(KafkaError):
                consumer.close(timeout_ms=1000)

    def _to_end(self) -> Iterator[Any]:
        consumer = self._consumer = KafkaConsumer(
            **self._link.client_options(),
            enable_auto_commit=False,
            allow_auto_create_topics=False,
            auto_offset_reset="earliest",
        )
        places = [TopicPartition(self._topic, n) for n in consumer.partitions_for_topic(self._topic) or ()]
        if not places:
            self.close()
            return
        consumer.assign(places)
        ends = consumer.end_offsets(places, timeout_ms=self._link.timeout_ms)
        self._seek(consumer, places, ends)
        quiet = 0
        while any(
            consumer.position(place, timeout_ms=self._link.timeout_ms) < ends[place] for place in places
        ):
            batches = consumer.poll(_POLL_MS)
            quiet = 0 if batches else quiet + 1
            if quiet > _QUIET_POLLS:
                raise BackpressureError(f"Kafka at {self._link.bootstrap} stopped answering", 1.0)
            for records in batches.values():
                yield from records

    def _seek(
        self, consumer: KafkaConsumer, places: list[TopicPartition], ends: dict[TopicPartition, int]
    ) -> None:
        if self._age_s is None:
            consumer.seek_to_beginning(*places)
            return
        since_ms = int((time.time() - self._age_s) * 1000)
        found = consumer.offsets_for_times(dict.fromkeys(places, since_ms), timeout_ms=self._link.timeout_ms)
        for place in places:
            start = found.get(place)
            consumer.seek(place, start.offset if start else ends[place])
