"""How to reach an MQTT broker: settings, one connection, and errors in our words."""

import socket
import ssl
import threading
import time
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass
from typing import Any, Literal, Self
from urllib.parse import unquote, urlsplit

from paho.mqtt.client import Client
from paho.mqtt.enums import CallbackAPIVersion, MQTTErrorCode, MQTTProtocolVersion
from paho.mqtt.packettypes import PacketTypes
from paho.mqtt.properties import Properties
from paho.mqtt.reasoncodes import ReasonCode
from pydantic import Field, SecretStr, model_validator

from pipeline.errors import BackpressureError, OutsideError, RefusedError
from pipeline.secrets import remember
from pipeline.settings import Settings
from plugins.tls import Tls

PORTS = {"mqtt": 1883, "mqtts": 8883}
RETRY_S = 1.0
QUEUE = 2_000  # messages the library holds at most: a batch and its counts
_HEADER_BYTES = 128  # of a packet beside topic and payload, at most
_RECONNECT_S = 1, 5
_TO_CONNECT_S = 5.0
_NOT_THIS = {0x90, 0x95, 0x99}  # topic name invalid, packet too large, payload format invalid
_BUSY = {0x89, 0x97}  # server busy, quota exceeded
_PASSWORD = {0x86, 0x87}  # bad user name or password, not authorized


class MqttLink(Settings):
    """Keys of everything that speaks to an MQTT broker."""

    url: str = Field(description="mqtt://HOST[:PORT] or mqtts:// for TLS; USER:PASSWORD@ may stand in it.")
    username: str | None = None
    password: SecretStr | None = Field(default=None, description="Put it in by ${NAME} or ${file:PATH}.")
    tls: Tls | None = Field(
        default=None, description="Certificates of mqtts://; unset = the system's authorities."
    )
    protocol: Literal["5", "3.1.1"] = Field(
        default="5", description="MQTT version; only 5 says why a broker refuses a message."
    )
    client_id: str | None = Field(
        default=None, min_length=1, max_length=23, description="Must be nobody else's; unset = one by chance."
    )
    timeout_s: float = Field(default=10.0, ge=1, le=300, description="Longest wait for the broker.")

    @model_validator(mode="after")
    def _address(self) -> Self:
        parts = _split(self.url)
        if parts.scheme not in PORTS or not parts.hostname or parts.path not in ("", "/") or parts.query:
            raise ValueError("url: expected mqtt://HOST[:PORT] or mqtts://HOST[:PORT]")
        if parts.username is not None and (self.username is not None or self.password is not None):
            raise ValueError("the user stands in the url already: leave out username and password")
        if self.username is None and self.password is not None:
            raise ValueError("a password needs a username")
        if self.tls is not None:
            if parts.scheme != "mqtts":
                raise ValueError("tls: the url must begin with mqtts://")
            try:
                self.tls.need_usable()
            except ValueError as error:
                raise ValueError(f"tls: {error}") from None
        return self

    @property
    def host(self) -> str:
        """Of the broker."""
        return str(_split(self.url).hostname)

    @property
    def port(self) -> int:
        """Of the broker; that of the scheme without one."""
        parts = _split(self.url)
        return parts.port or PORTS[parts.scheme]

    @property
    def where(self) -> str:
        """The broker in messages: without user and password."""
        return f"MQTT broker {self.host}:{self.port}"

    @property
    def login(self) -> tuple[str, str | None] | None:
        """User and password, None without."""
        parts = _split(self.url)
        if parts.username is not None:
            return unquote(parts.username), None if parts.password is None else unquote(parts.password)
        if self.username is None:
            return None
        return self.username, None if self.password is None else self.password.get_secret_value()

    @property
    def encrypted(self) -> bool:
        """Whether the connection is."""
        return str(_split(self.url).scheme) == "mqtts"


def _split(url: str) -> Any:
    try:
        parts = urlsplit(url)
        _ = parts.port
    except ValueError as error:
        raise ValueError(f"url: {error}") from None
    return parts


@dataclass(frozen=True, slots=True)
class Message:
    """What is published."""

    topic: str
    payload: bytes
    retain: bool = False
    content_type: str | None = None


