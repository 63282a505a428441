"""Tracklets over Kafka: published by `musewatch run`, taken by the members of a consumer group."""

import logging
import threading
from collections.abc import Mapping, Sequence
from contextlib import suppress
from typing import Any

from kafka import ConsumerRebalanceListener, KafkaConsumer, OffsetAndMetadata, TopicPartition
from kafka.errors import (
    CommitFailedError,
    IllegalGenerationError,
    RebalanceInProgressError,
    UnknownMemberIdError,
)
from kafka.structs import MemberState
from pydantic import Field

from pipeline.remote_bus import BusMessage, Delivery
from plugins.kafka.damage import poll_undamaged
from plugins.kafka.link import FAILURES, TOPIC, KafkaLink, explained
from plugins.kafka.sink import KafkaSink, Record
from plugins.kafka.table import SETTINGS, KafkaTable, bus_message

logger = logging.getLogger(__name__)

_HOUR_MS = 3_600_000
_NOT_OURS = (CommitFailedError, IllegalGenerationError, RebalanceInProgressError, UnknownMemberIdError)


class KafkaBus:
    """Topics as in the contract; keys are stream ids, so that one partition has all of a stream, in order.

    Who publishes and who receives are different processes, each of one thread a method. Offsets are committed
    when told to, never by themselves.

    Attributes:
        in_process: False: `run` only publishes, `verify` only receives.
    """

    in_process = False

    class Config(KafkaLink):
        """Keys of this bus."""

        topic: str = Field(default="musewatch.tracklets", pattern=TOPIC)
        dead_letters: str = Field(default="musewatch.dead-letter", pattern=TOPIC)
        watchlist: str = Field(default="musewatch.watchlist", pattern=TOPIC, description="Compacted.")
        group: str = Field(default="musewatch.verify", min_length=1)
        session_timeout_s: float = Field(
            default=10.0, ge=6, le=300, description="A member silent for so long is replaced."
        )
        create_topics: bool = Field(default=True, description="Make topics that are missing.")
        partitions: int = Field(
            default=12, ge=1, le=100_000, description="Of a new tracklet topic: most members."
        )
        retention_h: float = Field(
            default=168.0,
            ge=1,
            le=87_600,
            description="Of new topics of tracklets and dead letters, with pictures of everybody: longest absence of a "
            "member.",
        )
        replication: int | None = Field(
            default=None, ge=1, le=100, description="Of new topics; null = the broker's default."
        )

    def __init__(self, config: Config) -> None:
        self._config = config
        bounded = {"retention.ms": str(int(config.retention_h * _HOUR_MS))}
        self._tracklets = KafkaSink(
            self._topic(config.topic, partitions=config.partitions, topic_configs=bounded)
        )
        self._dead_letters = KafkaSink(self._topic(config.dead_letters, topic_configs=bounded))
        self.watchlist = KafkaTable(
            config,
            config.watchlist,
            KafkaSink(self._topic(config.watchlist, partitions=1, topic_configs=SETTINGS)),
            may_alter=config.create_topics,
        )
        self._consumer: KafkaConsumer | None = None
        self._changes = _Changes()
        self._next: dict[int, int] = {}
        self._seen_below: dict[int, int] = {}  # after a rebalance, which goes back to what was committed
        self._committed: dict[int, int] = {}

    def publish(self, events: Sequence[Mapping[str, Any]]) -> None:
        """Returns when the broker has acknowledged all tracklets.

        Raises:
            BackpressureError: The broker cannot be reached, or does not answer in time.
            OutsideError: It refuses the tracklets, the topic or us.
        """
        self._tracklets.publish(events)

    def receive(self, limit: int, timeout_s: float) -> Delivery:
        """As the protocol says; joins the group at the first call. What is damaged on the broker's disk is left out.

        Raises:
            OutsideError: The broker cannot be reached, or refuses us.
        """
        try:
            consumer = self._consumer or self._join()
            batches = poll_undamaged(consumer, timeout_ms=int(timeout_s * 1000), max_records=limit)
            _mend(consumer)
            lost, gained = self._assigned(consumer)
        except FAILURES as error:
            self._leave()  # what was polled is lost with it, and comes again
            raise explained(error, self._config, self._config.topic) from error
        messages = [
            bus_message(r)
            for records in batches.values()
            for r in records
            if r.offset >= self._seen_below.get(r.partition, 0)
        ]
        for message in messages:
            self._next[message.partition] = message.offset + 1
            self._seen_below.pop(message.partition, None)
        return Delivery(tuple(messages), frozenset(lost), frozenset(gained))

    def commit(self, positions: Mapping[int, int]) -> None:
        """As the protocol says; a partition that is no longer ours is passed over.

        Raises:
            OutsideError: The broker cannot be reached.
        """
        consumer = self._consumer
        new = {p: o for p, o in positions.items() if p in self._next and self._committed.get(p) != o}
        if consumer is None or not new:
            return
        offsets = {
            TopicPartition(self._config.topic, p): OffsetAndMetadata(o, "", -1) for p, o in new.items()
        }
        try:
            consumer.commit(offsets, timeout_ms=self._config.timeout_ms)
        except _NOT_OURS as error:
            logger.debug("not committed, the group is changing: %s", error)
            return
        except FAILURES as error:
            raise explained(error, self._config, self._config.topic) from error
        self._committed |= new

    def refuse(self, message: BusMessage, reason: str) -> None:
        """Puts a message onto the dead-letter topic, unchanged; returns when it is there.

        Raises:
            OutsideError: It is not there; try again.
        """
        headers = (
            ("error", reason.encode()),
            ("origin-topic", message.topic.encode()),
            ("origin-partition", str(message.partition).encode()),
            ("origin-offset", str(message.offset).encode()),
        )
        self._dead_letters.write([Record(message.key, message.value, headers)])

    def lag(self) -> dict[int, int]:
        """Messages on each of our partitions that were not received yet, as far as is known."""
        consumer = self._consumer
        if consumer is None:
            return {}
        ends = {place.partition: consumer.highwater(place) for place in consumer.assignment()}
        return {
            partition: max(0, end - self._next[partition])
            for partition, end in ends.items()
            if end is not None and partition in self._next
        }

    def close(self) -> None:
        """Leaves the group, so that others take over at once."""
        self._leave()
        for part in (self._tracklets, self._dead_letters, self.watchlist):
            part.close()

    def _leave(self) -> None:
        consumer, self._consumer = self._consumer, None
        if consumer is not None:
            with suppress(*FAILURES):
                consumer.close(autocommit=False, timeout_ms=2000)

    def _topic(self, name: str, **shape: Any) -> KafkaSink.Config:
        """Settings of a sink on one of our topics."""
        config = self._config
        shape |= {"topic": name, "create_topic": config.create_topics, "replication": config.replication}
        link = {field: getattr(config, field) for field in KafkaLink.model_fields}
        return KafkaSink.Config.model_validate(link | shape)

    def _join(self) -> KafkaConsumer:
        """Makes the topic, and knows its partitions, before it joins: one rebalance less."""
        self._tracklets.write([])
        session_ms = int(self._config.session_timeout_s * 1000)
        self._consumer = KafkaConsumer(
            **self._config.client_options(),
            group_id=self._config.group,
            enable_auto_commit=False,
            auto_offset_reset="earliest",
            allow_auto_create_topics=False,
            session_timeout_ms=session_ms,
            heartbeat_interval_ms=session_ms // 4,
            max_partition_fetch_bytes=4 << 20,
        )
        self._consumer.partitions_for_topic(self._config.topic)
        self._consumer.subscribe([self._config.topic], listener=self._changes)
        return self._consumer

    def _assigned(self, consumer: KafkaConsumer) -> tuple[set[int], set[int]]:
        """Partitions lost and gained since the last call.

        One that we had before and after a rebalance is kept, unless somebody else has committed for it meanwhile:
        then it is lost and gained.
        """
        if not self._changes.seen():
            return set(), set()
        had, has = set(self._next), {place.partition for place in consumer.assignment()}
        places, wait_ms = {p: TopicPartition(self._config.topic, p) for p in has}, self._config.timeout_ms
        committed = {p: consumer.committed(place, timeout_ms=wait_ms) for p, place in places.items()}
        passed_on = {p for p in had & has if committed[p] != self._committed.get(p, committed[p])}
        lost, gained = (had - has) | passed_on, (has - had) | passed_on
        self._seen_below = {p: self._next[p] for p in (had & has) - passed_on}
        for p in lost:
            del self._next[p]
            self._committed.pop(p, None)
        for p in gained:
            # what was committed, else the first record there is
            self._next[p] = consumer.position(places[p], timeout_ms=wait_ms) or 0
            if committed[p] is not None:
                self._committed[p] = committed[p]
        return lost, gained


def _mend(consumer: KafkaConsumer) -> None:
    """Brings a member back that the library has lost.

    A rebalance that begins with changed metadata is forgotten when a poll ends between its two halves: the member
    neither beats nor receives from then on, and the group waits for it until its session is over.
    """
    coordinator = consumer._coordinator  # noqa: SLF001 - nothing public says or mends it
    if consumer.group_metadata().state == MemberState.REBALANCING and not coordinator.need_rejoin():
        coordinator.request_rejoin()


class _Changes(ConsumerRebalanceListener):  # type: ignore[misc]
    """Notes that the assignment has changed; told by a thread of the library, which must not wait."""

    def __init__(self) -> None:
        self._changed = threading.Event()

    def on_partitions_assigned(self, assigned: object) -> None:
        """A rebalance is over."""
        self._changed.set()

    def on_partitions_revoked(self, revoked: object) -> None:
        """A rebalance begins."""

    def on_partitions_lost(self, lost: object) -> None:
        """We were taken for dead."""
        self._changed.set()

    def seen(self) -> bool:
        """Whether anything has changed since the last call."""
        changed = self._changed.is_set()
        self._changed.clear()
        return changed
