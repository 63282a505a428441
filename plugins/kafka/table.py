"""A compacted topic as a table: the watchlist that all members of a group share."""

from collections.abc import Iterator, Sequence
from typing import Any

from pipeline.remote_bus import BusMessage
from plugins.kafka.link import KafkaLink, TopicReader
from plugins.kafka.sink import KafkaSink, Record


class KafkaTable:
    """The last value under each key counts; None = removed.

    Args:
        link: The broker.
        topic: The topic.
        sink: Writes it, and makes it where it is missing.
    """

    def __init__(self, link: KafkaLink, topic: str, sink: KafkaSink) -> None:
        self._reader = TopicReader(link, topic)
        self._sink = sink

    def rows(self) -> Iterator[BusMessage]:
        """Everything there is now, older values of a key too; makes the topic where it is missing.

        Raises:
            OutsideError: The broker cannot be reached.
        """
        self._sink.write([])
        return map(bus_message, self._reader.to_end())

    def news(self) -> list[BusMessage]:
        """What came since `rows` or the last call; none while the broker is away.

        Raises:
            OutsideError: The broker refuses us.
        """
        return [bus_message(record) for record in self._reader.news()]

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
