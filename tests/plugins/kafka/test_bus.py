"""Tracklets over a real broker: membership, offsets, dead letters, the table."""

import gc
import json
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from kafka import KafkaAdminClient, KafkaConsumer, KafkaProducer, TopicPartition
from kafka.admin import ConfigResource, ConfigResourceType

from pipeline import registry
from pipeline.errors import BackpressureError, ConfigError, OutsideError
from pipeline.remote_bus import BusMessage, Delivery
from pipeline.settings import choose
from plugins.kafka.bus import KafkaBus
from tests.servers.kafka import KafkaBroker

# kafka-python leaves the sockets of failed connections to the garbage collector
pytestmark = pytest.mark.filterwarnings("ignore:unclosed <s:ResourceWarning")
PATIENCE_S = 25.0


def event(number: int, stream: str = "door") -> dict[str, Any]:
    return {"id": f"t{number}", "partitionkey": stream, "data": {"n": number}}


class Group:
    """Buses on topics of their own."""

    def __init__(self, broker: KafkaBroker, name: str) -> None:
        self.broker, self.name = broker, name
        self.buses: list[KafkaBus] = []

    def bus(self, **settings: Any) -> KafkaBus:
        names = {key: f"{self.name}-{key}" for key in ("topic", "dead_letters", "watchlist", "group")}
        defaults = {"bootstrap": self.broker.bootstrap, "partitions": 4, "session_timeout_s": 6, **names}
        bus: KafkaBus = registry.build("bus", choose("kafka", **defaults | settings), Path(), "bus")
        self.buses.append(bus)
        return bus


@pytest.fixture
def group(kafka_broker: KafkaBroker, tmp_path: Path) -> Iterator[Group]:
    made = Group(kafka_broker, tmp_path.name)
    yield made
    for bus in made.buses:
        bus.close()
    gc.collect()


def until(bus: KafkaBus, enough: Callable[[list[Delivery]], bool]) -> list[Delivery]:
    """Deliveries, until there are enough of them."""
    deliveries: list[Delivery] = []
    until_s = time.monotonic() + PATIENCE_S
    while not enough(deliveries):
        assert time.monotonic() < until_s, deliveries
        deliveries.append(bus.receive(100, 0.2))
    return deliveries


def messages(deliveries: list[Delivery]) -> list[BusMessage]:
    return [message for delivery in deliveries for message in delivery.messages]


def take(bus: KafkaBus, count: int) -> list[BusMessage]:
    return messages(until(bus, lambda d: len(messages(d)) >= count))


@pytest.mark.kafka
def test_what_is_published_is_received_once_and_a_stream_keeps_its_order(group: Group) -> None:
    publisher, member = group.bus(), group.bus()
    streams = [f"cam-{k}" for k in range(5)]
    publisher.publish([event(n, streams[n % 5]) for n in range(50)])
    found = take(member, 50)
    assert len(found) == 50
    for stream in streams:
        own = [m for m in found if m.key == stream.encode()]
        assert len({m.partition for m in own}) == 1
        assert [m.offset for m in own] == sorted(m.offset for m in own)
    assert abs(found[0].at_s - time.time()) < 60
    assert sum(member.lag().values()) == 0


@pytest.mark.kafka
@pytest.mark.parametrize("codec", ["gzip", "snappy", "lz4", "zstd"])
def test_whatever_codec_a_broker_sets_is_read(group: Group, codec: str) -> None:
    """`compression.type` of a topic has the broker pack the records anew."""
    bus = group.bus()
    bus.publish([])
    admin = KafkaAdminClient(bootstrap_servers=group.broker.bootstrap)
    admin.alter_configs(
        [ConfigResource(ConfigResourceType.TOPIC, f"{group.name}-topic", {"compression.type": codec})]
    )
    admin.close()
    bus.publish([event(n) | {"data": {"n": n, "text": "again and again " * 500}} for n in range(20)])
    assert [json.loads(m.value or b"")["data"]["n"] for m in take(group.bus(), 20)] == list(range(20))


@pytest.mark.kafka
def test_a_successor_starts_from_what_was_committed(group: Group) -> None:
    group.bus().publish([event(n) for n in range(10)])
    first = group.bus()
    (partition,) = {m.partition for m in take(first, 10)}
    first.commit({partition: 4})
    first.close()
    assert [m.offset for m in take(group.bus(), 6)] == [4, 5, 6, 7, 8, 9]


@pytest.mark.kafka
def test_where_nothing_was_committed_lag_counts_from_the_first_record_there_is(group: Group) -> None:
    """Records that the broker has deleted are nobody's arrears."""
    publisher, member = group.bus(partitions=1), group.bus(partitions=1)
    publisher.publish([event(n) for n in range(10)])
    with KafkaAdminClient(bootstrap_servers=group.broker.bootstrap) as admin:
        admin.delete_records({TopicPartition(f"{group.name}-topic", 0): 10})
    until(member, lambda deliveries: bool(member.lag()))
    assert member.lag() == {0: 0}


