"""A real Kafka broker for the tests, as a process that can be hurt; its jars come through Maven, once."""

import base64
import gc
import os
import signal
import socket
import struct
import subprocess
import time
import uuid
import warnings
from pathlib import Path
from typing import Self

import pytest
from kafka import KafkaProducer
from kafka.errors import KafkaError

from tests.servers.availability import need

JARS = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "musewatch-tests" / "kafka-4.1.1"

_POM = """
<project xmlns="http://maven.apache.org/POM/4.0.0"><modelVersion>4.0.0</modelVersion>
 <groupId>local</groupId><artifactId>kafka-broker</artifactId><version>1</version><packaging>pom</packaging>
 <dependencies>
  <dependency><groupId>org.apache.kafka</groupId><artifactId>kafka_2.13</artifactId><version>4.1.1</version></dependency>
  <dependency><groupId>org.slf4j</groupId><artifactId>slf4j-simple</artifactId><version>1.7.36</version></dependency>
 </dependencies></project>
"""

AWAY = "broker-7.invalid"

_PROPERTIES = """
process.roles=broker,controller
node.id=1
controller.quorum.bootstrap.servers=127.0.0.1:{controller}
listeners=PLAINTEXT://127.0.0.1:{port},CONTROLLER://127.0.0.1:{controller},SECURE://127.0.0.1:{secure},AWAY://127.0.0.1:{away}
advertised.listeners=PLAINTEXT://127.0.0.1:{port},CONTROLLER://127.0.0.1:{controller},SECURE://127.0.0.1:{secure},AWAY://{away_host}:{away}
controller.listener.names=CONTROLLER
inter.broker.listener.name=PLAINTEXT
listener.security.protocol.map=CONTROLLER:PLAINTEXT,PLAINTEXT:PLAINTEXT,SECURE:SASL_SSL,AWAY:PLAINTEXT
listener.name.secure.sasl.enabled.mechanisms=PLAIN,SCRAM-SHA-512
listener.name.secure.plain.sasl.jaas.config={module}.plain.PlainLoginModule required user_{user}="{password}";
listener.name.secure.scram-sha-512.sasl.jaas.config={module}.scram.ScramLoginModule required;
listener.name.secure.ssl.keystore.type=PEM
listener.name.secure.ssl.keystore.location={keys}
log.dirs={data}
num.partitions=1
offsets.topic.num.partitions=1
offsets.topic.replication.factor=1
transaction.state.log.num.partitions=1
transaction.state.log.replication.factor=1
transaction.state.log.min.isr=1
share.coordinator.state.topic.replication.factor=1
share.coordinator.state.topic.min.isr=1
group.initial.rebalance.delay.ms=0
broker.session.timeout.ms=2000
broker.heartbeat.interval.ms=500
"""

_START_S = 180.0  # seconds on a machine of its own, minutes on one that has far too much to do
_MODULE = "org.apache.kafka.common.security"
USER, PASSWORD = "alice", "wonderland"


def fetch_jars() -> Path:
    """The folder of the broker's jars; brought by Maven when it is empty."""
    lib = JARS / "lib"
    if not lib.is_dir():
        JARS.mkdir(parents=True, exist_ok=True)
        (JARS / "pom.xml").write_text(_POM, encoding="utf-8")
        part = f"lib.{os.getpid()}"
        subprocess.run(
            [
                "mvn",
                "-B",
                "-q",
                "dependency:copy-dependencies",
                "-DincludeScope=runtime",
                f"-DoutputDirectory={part}",
            ],
            cwd=JARS,
            check=True,
            timeout=240,
        )
        try:
            (JARS / part).rename(lib)
        except OSError:
            if not lib.is_dir():
                raise
    return lib


