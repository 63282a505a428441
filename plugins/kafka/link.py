"""How to reach Kafka: settings, errors in our words, and a reader, for the sink and the bus."""

import logging
import re
import time
from collections.abc import Iterator
from contextlib import suppress
from typing import Any, Literal, Self

from kafka import KafkaConsumer, TopicPartition
from kafka.errors import (
    InvalidRecordError,
    KafkaError,
    KafkaTimeoutError,
    MessageSizeTooLargeError,
    RecordListTooLargeError,
)
from kafka.record import default_records
from pydantic import Field, SecretStr, model_validator

from pipeline.errors import BackpressureError, OutsideError, RefusedError
from pipeline.settings import Settings
from plugins.kafka.damage import poll_undamaged
from plugins.tls import Tls

logger = logging.getLogger(__name__)

FAILURES = (KafkaError, OSError)
"""What the library raises; the second for files of TLS that have gone since the start."""

TOPIC = r"^[A-Za-z0-9._-]{1,249}$"
_NOT_THIS = (InvalidRecordError, MessageSizeTooLargeError, RecordListTooLargeError)
_RETRY_S = 1.0
_POLL_MS = 200
_QUIET_POLLS = 50  # without a record before the end: the broker has gone
_PROBE_EVERY_S = 5.0  # far more often than a broker forgets what was removed
_PROBE_MS = 1000
_CUT_OFF_S = 60.0  # without a look at the broker, as when this machine slept


class Sasl(Settings):
    """Who we are."""

    mechanism: Literal["PLAIN", "SCRAM-SHA-256", "SCRAM-SHA-512"] = "SCRAM-SHA-512"
    username: str
    password: SecretStr = Field(description="Put it in by ${NAME} or ${file:PATH}.")


class KafkaLink(Settings):
    """Keys of everything that speaks to Kafka."""

    bootstrap: str = Field(
        pattern=r"^\S+:\d{1,5}(,\S+:\d{1,5})*$", description="HOST:PORT, or several by comma."
    )
    tls: bool | Tls = Field(default=False, description="true = TLS with the system's authorities.")
    sasl: Sasl | None = None
    timeout_s: float = Field(default=10.0, ge=1, le=300, description="Longest wait for the broker.")

    @model_validator(mode="after")
    def _files_of_tls(self) -> Self:
        if isinstance(self.tls, Tls):
            try:
                self.tls.need_usable()
            except ValueError as error:
                raise ValueError(f"tls: {error}") from None
        return self

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
        self.unknown_host = ""

    def emit(self, record: logging.LogRecord) -> None:
        text = record.getMessage()
        logger.debug("%s: %s", record.name, text)
        if unknown := _UNKNOWN_HOST.match(text):
            self.unknown_host = unknown[1]
            return
        _, found, reason = text.partition(" failed: ")
        if not found or any(late in reason for late in _TIME_IS_UP):
            return
        if "socket disconnected" not in reason:
            self.reason = reason.partition(" (backoff")[0]
        elif not self.reason:
            self.reason = _HANGS_UP


# The library drops an answer that arrives together with the end of the connection, as a refusal may.
_HANGS_UP = "the broker hangs up (no sasl, a wrong username, password or tls can look like this)"
_TIME_IS_UP = ("KafkaTimeoutError", "RequestTimedOutError")
_SIDES = (
    ("SaslAuthenticationFailed", "the broker refuses this username or password (sasl)"),
    ("UnsupportedSaslMechanism", "the broker does not take this sasl.mechanism"),
    (
        "IllegalSaslState",
        "the broker asks for no password at this port: leave out sasl, or take its other port",
    ),
    ("CERTIFICATE_VERIFY_FAILED", "we do not trust the broker's certificate: name its authority in tls.ca"),
    ("InvalidReceiveError", "the broker speaks TLS at this port: set tls"),
    ("UNEXPECTED_EOF", "the broker speaks no TLS at this port, or refuses our certificate (tls.cert)"),
    ("WRONG_VERSION_NUMBER", "the broker speaks no TLS at this port: leave out tls, or take its other port"),
)
_UNKNOWN_HOST = re.compile(r"DNS lookup failed for (\S+),")
_complaints = _Complaints()


