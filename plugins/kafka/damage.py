"""Records that a broker's disk has damaged: passed over, for whoever reads their topic would stop at them for ever."""

import logging
import re
from typing import Any

from kafka import KafkaConsumer, TopicPartition
from kafka.errors import CorruptRecordError

logger = logging.getLogger(__name__)

_PLACE = re.compile(r"topic='(?P<topic>[^']+)', partition=(?P<partition>\d+)\) at offset (?P<first>\d+)")


def poll_undamaged(consumer: KafkaConsumer, **limits: Any) -> dict[TopicPartition, list[Any]]:
    """What `consumer.poll(**limits)` finds, without damaged records; says once where they are.

    Raises:
        KafkaError: As `poll` does.
    """
    told: set[str] = set()
    while True:
        try:
            found: dict[TopicPartition, list[Any]] = consumer.poll(**limits)
            return found
        except CorruptRecordError as error:
            said = str(error)
            _pass_over(consumer, error, tell=said not in told)
            told.add(said)


def _pass_over(consumer: KafkaConsumer, error: CorruptRecordError, *, tell: bool) -> None:
    """Moves on by one record: all of a batch share a checksum, and nothing says how many they are."""
    found = _PLACE.search(str(error))
    if found is None:
        raise error
    place, first = TopicPartition(found["topic"], int(found["partition"])), int(found["first"])
    if tell:
        logger.error(
            "topic %s, partition %d: what stands at offset %d is damaged on the broker's disk, and passed over; "
            "look at that disk",
            place.topic, place.partition, first,
        )  # fmt: skip
    consumer.seek(place, max(consumer.position(place) or 0, first) + 1)
