"""Hits on an MQTT broker, one message an event; or as Frigate has it: events, availability and counts of people."""

import re
from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from typing import Any, Self

from pydantic import Field, model_validator

from pipeline.deliver.forms import bytes_of, content_type_of, event_of
from plugins.mqtt.link import Connection, Message, MqttLink

ONLINE, OFFLINE = b"online", b"offline"
_LONGEST_TOPIC = 60_000  # bytes; the protocol has two bytes for the length
_PLACEHOLDER = re.compile(r"\{([^}]*)\}")
_KNOWN = {"stream", "site"}
_NO_TOPIC = re.compile(r"[+#\x00]|^\$|^$")


class MqttSink:
    """QoS 1: `publish` returns when the broker has acknowledged every message.

    That says that the broker has it, not that it is on a disk, nor that anybody reads. The connection is made at
    the first batch, or when a run begins where there is a topic of availability.
    """

    class Config(MqttLink):
        """Keys of this sink."""

        topic: str | None = Field(
            default=None, description="Of the hits; {stream} and {site} stand for those of a hit."
        )
        prefix: str | None = Field(
            default=None,
            description="In place of topic, as Frigate has it: PREFIX/events, and retained PREFIX/available and "
            "PREFIX/STREAM/person.",
        )
        available: str | None = Field(
            default=None,
            description="With topic: says online or offline, retained; offline is the last will.",
        )

        @model_validator(mode="after")
        def _topics(self) -> Self:
            if (self.topic is None) == (self.prefix is None):
                raise ValueError("give either topic or prefix")
            if self.prefix is not None and self.available is not None:
                raise ValueError("available: with prefix it is PREFIX/available")
            for key in ("topic", "prefix", "available"):
                _need_topic(key, getattr(self, key), _KNOWN if key == "topic" else set())
            return self

        @property
        def availability(self) -> str | None:
            """The topic that says whether a run goes on, None without."""
            return self.available if self.prefix is None else f"{self.prefix}/available"

    def __init__(self, config: Config) -> None:
        self._config = config
        self._connection: Connection | None = None
        self._announced = False
        self._open_hits: dict[str, set[str]] = defaultdict(set)

    def start(self) -> None:
        """A run begins: it is announced as soon as the broker is there."""
        self._announced = self._config.availability is not None
        if self._announced:
            self._connection = self._new()
            self._connection.open_later()

    def publish(self, events: Sequence[Mapping[str, Any]]) -> None:
        """Returns when the broker has acknowledged all messages; with none it sees to the connection.

        Raises:
            BackpressureError: The broker cannot take them now.
            RefusedError: It refuses one of them as it is.
            OutsideError: It cannot be reached, or refuses us.
        """
        messages = [message for event in events for message in self._messages(event)]
        try:
            self._live().publish(messages)
        except BaseException:
            self._drop()
            raise

    def close(self) -> None:
        """Says that the run is over, and lets the broker go; a sink closed can be used again."""
        farewell = self._availability(OFFLINE) if self._announced else None
        connection, self._connection = self._connection, None
        if connection is not None:
            connection.close(farewell)

    def _live(self) -> Connection:
        if self._connection is not None and self._connection.connected:
            return self._connection
        self._drop()  # another one says why it cannot be made
        self._connection = self._new()
        self._connection.open()
        return self._connection

    def _drop(self) -> None:
        connection, self._connection = self._connection, None
        if connection is not None:
            connection.close()

    def _new(self) -> Connection:
        if not self._announced:
            return Connection(self._config)
        return Connection(self._config, self._availability(OFFLINE), self._availability(ONLINE))

    def _availability(self, word: bytes) -> Message:
        return Message(str(self._config.availability), word, retain=True)

    def _messages(self, document: Mapping[str, Any]) -> Iterator[Message]:
        event, config = event_of(document), self._config
        payload, type_ = bytes_of(document), content_type_of(document)
        if config.prefix is None:
            yield Message(_filled(str(config.topic), event), payload, content_type=type_)
            return
        yield Message(f"{config.prefix}/events", payload, content_type=type_)
        count = self._count(event)
        if count is not None:
            stream = event["partitionkey"]
            yield Message(f"{config.prefix}/{stream}/person", str(count).encode(), retain=True)

    def _count(self, event: Mapping[str, Any]) -> int | None:
        """People found on the stream of an event, as it leaves them; None of one that is no hit."""
        data = event["data"]
        if "hit_id" not in data:
            return None
        people = self._open_hits[event["partitionkey"]]
        if data["state"] in ("opened", "updated"):
            people.add(data["hit_id"])
        else:
            people.discard(data["hit_id"])
        return len(people)


def _need_topic(key: str, topic: str | None, known: set[str]) -> None:
    if topic is None:
        return
    for name in _PLACEHOLDER.findall(topic):
        if name not in known:
            said = f"; known: {', '.join(f'{{{word}}}' for word in sorted(known))}" if known else ""
            raise ValueError(f"{key}: nothing stands for {{{name}}}{said}")
    if _NO_TOPIC.search(topic) or len(topic.encode()) > _LONGEST_TOPIC:
        raise ValueError(f"{key}: a topic is text without + and #, and does not begin with $")


def _filled(topic: str, event: Mapping[str, Any]) -> str:
    site = str(event["source"]).strip("/").partition("/")[0]
    return topic.replace("{stream}", str(event["partitionkey"])).replace("{site}", site)
