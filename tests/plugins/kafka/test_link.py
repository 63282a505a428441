"""Files of TLS that cannot be used, said at the start and later; and checksums that cost nothing."""

import gc
import json
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from kafka import KafkaConsumer
from kafka.record import default_records
from kafka.record.util import calc_crc32c

from pipeline import registry
from pipeline.cli.main import main
from pipeline.errors import ConfigError, OutsideError, RefusedError
from pipeline.settings import choose
from plugins.kafka.link import KafkaLink, hasten_checksums

# kafka-python leaves the sockets of failed connections to the garbage collector
pytestmark = pytest.mark.filterwarnings("ignore:unclosed <s:ResourceWarning")

TLS_PROBLEMS = [
    ({"ca": "missing.pem"}, "missing.pem cannot be read: No such file"),
    ({"ca": "folder"}, "folder cannot be read: Is a directory"),
    ({"ca": "text.pem"}, "text.pem has no certificates that can be used"),
    ({"cert": "cert.pem", "key": "missing.key"}, "missing.key cannot be read"),
    ({"cert": "cert.pem", "key": "text.pem"}, "are no certificate and its unencrypted key"),
    ({"cert": "cert.pem", "key": "locked.key"}, "are no certificate and its unencrypted key"),
    ({"cert": "cert.pem", "key": "other.key"}, "are no certificate and its unencrypted key"),
]


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A certificate with its key, the same key locked by a passphrase, another key, and what is none."""
    folder = tmp_path_factory.mktemp("tls")
    (folder / "folder").mkdir()
    (folder / "text.pem").write_text("not a certificate\n", encoding="utf-8")
    for command in (
        "req -x509 -newkey rsa:2048 -nodes -keyout cert.key -out cert.pem -days 2 -subj /CN=here",
        "rsa -aes128 -passout pass:locked -in cert.key -out locked.key",
        "genrsa -out other.key 2048",
    ):
        subprocess.run(["openssl", *command.split()], cwd=folder, check=True, capture_output=True)
    return folder


def sink(folder: Path, **settings: Any) -> Any:
    choice = choose("kafka", bootstrap="127.0.0.1:9", timeout_s=1, **settings)
    return registry.build("sink", choice, folder, "sinks.0")


@pytest.mark.parametrize(("tls", "problem"), TLS_PROBLEMS)
def test_files_that_cannot_be_used_are_named_at_the_start(
    folder: Path, tls: dict[str, str], problem: str
) -> None:
    with pytest.raises(ConfigError, match=problem) as caught:
        sink(folder, tls=tls)
    assert str(caught.value).startswith("sinks.0: tls")


def test_files_that_can_be_used_are_taken(folder: Path) -> None:
    tls = {"ca": "cert.pem", "cert": "cert.pem", "key": "cert.key"}
    sink(folder, tls=tls).close()
    link = KafkaLink.model_validate({"bootstrap": "h:1", "tls": tls}, context={"base_dir": folder})
    used = {name: value for name, value in link.client_options().items() if name.startswith("ssl_")}
    assert used == {
        "ssl_cafile": str(folder / "cert.pem"),
        "ssl_certfile": str(folder / "cert.pem"),
        "ssl_keyfile": str(folder / "cert.key"),
    }


@pytest.mark.parametrize("part", ["sink", "bus"])
def test_every_command_says_it_in_one_line_and_ends_with_2(
    tmp_path: Path, part: str, capsys: pytest.CaptureFixture[str]
) -> None:
    kafka = {"use": "kafka", "bootstrap": "127.0.0.1:9", "tls": {"ca": "missing.pem"}}
    plain = {"use": "kafka", "bootstrap": "127.0.0.1:9"}
    document = {
        "version": 1,
        "streams": [{"id": "door", "source": {"use": "folder", "path": "."}}],
        "decision": {"max_distance": 0.5},
        "telemetry": {"listen": None},
        **({"sinks": [kafka], "bus": plain} if part == "sink" else {"bus": kafka}),
    }
    path = tmp_path / "c.yaml"
    path.write_text(json.dumps(document), encoding="utf-8")
    said = f"{'sinks.0' if part == 'sink' else 'bus'}: tls: {tmp_path}/missing.pem cannot be read"
    commands = [["verify", str(path)]]
    commands += [["hits", "tail", "-c", str(path)]] if part == "sink" else [["run", str(path)]]
    for command in commands:
        assert main(command) == 2
        captured = capsys.readouterr()
        assert said in captured.err
        assert captured.err.count("musewatch: ") == 1
        assert "Traceback" not in captured.err
    if part == "bus":
        assert main(["check", str(path), "--json"]) == 1
        (problem,) = [p for p in json.loads(capsys.readouterr().out)["problems"] if p["where"] == "bus"]
        assert "missing.pem cannot be read" in problem["problem"]


def _publish(made: Any) -> None:
    made.publish([{"id": "h1-1", "partitionkey": "door", "data": {}}])


def _read(made: Any) -> None:
    next(made.read(from_start=True))


def _receive(made: Any) -> None:
    made.receive(1, 0.1)


@pytest.mark.kafka
@pytest.mark.parametrize(
    ("role", "work"), [("sink", _publish), ("sink", _read), ("bus", _publish), ("bus", _receive)]
)
def test_a_file_that_goes_later_is_an_outside_error(
    kafka_broker: Any, tmp_path: Path, role: str, work: Callable[[Any], None]
) -> None:
    ca = tmp_path / "ca.pem"
    ca.write_bytes(Path(kafka_broker.certificate).read_bytes())
    address = f"127.0.0.1:{kafka_broker.secure_port}"
    choice = choose("kafka", bootstrap=address, tls={"ca": str(ca)}, timeout_s=2)
    made = registry.build(role, choice, tmp_path, role)
    ca.unlink()
    with pytest.raises(OutsideError, match=f"Kafka at {address}"):
        work(made)
    made.close()
    gc.collect()


def test_checksums_are_those_of_the_standard_with_and_without_the_fast_package(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    data = memoryview(bytearray(b"__123456789"))[2:]  # as the library gives it: of a buffer that may change
    monkeypatch.setattr(default_records, "calc_crc32c", calc_crc32c)
    monkeypatch.setitem(sys.modules, "google_crc32c", None)
    assert not hasten_checksums()
    assert default_records.calc_crc32c(data) == 0xE3069283  # RFC 3720, B.4 and everybody's check value
    monkeypatch.undo()
    pytest.importorskip("google_crc32c")
    assert hasten_checksums()
    assert default_records.calc_crc32c is not calc_crc32c
    assert default_records.calc_crc32c(data) == 0xE3069283


@pytest.mark.kafka
def test_what_the_broker_refuses_is_a_refusal_and_has_a_dead_letter(
    kafka_broker: Any, tmp_path: Path
) -> None:
    """A topic takes less than an event has; the dead-letter topic is the broker's own size."""
    topic, letters = f"{tmp_path.name}-hits", f"{tmp_path.name}-dead"
    settings = {"topic_configs": {"max.message.bytes": "2000"}, "dead_letters": letters, "topic": topic}
    made = registry.build(
        "sink", choose("kafka", bootstrap=kafka_broker.bootstrap, **settings), tmp_path, "s"
    )
    large = {"id": "h1-1", "partitionkey": "door", "data": {"filler": "x" * 5000}}
    with pytest.raises(RefusedError, match=topic):
        made.publish([large])
    made.set_aside(large, "too large: Åsa")
    made.publish([{"id": "h2-1", "partitionkey": "door", "data": {}}])
    made.close()
    with KafkaConsumer(
        letters,
        bootstrap_servers=kafka_broker.bootstrap,
        auto_offset_reset="earliest",
        consumer_timeout_ms=8000,
    ) as consumer:
        letter = next(iter(consumer))
    assert (letter.key, json.loads(letter.value)) == (b"door", large)
    headers = dict(letter.headers)
    assert headers == {"error": "too large: Åsa".encode(), "origin-topic": topic.encode()}
    gc.collect()
