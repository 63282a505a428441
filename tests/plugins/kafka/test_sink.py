import gc
import json
import logging
import shutil
import subprocess
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from kafka import KafkaAdminClient, KafkaProducer

from pipeline import registry
from pipeline.deliver.events import encode
from pipeline.deliver.forms import Form, projected
from pipeline.errors import BackpressureError, ConfigError, OutsideError
from pipeline.settings import choose
from plugins.kafka.link import KafkaLink
from plugins.kafka.sink import KafkaSink
from tests.servers.availability import need
from tests.servers.kafka import AWAY, PASSWORD, USER, KafkaBroker
from tests.support.hit_events import hit_event

# kafka-python leaves the sockets of failed connections to the garbage collector
pytestmark = pytest.mark.filterwarnings("ignore:unclosed <s:ResourceWarning")


def event(number: int, stream: str = "door", **data: Any) -> dict[str, Any]:
    return {"id": f"h{number}-1", "partitionkey": stream, "data": {"n": number, "name": "Åsa", **data}}


def build(**settings: Any) -> KafkaSink:
    sink: KafkaSink = registry.build("sink", choose("kafka", **settings), Path(), "sinks.0")
    return sink


@pytest.fixture
def sink(kafka_broker: KafkaBroker, tmp_path: Path) -> Iterator[KafkaSink]:
    sink = build(bootstrap=kafka_broker.bootstrap, topic=tmp_path.name, partitions=3)
    yield sink
    sink.close()
    gc.collect()


def read_all(sink: KafkaSink) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = []
    quiet = 0
    for found_event in sink.read(from_start=True):
        if found_event is not None:
            found.append(found_event)
        elif found or (quiet := quiet + 1) > 10:
            break
    return found


def kcat(broker: KafkaBroker, topic: str, form: str) -> list[str]:
    command = ["kcat", "-C", "-b", broker.bootstrap, "-t", topic, "-e", "-q", "-f", form]
    return subprocess.run(command, capture_output=True, check=True, timeout=30).stdout.decode().splitlines()


@pytest.mark.kafka
def test_a_topic_of_ours_takes_events_from_a_clock_that_is_ahead(
    kafka_broker: KafkaBroker, sink: KafkaSink, tmp_path: Path
) -> None:
    sink.publish([event(1)])
    ahead_ms = int((time.time() + 86_400) * 1000)
    producer = KafkaProducer(bootstrap_servers=kafka_broker.bootstrap)
    producer.send(tmp_path.name, encode(event(2)), timestamp_ms=ahead_ms).get(timeout=20)
    producer.close()
    assert len(read_all(sink)) == 2


@pytest.mark.kafka
@pytest.mark.kcat
def test_kcat_reads_the_same_bytes_with_key_and_content_type(
    kafka_broker: KafkaBroker, sink: KafkaSink, tmp_path: Path
) -> None:
    need("kcat")
    assert shutil.which("kcat")
    sink.publish([event(1)])
    assert kcat(kafka_broker, tmp_path.name, "%k|%h|%s\n") == [
        f"door|content-type=application/cloudevents+json|{encode(event(1)).decode()}"
    ]


@pytest.mark.kafka
def test_order_holds_per_stream_over_partitions(sink: KafkaSink) -> None:
    streams = [f"cam-{k}" for k in range(5)]
    sent = [event(number, streams[number % 5]) for number in range(200)]
    for start in range(0, 200, 40):
        sink.publish(sent[start : start + 40])
    found = read_all(sink)
    assert len(found) == 200
    for stream in streams:
        assert [e for e in found if e["partitionkey"] == stream] == [
            e for e in sent if e["partitionkey"] == stream
        ]


