"""A compacted topic as a table: the watchlist that all members of a group share."""

import logging
from collections.abc import Iterator, Sequence
from typing import Any

from kafka import KafkaAdminClient
from kafka.admin import ConfigResource, ConfigResourceType
from kafka.errors import KafkaError, UnknownTopicOrPartitionError

from pipeline.remote_bus import BusMessage, TableFault
from plugins.kafka.link import FAILURES, KafkaLink, TopicReader, explained
from plugins.kafka.sink import KafkaSink, Record

logger = logging.getLogger(__name__)

_POLICY, _COMPACT = "cleanup.policy", "compact"
_DAY_MS = 86_400_000
SETTINGS = {
    _POLICY: _COMPACT,
    "segment.ms": str(_DAY_MS),
    "max.compaction.lag.ms": str(_DAY_MS),
    "delete.retention.ms": str(7 * _DAY_MS),
}
"""Of the topic. Older rows under a key, pictures and all, go a day or two after the next change; that somebody was
removed is kept for a week, for members that were away."""


class KafkaTable:
    """The last value under each key counts; None = removed.

    Args:
        link: The broker.
        topic: The topic.
        sink: Writes it, and makes it where it is missing.
        may_alter: Whether the topic's settings may be changed.
    """

    def __init__(self, link: KafkaLink, topic: str, sink: KafkaSink, *, may_alter: bool) -> None:
        self._link, self._topic, self._may_alter = link, topic, may_alter
        self._reader = TopicReader(link, topic)
        self._sink = sink

    def rows(self) -> Iterator[BusMessage]:
        """Everything there is now, older values of a key too; makes the topic where it is missing.

        Raises:
            OutsideError: The broker cannot be reached.
        """
        self._sink.write([])
        return map(bus_message, self._reader.to_end())

    def news(self) -> list[BusMessage] | None:
        """What came since `rows` or the last call, nothing while the broker is away; None when it had been.

        Raises:
            OutsideError: The broker refuses us.
        """
        records = self._reader.news()
        return None if records is None else [bus_message(record) for record in records]

    def faults(self, *, mend: bool) -> list[TableFault]:
        """Whether the topic loses rows by time or size; a topic that may not be looked at has no faults.

        Raises:
            OutsideError: The broker cannot be reached.
        """
        try:
            with KafkaAdminClient(**self._link.client_options()) as admin:
                policy = _policy(admin, self._topic)
                if policy in (_COMPACT, None):
                    return []
                mended = mend and self._may_alter and _compact(admin, self._topic)
        except FAILURES as error:
            raise explained(error, self._link, self._topic) from error
        problem = f"topic {self._topic} has {_POLICY}={policy}, so rows of the watchlist run out"
        if mended:
            return [TableFault(problem, f"it has {_POLICY}={_COMPACT} now", mended=True)]
        return [
            TableFault(problem, f"musewatch watchlist publish, and set {_POLICY}={_COMPACT} where it may not")
        ]

    def write(self, rows: Sequence[tuple[str, bytes | None]]) -> None:
        """Puts values under keys; returns when the broker has acknowledged all of them.

        Raises:
            OutsideError: The broker cannot be reached, or refuses them.
        """
        self._sink.write([Record(key.encode(), value) for key, value in rows])

    def close(self) -> None:
        """Lets the broker go."""
        self._reader.close()
        self._sink.close()


def bus_message(record: Any) -> BusMessage:
    """A record of the library in the pipeline's words."""
    return BusMessage(
        record.topic, record.partition, record.offset, record.key, record.value, record.timestamp / 1000
    )


def _policy(admin: KafkaAdminClient, topic: str) -> str | None:
    """What the broker does with old records; None where the topic is missing, or its settings are kept from us."""
    asked = ConfigResource(ConfigResourceType.TOPIC, topic)
    try:
        found = admin.describe_configs([asked], config_filter="all")["topic"][topic]
    except UnknownTopicOrPartitionError:
        return None
    return found[_POLICY]["value"] if _POLICY in found else None


def _compact(admin: KafkaAdminClient, topic: str) -> bool:
    """Has the broker keep the last record under each key; whether it does."""
    change = ConfigResource(ConfigResourceType.TOPIC, topic, SETTINGS)
    try:
        admin.alter_configs([change])
    except KafkaError as error:
        logger.debug("topic %s stays as it is: %s", topic, error)
        return False
    return _policy(admin, topic) == _COMPACT