class Connection:
    """One connection to a broker, which the library makes again when it breaks; for one thread beside the library's.

    A message counts as delivered when the broker has acknowledged that very message. After any failure the connection
    is to be closed and another one made: of a message that was not acknowledged the library keeps a copy, and would
    send it whenever it is connected again.

    Args:
        link: Where to.
        will: What the broker says when the connection breaks.
        greeting: What is published at every connection.
    """

    def __init__(self, link: MqttLink, will: Message | None = None, greeting: Message | None = None) -> None:
        self._link, self._greeting = link, greeting
        self._changed = threading.Condition()
        self._acknowledged: dict[int, ReasonCode] = {}
        self._answer: ReasonCode | None = None
        self._connected = self._lost = False
        self._max_bytes: int | None = None
        self._client = self._new_client(will)

    @property
    def connected(self) -> bool:
        """Whether it stands now."""
        with self._changed:
            return self._connected

    def open(self) -> None:
        """Connects.

        Raises:
            BackpressureError: The broker cannot be reached, or is busy.
            OutsideError: It refuses us, or we it.
        """
        link = self._link
        try:
            self._client.connect(link.host, link.port, **self._start())
        except (OSError, ValueError) as error:
            raise unreachable(error, link) from error
        self._client.loop_start()
        with self._changed:
            self._changed.wait_for(lambda: self._answer is not None or self._lost, link.timeout_s)
            if not self._connected:
                raise refused_login(self._answer, link, hung_up=self._lost)

    def open_later(self) -> None:
        """Connects as soon as the broker is there; does not wait for it."""
        self._client.connect_async(self._link.host, self._link.port, **self._start())
        self._client.loop_start()

    def publish(self, messages: Sequence[Message]) -> None:
        """Returns when the broker has acknowledged each.

        Raises:
            BackpressureError: It does not, in time; or it is busy.
            RefusedError: It refuses a message as it is.
            OutsideError: It refuses for another reason, or the connection is lost.
        """
        link = self._link
        for message in messages:
            size = len(message.payload) + len(message.topic.encode()) + _HEADER_BYTES
            if self._max_bytes is not None and size > self._max_bytes:
                raise RefusedError(
                    f"{link.where}, topic {message.topic}: {size} bytes, it takes {self._max_bytes} at most"
                )
        with self._changed:
            self._acknowledged.clear()
            self._lost = not self._connected
        sent = {self._send(message): message.topic for message in messages}
        with self._changed:
            self._changed.wait_for(
                lambda: self._lost or sent.keys() <= self._acknowledged.keys(), link.timeout_s
            )
            for mid, topic in sent.items():
                if (said := self._acknowledged.get(mid)) is None:
                    missing = (
                        "the connection was lost" if self._lost else f"no answer within {link.timeout_s:g} s"
                    )
                    raise BackpressureError(f"{link.where}, topic {topic}: {missing}", RETRY_S)
                if said.is_failure:
                    raise refused_message(said, f"{link.where}, topic {topic}")

    def close(self, farewell: Message | None = None) -> None:
        """Ends it; never raises. With a farewell it ends in order, and the broker keeps the will to itself."""
        if farewell is not None and self.connected:
            with suppress(OutsideError):
                self.publish([farewell])
                self._client.disconnect()
                self._wait_until_gone()
        self._client.disconnect()
        broken = self._client.socket()
        if isinstance(
            broken, socket.socket
        ):  # or the library goes on as long as something is not acknowledged
            with suppress(OSError):
                broken.shutdown(socket.SHUT_RDWR)
        self._client.loop_stop()

    def _wait_until_gone(self) -> None:
        with self._changed:
            self._changed.wait_for(lambda: not self._connected, 1.0)

    def _new_client(self, will: Message | None) -> Client:
        link = self._link
        version = MQTTProtocolVersion.MQTTv5 if link.protocol == "5" else MQTTProtocolVersion.MQTTv311
        clean_session = None if link.protocol == "5" else True  # 5 says so when it connects
        client_id = (
            link.client_id or f"musewatch-{threading.get_ident() % 10**6:06}-{time.time_ns() % 10**6:06}"
        )
        client = Client(CallbackAPIVersion.VERSION2, client_id[:23], clean_session, protocol=version)
        client.connect_timeout = min(_TO_CONNECT_S, link.timeout_s)
        client.max_queued_messages_set(QUEUE)
        client.reconnect_delay_set(*_RECONNECT_S)
        if link.login is not None:
            remember(link.login[1] or "")
            client.username_pw_set(*link.login)
        if link.encrypted:
            client.tls_set_context(self._context())
        if will is not None:
            client.will_set(will.topic, will.payload, qos=1, retain=will.retain)
        client.on_connect, client.on_disconnect, client.on_publish = (
            self._on_connect, self._on_disconnect, self._on_publish,
        )  # fmt: skip
        return client

    def _context(self) -> ssl.SSLContext:
        tls = self._link.tls or Tls()
        context = ssl.create_default_context(cafile=tls.ca)
        if tls.cert is not None:
            context.load_cert_chain(tls.cert, tls.key)
        return context

    def _start(self) -> dict[str, Any]:
        return {"keepalive": 30, "clean_start": True} if self._link.protocol == "5" else {"keepalive": 30}

    def _send(self, message: Message) -> int:
        properties = None
        if message.content_type is not None and self._link.protocol == "5":
            properties = Properties(PacketTypes.PUBLISH)
            properties.ContentType = message.content_type
        sent = self._client.publish(
            message.topic, message.payload, qos=1, retain=message.retain, properties=properties
        )
        if sent.rc != MQTTErrorCode.MQTT_ERR_SUCCESS:  # the library has kept it all the same
            raise BackpressureError(f"{self._link.where}: the connection was lost", RETRY_S)
        number: int = sent.mid
        return number

    def _on_connect(self, client: Client, data: Any, flags: Any, said: ReasonCode, properties: Any) -> None:
        del data, flags
        with self._changed:
            self._answer, self._connected = said, not said.is_failure
            self._max_bytes = getattr(properties, "MaximumPacketSize", None)
            self._changed.notify_all()
        if self._greeting is not None and not said.is_failure:
            hello = self._greeting
            client.publish(hello.topic, hello.payload, qos=1, retain=hello.retain)

    def _on_disconnect(
        self, client: Client, data: Any, flags: Any, said: ReasonCode, properties: Any
    ) -> None:
        del client, data, flags, said, properties
        with self._changed:
            self._connected, self._lost = False, True
            self._changed.notify_all()

    def _on_publish(self, client: Client, data: Any, mid: int, said: ReasonCode, properties: Any) -> None:
        del client, data, properties
        with self._changed:
            self._acknowledged[mid] = said
            self._changed.notify_all()