class KafkaBroker:
    """One broker on loopback; its port and its data stay over a restart.

    Args:
        folder: For its data and its log.

    Attributes:
        away_port: Answers, and sends its clients on to `AWAY`, which nobody can reach.
    """

    def __init__(self, folder: Path) -> None:
        need("kafka")
        self._folder = folder
        self._lib = _jars_or_skip()
        self.port, self.secure_port, self.away_port, controller = (_free_port() for _ in range(4))
        self._properties = folder / "server.properties"
        self._properties.write_text(
            _PROPERTIES.format(
                port=self.port, secure=self.secure_port, away=self.away_port, away_host=AWAY,
                controller=controller, data=folder / "data",
                keys=self._certificate(), module=_MODULE, user=USER, password=PASSWORD,
            ),
            encoding="utf-8",
        )  # fmt: skip
        self._process: subprocess.Popen[bytes] | None = None
        cluster = "A" + base64.urlsafe_b64encode(uuid.uuid4().bytes).decode().rstrip("=")[1:]
        user = f"SCRAM-SHA-512=[name={USER},password={PASSWORD}]"
        form = ["--standalone", "-t", cluster, "-c", self._properties, "--add-scram", user]
        if self._java("kafka.tools.StorageTool", "format", *form).wait(_START_S):
            raise RuntimeError(f"Kafka could not be set up; see {folder / 'broker.log'}")

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.stop()

    @property
    def bootstrap(self) -> str:
        """HOST:PORT."""
        return f"127.0.0.1:{self.port}"

    @property
    def certificate(self) -> Path:
        """What a client of `secure_port` must trust; TLS, then SASL as USER with PASSWORD."""
        return self._folder / "broker.crt"

    def _certificate(self) -> Path:
        """Makes it, and a file that holds it with its key."""
        key, both = self._folder / "broker.key", self._folder / "broker.pem"
        subprocess.run(
            ["openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "2", "-subj", "/CN=broker",
             "-addext", "subjectAltName=IP:127.0.0.1", "-keyout", key, "-out", self.certificate],
            check=True, capture_output=True,
        )  # fmt: skip
        both.write_bytes(key.read_bytes() + self.certificate.read_bytes())
        return both

    @property
    def running(self) -> bool:
        """Whether the process is there."""
        return self._process is not None and self._process.poll() is None

    def start(self, *, wait: bool = True) -> None:
        """Starts it; returns when it answers."""
        self._process = self._java("kafka.Kafka", self._properties)
        if wait:
            self.wait()

    def wait(self) -> None:
        """Returns when it answers."""
        until_s = time.monotonic() + _START_S
        while not self._answers():
            if not self.running or time.monotonic() > until_s:
                self.kill()
                raise RuntimeError(f"Kafka did not start; see {self._folder / 'broker.log'}")
        with warnings.catch_warnings():  # the library leaves the sockets of failed tries to the collector
            warnings.simplefilter("ignore", ResourceWarning)
            gc.collect()

    def stop(self) -> None:
        """Lets it end in order."""
        self._end(signal.SIGTERM)

    def kill(self) -> None:
        """Ends it at once, as a crash would."""
        self._end(signal.SIGKILL)

    def freeze(self) -> None:
        """Connections stay, and nothing is answered."""
        assert self._process is not None
        self._process.send_signal(signal.SIGSTOP)

    def thaw(self) -> None:
        """Goes on as if nothing had been."""
        assert self._process is not None
        self._process.send_signal(signal.SIGCONT)

    def damage(self, topic: str, offset: int) -> None:
        """Flips a bit, on disk, of the batch of a topic's first partition that holds an offset."""
        path = self._folder / "data" / f"{topic}-0" / f"{0:020d}.log"
        with path.open("r+b") as file:
            while head := file.read(27):
                first, length, _, _, _, _, last = struct.unpack(">qiibIhi", head)
                end = file.tell() - 27 + 12 + length
                if first <= offset <= first + last:
                    file.seek(end - 1)
                    (byte,) = file.read(1)
                    file.seek(end - 1)
                    file.write(bytes([byte ^ 1]))
                    return
                file.seek(end)
        raise AssertionError(f"{path} has no offset {offset}")

    def _end(self, how: signal.Signals) -> None:
        process, self._process = self._process, None
        if process is None:
            return
        process.send_signal(how)
        try:
            process.wait(20)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()

    def _answers(self) -> bool:
        try:
            socket.create_connection(("127.0.0.1", self.port), timeout=0.2).close()
        except OSError:
            time.sleep(0.05)
            return False
        try:
            KafkaProducer(bootstrap_servers=self.bootstrap, bootstrap_timeout_ms=2000).close()
        except KafkaError:
            return False
        return True

    def _java(self, *arguments: object) -> subprocess.Popen[bytes]:
        log = (self._folder / "broker.log").open("ab")
        with log:
            return subprocess.Popen(
                ["java", "-Xmx256m", "-XX:TieredStopAtLevel=1", "-Dorg.slf4j.simpleLogger.defaultLogLevel=warn",
                 "-cp", f"{self._lib}/*", *map(str, arguments)],
                stdout=log, stderr=log, cwd=self._folder,
            )  # fmt: skip


def _jars_or_skip() -> Path:
    try:
        return fetch_jars()
    except (subprocess.CalledProcessError, subprocess.TimeoutExpired):
        reason = f"needs kafka: Maven could not bring the broker's jars to {JARS}"
        if os.environ.get("CI"):
            pytest.fail(reason, pytrace=False)
        pytest.skip(reason)


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])
