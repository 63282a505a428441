"""Hits on a Kafka topic, as CloudEvents in structured mode or in another form."""

import logging
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import suppress
from typing import Any, NamedTuple

from kafka import KafkaAdminClient, KafkaConsumer, KafkaProducer
from kafka.errors import TopicAlreadyExistsError
from pydantic import Field

from pipeline.deliver.events import encode
from pipeline.deliver.forms import bytes_of, content_type_of, event_of
from pipeline.errors import OutsideError
from pipeline.strict_json import JsonError, parse_json
from plugins.kafka.link import FAILURES, TOPIC, KafkaLink, TopicReader, explained

logger = logging.getLogger(__name__)

_POLL_S = 0.2
_OWN_TIME = {
    "message.timestamp.type": "LogAppendTime"
}  # by its own clock a broker refuses ours when that is ahead


class Record(NamedTuple):
    """What goes onto the topic; `value` None takes back what stood under the key."""

    key: bytes | None
    value: bytes | None
    headers: tuple[tuple[str, bytes], ...] = ()


class KafkaSink:
    """Key = partition key of the event, value = its one serialisation, acknowledged by all replicas in sync.

    The producer is made at the first batch, for a broker may be down at start, and made anew after any failure:
    one refused record leaves an idempotent producer of the library useless. A batch is always sent from its
    first event on, so order per key holds after consumers have dropped repeats by id.
    """

    class Config(KafkaLink):
        """Keys of this sink."""

        topic: str = Field(default="musewatch.hits", pattern=TOPIC)
        create_topic: bool = Field(default=True, description="Make the topic when it is missing.")
        partitions: int | None = Field(
            default=None, ge=1, le=100_000, description="Of a new topic; null = the broker's default."
        )
        replication: int | None = Field(
            default=None, ge=1, le=100, description="Of a new topic; null = the broker's default."
        )

        dead_letters: str | None = Field(
            default="musewatch.dead-letter",
            pattern=TOPIC,
            description="For copies of what was refused; null = none.",
        )
        topic_configs: dict[str, str] = Field(
            default={}, description="Of a new topic, e.g. retention.ms; the broker's default for the rest."
        )

    def __init__(self, config: Config) -> None:
        self._config = config
        self._producer: KafkaProducer | None = None

    def publish(self, events: Sequence[Mapping[str, Any]]) -> None:
        """Returns when the broker has acknowledged all events.

        Raises:
            BackpressureError: The broker cannot be reached, or does not answer in time.
            OutsideError: It refuses the events, the topic or us.
        """
        self.write([_record(event) for event in events])

    def write(self, records: Sequence[Record]) -> None:
        """As `publish`, of bytes; of none it sees to the topic."""
        try:
            self._send(records)
        except FAILURES as error:
            self.close()
            raise explained(error, self._config, self._config.topic) from error

    def set_aside(self, event: Mapping[str, Any], reason: str) -> None:
        """Puts a copy of an event that the broker has refused onto the dead-letter topic.

        Raises:
            OutsideError: It is not there; too large for that topic too, perhaps.
        """
        if self._config.dead_letters is None:
            return
        headers = (("error", reason.encode()), ("origin-topic", self._config.topic.encode()))
        letter = Record(str(event["partitionkey"]).encode(), encode(event), headers)
        other = KafkaSink(
            self._config.model_copy(update={"topic": self._config.dead_letters, "topic_configs": {}})
        )
        try:
            other.write([letter])
        finally:
            other.close()

    def read(self, from_start: bool) -> Iterator[dict[str, Any] | None]:
        """The events of the topic, then those that come; None whenever none came for a moment.

        Raises:
            OutsideError: The broker cannot be reached.
        """
        try:
            yield from self._read(from_start)
        except FAILURES as error:
            raise explained(error, self._config, self._config.topic) from error

    def recent(self, age_s: float) -> list[dict[str, Any]]:
        """The events that came to the topic within the last so many seconds, in order per stream.

        Raises:
            OutsideError: The broker cannot be reached.
        """
        reader = TopicReader(self._config, self._config.topic, age_s=age_s)
        try:
            return list(filter(None, map(_parse, reader.to_end())))
        finally:
            reader.close()

    def _read(self, from_start: bool) -> Iterator[dict[str, Any] | None]:
        consumer = KafkaConsumer(
            self._config.topic,
            **self._config.client_options(),
            auto_offset_reset="earliest" if from_start else "latest",
            enable_auto_commit=False,
            allow_auto_create_topics=False,
        )
        with consumer:
            yield from self._settle(consumer)
            while True:
                batches = consumer.poll(timeout_ms=int(_POLL_S * 1000))
                for records in batches.values():
                    yield from filter(None, map(_parse, records))
                if not batches:
                    yield None

    def _settle(self, consumer: KafkaConsumer) -> Iterator[dict[str, Any]]:
        """Polls until the first position is known, or the topic is plainly not there yet."""
        until_s = time.monotonic() + self._config.timeout_s
        while not consumer.assignment() and time.monotonic() < until_s:
            for records in consumer.poll(timeout_ms=int(_POLL_S * 1000)).values():
                yield from filter(None, map(_parse, records))
        for partition in consumer.assignment():
            consumer.position(partition)

    def close(self) -> None:
        """Lets the broker go; a sink closed can be used again."""
        producer, self._producer = self._producer, None
        if producer is not None:
            with suppress(*FAILURES):
                producer.close(timeout=1.0)

    def _send(self, records: Sequence[Record]) -> None:
        producer = self._producer or self._connect()
        sent = [
            producer.send(self._config.topic, record.value, key=record.key, headers=list(record.headers))
            for record in records
        ]
        until_s = time.monotonic() + self._config.timeout_s + 1.0
        for future in sent:
            future.get(timeout=max(0.0, until_s - time.monotonic()))

    def _connect(self) -> KafkaProducer:
        """The producer first: unlike the other clients it leaves no thread behind when nobody answers."""
        self._producer = KafkaProducer(
            **self._config.client_options(),
            acks="all",
            enable_idempotence=True,
            delivery_timeout_ms=self._config.timeout_ms,
            max_block_ms=self._config.timeout_ms,
            allow_auto_create_topics=False,
        )
        self._ensure_topic()
        return self._producer

    def _ensure_topic(self) -> None:
        config = self._config
        with KafkaAdminClient(**config.client_options()) as admin:
            if config.topic in admin.list_topics():
                return
            if not config.create_topic:
                raise OutsideError(
                    f"there is no topic {config.topic} at {config.bootstrap}",
                    "create it, or set create_topic: true",
                )
            shape = {
                "num_partitions": config.partitions or -1,
                "replication_factor": config.replication or -1,
                "configs": _OWN_TIME | config.topic_configs,
            }
            with suppress(TopicAlreadyExistsError):
                admin.create_topics({config.topic: shape}, wait_for_metadata=True)
            logger.info("created the Kafka topic %s", config.topic)


def _record(document: Mapping[str, Any]) -> Record:
    headers = (("content-type", content_type_of(document).encode()),)
    return Record(str(event_of(document)["partitionkey"]).encode(), bytes_of(document), headers)


def _parse(record: Any) -> dict[str, Any] | None:
    try:
        event = parse_json(record.value or b"")
    except JsonError:
        event = None
    if isinstance(event, dict):
        return event
    logger.warning("%s, partition %d, offset %d: not an event", record.topic, record.partition, record.offset)
    return None
