"""A real MQTT broker for the tests, as a process that can be hurt."""

import shutil
import signal
import subprocess
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Self

from paho.mqtt.client import Client, MQTTMessage
from paho.mqtt.enums import CallbackAPIVersion, MQTTProtocolVersion

from tests.servers.availability import mosquitto, need
from tests.servers.ports import free_port
from tests.servers.wait import wait_until

USER, PASSWORD = "alice", "wonder/land@1"

_CONFIG = """
user root
per_listener_settings true
listener {port} 127.0.0.1
allow_anonymous true
{extra}
listener {login_port} 127.0.0.1
allow_anonymous false
password_file {passwords}
acl_file {acl}
listener {tls_port} 127.0.0.1
allow_anonymous true
certfile {certificate}
keyfile {key}
"""


class Mosquitto:
    """One broker on loopback: without a login, with one that may write to `allowed/#` alone, and with TLS.

    Args:
        folder: For its files.
        extra: Lines for its config.
    """

    def __init__(self, folder: Path, extra: str = "") -> None:
        need("mosquitto")
        self.port, self.login_port, self.tls_port = (free_port() for _ in range(3))
        self.certificate, key = folder / "broker.pem", folder / "broker.key"
        subprocess.run(
            ["openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "2", "-subj", "/CN=broker",
             "-addext", "subjectAltName=IP:127.0.0.1", "-keyout", key, "-out", self.certificate],
            check=True, capture_output=True, timeout=60,
        )  # fmt: skip
        passwords, acl = folder / "passwords", folder / "acl"
        passwords.touch(0o600)
        passwd = shutil.which("mosquitto_passwd")
        assert passwd is not None
        subprocess.run([passwd, "-b", passwords, USER, PASSWORD], check=True, capture_output=True, timeout=60)
        acl.write_text(f"user {USER}\ntopic write allowed/#\n", encoding="utf-8")
        self._config = folder / "mosquitto.conf"
        self._config.write_text(
            _CONFIG.format(
                port=self.port, login_port=self.login_port, tls_port=self.tls_port, extra=extra,
                passwords=passwords, acl=acl, certificate=self.certificate, key=key,
            ),
            encoding="utf-8",
        )  # fmt: skip
        self._process: subprocess.Popen[bytes] | None = None

    @property
    def url(self) -> str:
        """Of the listener without a login."""
        return f"mqtt://127.0.0.1:{self.port}"

    def start(self) -> None:
        """Starts it, and waits until it answers."""
        program = mosquitto()
        assert program is not None
        self._process = subprocess.Popen(
            [program, "-c", self._config], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
        )
        wait_until(self._answers)

    def kill(self) -> None:
        """As a crash does."""
        self._signal(signal.SIGKILL)
        assert self._process is not None
        self._process.wait()

    def freeze(self) -> None:
        """It keeps its connections and says nothing."""
        self._signal(signal.SIGSTOP)

    def thaw(self) -> None:
        """It goes on."""
        self._signal(signal.SIGCONT)

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(self, *_: object) -> None:
        if self._process is not None and self._process.poll() is None:
            self.thaw()
            self.kill()

    @contextmanager
    def listening(self, topic: str = "#") -> Iterator["Listener"]:
        """Somebody who hears what is published on a topic, also after the broker was away."""
        listener = Listener(self.port, topic)
        try:
            yield listener
        finally:
            listener.close()

    def _signal(self, number: int) -> None:
        assert self._process is not None
        self._process.send_signal(number)

    def _answers(self) -> bool:
        client = Client(CallbackAPIVersion.VERSION2)
        try:
            client.connect("127.0.0.1", self.port)
        except OSError:
            return False
        client.disconnect()
        return True


class Listener:
    """Keeps what it hears.

    Attributes:
        heard: Topic, payload and whether it was retained, in order.
        content_types: Of the same messages.
    """

    def __init__(self, port: int, topic: str) -> None:
        self.heard: list[tuple[str, bytes, bool]] = []
        self.content_types: list[str | None] = []
        self.subscribed = threading.Event()
        self._client = Client(CallbackAPIVersion.VERSION2, protocol=MQTTProtocolVersion.MQTTv5)
        self._client.reconnect_delay_set(1, 1)

        def subscribe(client: Client, *_: Any) -> None:
            self.subscribed.clear()
            client.subscribe(topic, qos=1)

        self._client.on_connect = subscribe
        self._client.on_subscribe = lambda *_: self.subscribed.set()
        self._client.on_disconnect = lambda *_: self.subscribed.clear()
        self._client.on_message = self._hear
        self._client.connect("127.0.0.1", port)
        self._client.loop_start()
        assert self.subscribed.wait(10)

    def _hear(self, client: Client, data: Any, message: MQTTMessage) -> None:
        self.content_types.append(getattr(message.properties, "ContentType", None))
        self.heard.append((message.topic, message.payload, message.retain))

    def payloads(self, topic: str) -> list[bytes]:
        """What was said on one topic, in order."""
        return [payload for name, payload, _ in list(self.heard) if name == topic]

    def close(self) -> None:
        """Hears no more."""
        self._client.disconnect()
        self._client.loop_stop()