@pytest.mark.kafka
def test_a_topic_is_made_as_asked_or_not_at_all(kafka_broker: KafkaBroker, tmp_path: Path) -> None:
    topic = tmp_path.name
    with pytest.raises(OutsideError, match=r"there is no topic .*create it, or set create_topic: true"):
        build(bootstrap=kafka_broker.bootstrap, topic=topic, create_topic=False).publish([event(1)])
    made = build(bootstrap=kafka_broker.bootstrap, topic=topic, partitions=4)
    made.publish([event(1)])
    made.close()
    with KafkaAdminClient(bootstrap_servers=kafka_broker.bootstrap) as admin:
        (description,) = admin.describe_topics([topic])
    assert len(description["partitions"]) == 4
    there = build(bootstrap=kafka_broker.bootstrap, topic=topic, create_topic=False)
    there.publish([event(2)])
    there.close()


@pytest.mark.kafka
def test_a_refused_record_does_not_spoil_what_follows(
    kafka_broker: KafkaBroker, sink: KafkaSink, tmp_path: Path
) -> None:
    topic = tmp_path.name
    with KafkaAdminClient(bootstrap_servers=kafka_broker.bootstrap) as admin:
        shape = {"num_partitions": 1, "replication_factor": 1, "configs": {"max.message.bytes": "2000"}}
        admin.create_topics({topic: shape}, wait_for_metadata=True)
    sink.publish([event(1)])
    with pytest.raises(OutsideError, match=f"topic {topic}: .*") as caught:
        sink.publish([event(2, filler="x" * 5000)])
    assert not isinstance(caught.value, BackpressureError)
    sink.publish([event(3)])
    assert [e["data"]["n"] for e in read_all(sink)] == [1, 3]