@pytest.mark.kafka
def test_two_members_share_and_keep_what_they_had(group: Group) -> None:
    """A rebalance gives nothing twice to a member that keeps its partition, though nothing is committed."""
    publisher, first = group.bus(), group.bus()
    publisher.publish([event(n, f"cam-{n % 8}") for n in range(40)])
    before = until(first, lambda d: len(messages(d)) >= 40)
    assert {p for d in before for p in d.gained} == {0, 1, 2, 3}
    second = group.bus()
    gained: set[int] = set()
    lost: set[int] = set()
    until_s = time.monotonic() + PATIENCE_S
    while len(gained) < 2 or len(lost) < 2:
        assert time.monotonic() < until_s
        theirs, ours = second.receive(100, 0.2), first.receive(100, 0.2)
        gained, lost = gained | theirs.gained, lost | ours.lost
        assert ours.messages == ()
        assert ours.gained == frozenset()
    assert gained == lost
    publisher.publish([event(n, f"cam-{n % 8}") for n in range(40, 80)])
    counts = [0, 0]
    while sum(counts) < 40:
        assert time.monotonic() < until_s
        for i, bus in enumerate((first, second)):
            fresh = [m for m in bus.receive(100, 0.2).messages if b'"n":' in (m.value or b"")]
            counts[i] += sum(int((m.value or b"").rsplit(b":", 1)[1].strip(b"}")) >= 40 for m in fresh)
    assert min(counts) > 0, "one has all the work"


@pytest.mark.kafka
def test_a_message_that_cannot_be_read_is_kept_unchanged(group: Group) -> None:
    member = group.bus()
    member.publish([])
    with KafkaProducer(bootstrap_servers=group.broker.bootstrap) as producer:
        producer.send(f"{group.name}-topic", b"\xff\x00", key=b"door").get(timeout=5)
    (poison,) = take(member, 1)
    member.refuse(poison, "not a tracklet: Åsa")
    with KafkaConsumer(
        f"{group.name}-dead_letters",
        bootstrap_servers=group.broker.bootstrap,
        auto_offset_reset="earliest",
        consumer_timeout_ms=8000,
    ) as consumer:
        letter = next(iter(consumer))
    assert (letter.key, letter.value) == (b"door", b"\xff\x00")
    headers = dict(letter.headers)
    assert headers["error"].decode() == "not a tracklet: Åsa"
    assert headers["origin-topic"].decode() == f"{group.name}-topic"
    assert headers["origin-offset"] == str(poison.offset).encode()


@pytest.mark.kafka
def test_the_table_is_compacted_read_whole_and_followed(group: Group) -> None:
    writer, reader = group.bus().watchlist, group.bus().watchlist
    assert list(reader.rows()) == []
    writer.write([("anna", b"1"), ("luca", b"2"), ("anna", b"3")])
    assert [(row.key, row.value) for row in reader.rows()] == [
        (b"anna", b"1"),
        (b"luca", b"2"),
        (b"anna", b"3"),
    ]
    assert reader.news() == []
    writer.write([("luca", None)])
    until_s = time.monotonic() + PATIENCE_S
    while not (news := reader.news()):
        assert time.monotonic() < until_s
    assert [(row.key, row.value) for row in news] == [(b"luca", None)]
    with KafkaAdminClient(bootstrap_servers=group.broker.bootstrap) as admin:
        topic = ConfigResource(ConfigResourceType.TOPIC, f"{group.name}-watchlist")
        assert "compact" in str(admin.describe_configs([topic]))


@pytest.mark.kafka
def test_the_topics_that_we_make_forget_in_a_bounded_time(group: Group) -> None:
    bus, day_ms = group.bus(retention_h=48), 86_400_000
    bus.publish([])
    bus.refuse(BusMessage(f"{group.name}-topic", 0, 0, b"door", b"\xff", 0.0), "not a tracklet")
    list(bus.watchlist.rows())
    with KafkaAdminClient(bootstrap_servers=group.broker.bootstrap) as admin:

        def setting(topic: str, name: str) -> int:
            asked = ConfigResource(ConfigResourceType.TOPIC, f"{group.name}-{topic}")
            found = admin.describe_configs([asked], config_filter="all")["topic"][f"{group.name}-{topic}"]
            return int(found[name]["value"])

        assert [setting(topic, "retention.ms") for topic in ("topic", "dead_letters")] == [2 * day_ms] * 2
        names = ("segment.ms", "max.compaction.lag.ms", "delete.retention.ms")
        assert [setting("watchlist", name) / day_ms for name in names] == [1, 1, 7]


