"""A Kafka topic read without a group: what is there, then what comes."""

import time
from collections.abc import Iterator
from contextlib import suppress
from typing import Any

from kafka import KafkaConsumer, TopicPartition
from kafka.errors import KafkaError

from pipeline.errors import BackpressureError
from plugins.kafka_link import KafkaLink, explained

_POLL_MS = 200
_QUIET_POLLS = 50  # without a record before the end: the broker has gone


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