@pytest.mark.kafka
def test_what_is_no_event_is_skipped_when_read(
    kafka_broker: KafkaBroker, sink: KafkaSink, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    sink.publish([event(1)])
    assert sink._producer is not None
    for poison in (b"\xff\x00", b"[1]", None):
        sink._producer.send(tmp_path.name, poison, key=b"door").get(timeout=5)
    sink.publish([event(2)])
    assert [e["data"]["n"] for e in read_all(sink)] == [1, 2]
    assert caplog.text.count("not an event") == 3


@pytest.mark.kafka
def test_only_new_events_without_from_start(sink: KafkaSink) -> None:
    sink.publish([event(1)])
    reader = sink.read(from_start=False)
    assert next(reader) is None
    sink.publish([event(2)])
    assert next(e for e in reader if e is not None)["data"]["n"] == 2
    reader.close()  # type: ignore[attr-defined]


def test_a_broker_that_is_down_costs_time_and_nothing_else(caplog: pytest.LogCaptureFixture) -> None:
    sink = build(bootstrap="127.0.0.1:9", timeout_s=1)
    threads = threading.active_count()
    for _ in range(3):
        with pytest.raises(BackpressureError, match=r"Kafka at 127\.0\.0\.1:9.*no answer within 1 s"):
            sink.publish([event(1)])
    assert threading.active_count() == threads
    assert not logging.getLogger("kafka").propagate
    ours = [record for record in caplog.records if not record.name.startswith("kafka")]
    assert [record for record in ours if record.levelno > logging.DEBUG] == []
    gc.collect()


@pytest.mark.kafka
def test_an_advertised_address_that_cannot_be_reached_is_named(
    kafka_broker: KafkaBroker, tmp_path: Path
) -> None:
    made = build(bootstrap=f"127.0.0.1:{kafka_broker.away_port}", topic=f"{tmp_path.name}-hits", timeout_s=3)
    with pytest.raises(OutsideError, match=rf"{AWAY}.*advertised\.listeners"):
        made.publish([event(1)])
    made.close()


def secure(broker: KafkaBroker, **changed: Any) -> dict[str, Any]:
    sasl = changed.get("sasl", {})
    return {
        "bootstrap": f"127.0.0.1:{broker.secure_port}",
        "tls": changed.get("tls", {"ca": broker.certificate}),
        "sasl": sasl
        if sasl is None
        else {"mechanism": "SCRAM-SHA-512", "username": USER, "password": PASSWORD} | sasl,
        "timeout_s": 3,
    }


@pytest.mark.kafka
@pytest.mark.parametrize("mechanism", ["PLAIN", "SCRAM-SHA-512"])
def test_tls_and_sasl(kafka_broker: KafkaBroker, tmp_path: Path, mechanism: str) -> None:
    sink = build(topic=tmp_path.name, **secure(kafka_broker, sasl={"mechanism": mechanism}))
    sink.publish([event(1)])
    assert read_all(sink) == [event(1)]
    sink.close()


@pytest.mark.kafka
@pytest.mark.parametrize(
    ("wrong", "reason"),
    [
        ({"sasl": {"password": "looking-glass"}}, "refuses this username or password|the broker hangs up"),
        ({"sasl": {"mechanism": "SCRAM-SHA-256"}}, "does not take this sasl.mechanism|the broker hangs up"),
        ({"sasl": None}, "the broker hangs up .no sasl"),
        ({"tls": True}, "we do not trust the broker's certificate"),
        ({"tls": False}, "the broker speaks TLS at this port|the broker hangs up"),
    ],
)
def test_a_broker_that_refuses_us_or_is_not_trusted(
    kafka_broker: KafkaBroker, tmp_path: Path, wrong: dict[str, Any], reason: str
) -> None:
    sink = build(topic=tmp_path.name, **secure(kafka_broker, **wrong))
    with pytest.raises(OutsideError, match=reason) as caught:
        sink.publish([event(1)])
    assert "looking-glass" not in str(caught.value)
    gc.collect()


@pytest.mark.kafka
@pytest.mark.parametrize(
    ("left_out", "reason"),
    [("tls", "asks for no password at this port"), ("sasl", "speaks no TLS at this port")],
)
def test_what_a_plain_broker_does_not_want_is_named(
    kafka_broker: KafkaBroker, tmp_path: Path, left_out: str, reason: str
) -> None:
    asked = secure(kafka_broker) | {
        "bootstrap": kafka_broker.bootstrap,
        left_out: None if left_out == "sasl" else False,
    }
    with pytest.raises(OutsideError, match=reason):
        build(topic=tmp_path.name, **asked | {"timeout_s": 3}).publish([event(1)])
    gc.collect()


@pytest.mark.parametrize(
    ("settings", "problem"),
    [
        ({"bootstrap": "localhost"}, "bootstrap"),
        ({"bootstrap": "h:9092", "topic": "no spaces"}, "topic"),
        ({"bootstrap": "h:9092", "tls": {"cert": "c.pem"}}, "cert and key belong together"),
        (
            {"bootstrap": "h:9092", "sasl": {"mechanism": "MD5", "username": "u", "password": "p"}},
            "mechanism",
        ),
        ({"bootstrap": "h:9092", "topik": "x"}, "did you mean 'topic'"),
    ],
)
def test_wrong_settings_are_named(settings: dict[str, Any], problem: str) -> None:
    with pytest.raises(ConfigError, match=problem):
        build(**settings)


def test_passwords_are_not_in_the_settings_text() -> None:
    link = KafkaLink.model_validate(
        {"bootstrap": "h:1", "tls": True, "sasl": {"username": "u", "password": "t0ps3cret"}}
    )
    assert "t0ps3cret" not in repr(link) + json.dumps(link.model_dump(mode="json"))
    options = link.client_options()
    assert options["security_protocol"] == "SASL_SSL"
    assert options["sasl_plain_password"] == "t0ps3cret"


def test_the_content_type_follows_the_form(
    kafka_broker: KafkaBroker, tmp_path: Path, sink: KafkaSink
) -> None:
    form = Form(registry.build("projection", choose("onvif"), Path(), "as"), "onvif")
    projected(sink, form).publish([hit_event(stream="yard")])
    (row,) = kcat(kafka_broker, tmp_path.name, "%k %h %s\n")
    assert row.startswith("yard content-type=application/xml <tt:MetadataStream ")