@pytest.mark.kafka
@pytest.mark.parametrize("policy", ["delete", "compact,delete"])
def test_a_table_that_somebody_made_without_compaction_is_named_and_mended(group: Group, policy: str) -> None:
    topic = f"{group.name}-watchlist"
    shape = {"num_partitions": 1, "replication_factor": 1, "configs": {"cleanup.policy": policy}}
    with KafkaAdminClient(bootstrap_servers=group.broker.bootstrap) as admin:
        admin.create_topics({topic: shape})
    table = group.bus().watchlist
    (named,) = table.faults(mend=False)
    assert f"topic {topic} has cleanup.policy={policy}" in named.problem
    (left,) = group.bus(create_topics=False).watchlist.faults(mend=True)
    assert not named.mended
    assert left == named, "topics are not ours to change"
    (mended,) = table.faults(mend=True)
    assert mended.mended
    assert table.faults(mend=False) == []


@pytest.mark.kafka
def test_a_table_without_a_topic_has_no_faults(group: Group) -> None:
    assert group.bus().watchlist.faults(mend=True) == []


@pytest.mark.kafka
def test_after_a_failure_of_the_link_the_rows_are_to_be_read_again(
    group: Group, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("plugins.kafka.link._PROBE_EVERY_S", 0.2)
    writer, reader = group.bus().watchlist, group.bus().watchlist
    writer.write([("anna", b"1")])
    assert len(list(reader.rows())) == 1
    assert reader.news() == []
    group.broker.freeze()
    try:
        time.sleep(0.3)
        assert reader.news() == [], "it is away: nobody is told to read what cannot be read"
    finally:
        group.broker.thaw()
    until_s = time.monotonic() + PATIENCE_S
    while (news := reader.news()) is not None:
        assert news == []
        assert time.monotonic() < until_s
    assert len(list(reader.rows())) == 1
    writer.write([("luca", b"2")])
    while not (news := reader.news()):
        assert news is not None
        assert time.monotonic() < until_s


def test_a_broker_that_is_down_is_said_and_leaves_nothing_behind() -> None:
    bus = registry.build("bus", choose("kafka", bootstrap="127.0.0.1:9", timeout_s=1), Path(), "bus")
    for call in (
        lambda: bus.receive(1, 0.1),
        lambda: bus.publish([event(1)]),
        lambda: list(bus.watchlist.rows()),
    ):
        with pytest.raises(BackpressureError, match=r"Kafka at 127\.0\.0\.1:9.*no answer within 1 s"):
            call()
    assert bus.lag() == {}
    bus.commit({0: 1})
    bus.close()
    gc.collect()


@pytest.mark.kafka
def test_a_missing_topic_that_may_not_be_made_is_said(group: Group) -> None:
    with pytest.raises(OutsideError, match="create it, or set create_topic: true"):
        group.bus(create_topics=False).receive(1, 0.1)


@pytest.mark.parametrize(
    ("settings", "problem"),
    [({}, "bootstrap"), ({"bootstrap": "h:1", "session_timeout_s": 1}, "session_timeout_s"),
     ({"bootstrap": "h:1", "topik": "x"}, "did you mean 'topic'")],
)  # fmt: skip
def test_wrong_settings_are_named(settings: dict[str, Any], problem: str) -> None:
    with pytest.raises(ConfigError, match=problem):
        registry.build("bus", choose("kafka", **settings), Path(), "bus")


@pytest.mark.kafka
def test_what_the_brokers_disk_damages_costs_nothing_else(
    group: Group, caplog: pytest.LogCaptureFixture
) -> None:
    publisher, member = group.bus(partitions=1), group.bus(partitions=1)
    for numbers in ((0, 1), (2, 3, 4), (5,)):
        publisher.publish([event(n) for n in numbers])
    group.broker.damage(f"{group.name}-topic", offset=3)
    found = until(member, lambda d: any(m.offset == 5 for m in messages(d)))
    offsets = [m.offset for m in messages(found)]
    assert {0, 1, 5} <= set(offsets) <= {0, 1, 2, 4, 5}, "others of the same batch may go with it"
    assert offsets == sorted(set(offsets))
    (said,) = [r.getMessage() for r in caplog.records if "damaged" in r.getMessage()]
    assert f"topic {group.name}-topic, partition 0: what stands at offset " in said


@pytest.mark.kafka
def test_a_damaged_row_of_the_table_hides_no_others(group: Group) -> None:
    bus = group.bus()
    for key in ("a", "b", "c"):
        bus.watchlist.write([(key, key.encode())])
    group.broker.damage(f"{group.name}-watchlist", offset=1)
    assert [row.key for row in group.bus().watchlist.rows()] == [b"a", b"c"]
