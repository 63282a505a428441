"""How to reach Kafka: what the sink, the bus and readers share."""

import logging
from typing import Any, Literal, Self

from kafka.errors import KafkaError, KafkaTimeoutError
from pydantic import Field, SecretStr, model_validator

from pipeline.config import ConfigPath, Settings
from pipeline.errors import BackpressureError, OutsideError

logger = logging.getLogger(__name__)

_RETRY_S = 1.0


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
    if library.propagate:
        library.propagate = False
        library.addHandler(_complaints)
    _complaints.reason = ""