def unreachable(error: Exception, link: MqttLink) -> OutsideError:
    """Why there is no connection, and on which side that lies."""
    sides: tuple[tuple[type[Exception], str, str], ...] = (
        (socket.gaierror, f"{link.host} has no address here", "see url"),
        (
            ssl.SSLCertVerificationError,
            "we do not trust its certificate",
            "name its authority in tls.ca, or its host as the certificate has it",
        ),
        (
            ssl.SSLError,
            "it speaks no TLS at this port, or refuses our certificate",
            "take mqtt:// or its other port, or see tls.cert",
        ),
        (ConnectionRefusedError, "nobody answers at this port", "is the broker up, and is this its port?"),
        (TimeoutError, "no answer", "is the broker up, and does a firewall let us through?"),
    )
    if link.encrypted and isinstance(error, ConnectionResetError):  # how some take a greeting of TLS
        error = ssl.SSLError(str(error))
    for kind, problem, fix in sides:
        if isinstance(error, kind):
            said = f" [{error}]" if isinstance(error, ssl.SSLError) else ""
            return OutsideError(f"{link.where}: {problem}{said}", fix)
    return OutsideError(f"{link.where}: {error}")


def refused_login(said: ReasonCode | None, link: MqttLink, *, hung_up: bool) -> OutsideError:
    """Why the broker does not let us in; None = it said nothing."""
    if said is None:
        if hung_up:
            return OutsideError(
                f"{link.where}: it hangs up without a word",
                "it speaks TLS at this port (mqtts://)? or another protocol than MQTT?",
            )
        return OutsideError(f"{link.where}: no answer within {link.timeout_s:g} s", "is this an MQTT broker?")
    if said.value in _BUSY:
        return BackpressureError(f"{link.where}: {said}", RETRY_S)
    fixes: tuple[tuple[Callable[[int], bool], str], ...] = (
        (_PASSWORD.__contains__, "see username and password" if link.login else "give username and password"),
        ((0x84).__eq__, "set protocol: 3.1.1"),
        ((0x85).__eq__, "see client_id"),
    )
    fix = next((fix for holds, fix in fixes if holds(said.value)), "")
    return OutsideError(f"{link.where}: it refuses us: {said}", fix)


def refused_message(said: ReasonCode, where: str) -> OutsideError:
    """Why the broker does not take a message."""
    if said.value in _NOT_THIS:
        return RefusedError(f"{where}: {said}")
    if said.value in _BUSY:
        return BackpressureError(f"{where}: {said}", RETRY_S)
    fix = "may this user write to the topic?" if said.value in _PASSWORD else ""
    return OutsideError(f"{where}: {said}", fix)