def complaint(link: KafkaLink) -> str:
    """Why connections have failed since the last client was made; empty when the library does not know."""
    unknown, reason = _complaints.unknown_host, _complaints.reason
    if not unknown:
        side = next((said for sign, said in _SIDES if sign in reason), "")
        return f"{side} [{reason}]" if side else reason
    if unknown in link.bootstrap.split(","):
        return f"{unknown} has no address here"
    return (
        f"the broker sends its clients on to {unknown}, which has no address here (its advertised.listeners)"
    )


def explained(error: KafkaError | OSError, link: KafkaLink, topic: str) -> OutsideError:
    """Our error for one of `FAILURES`: where, why, and whether to try again."""
    where = f"Kafka at {link.bootstrap}, topic {topic}"
    if isinstance(error, OSError):
        return OutsideError(f"{where}: {error}", "are the files of tls still there?" if link.tls else "")
    if isinstance(error, KafkaTimeoutError):
        reason = complaint(link) or "the broker is silent"
        return BackpressureError(f"{where}: no answer within {link.timeout_s:g} s: {reason}", _RETRY_S)
    if isinstance(error, _NOT_THIS):
        return RefusedError(f"{where}: {error}")
    if error.retriable:
        reason = complaint(link) if _complaints.unknown_host else error
        return BackpressureError(f"{where}: {reason}", _RETRY_S)
    return OutsideError(f"{where}: {error}")


def hasten_checksums() -> bool:
    """Has the library's checksums computed in C; whether that is so.

    In Python they are most of what a message costs, and the one package that the library itself looks for is under
    the LGPL. Without google-crc32c everything works as before.
    """
    try:
        import google_crc32c
    except ImportError:
        return False
    if google_crc32c.implementation != "c":
        return False
    default_records.calc_crc32c = lambda data: google_crc32c.value(bytes(data))
    return True


hasten_checksums()


def _hush() -> None:
    """The library logs every failed try as an error; here that is debugging, and the relay speaks for it."""
    library = logging.getLogger("kafka")
    library.propagate = False
    library.setLevel(logging.WARNING)
    library.addHandler(_complaints)  # once, however often it is said
    _complaints.reason = _complaints.unknown_host = ""


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
        self._failed = False
        self._probed_s = self._answered_s = 0.0

    def to_end(self) -> Iterator[Any]:
        """The records there are now; starts again from the first when called again.

        Raises:
            OutsideError: The broker cannot be reached.
        """
        self.close()
        try:
            yield from self._to_end()
        except FAILURES as error:
            self.close()
            raise explained(error, self._link, self._topic) from error
        self._failed = False
        self._probed_s, self._answered_s = time.monotonic(), time.time()

    def news(self) -> list[Any] | None:
        """Records that came since, none while the broker is away; None when it had been, and is back.

        Raises:
            OutsideError: The broker refuses us.
        """
        consumer = self._consumer
        if consumer is None:
            return []
        try:
            if self._lost_the_thread(consumer):
                return None
            found = poll_undamaged(consumer, timeout_ms=0)
        except FAILURES as error:
            raise explained(error, self._link, self._topic) from error
        return [record for records in found.values() for record in records]

    def _lost_the_thread(self, consumer: KafkaConsumer) -> bool:
        """Whether the broker answers again after it did not, or has other records than those read so far.

        The library goes on by itself when a broker comes back, and says nothing of it.
        """
        if time.monotonic() - self._probed_s < _PROBE_EVERY_S:
            return False
        try:
            ends = consumer.end_offsets(list(consumer.assignment()), timeout_ms=_PROBE_MS)
        except FAILURES:
            self._failed = True
            return False
        finally:
            self._probed_s = time.monotonic()
        asleep = abs(time.time() - self._answered_s) > _CUT_OFF_S
        self._answered_s = time.time()
        return self._failed or asleep or any(consumer.position(place) > end for place, end in ends.items())

    def close(self) -> None:
        """Lets the broker go."""
        consumer, self._consumer = self._consumer, None
        if consumer is not None:
            with suppress(*FAILURES):
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
            batches = poll_undamaged(consumer, timeout_ms=_POLL_MS)
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
