"""What went into the outbox, what came onto the topic, and the contract's words for the difference.

The outbox forgets what was delivered. So a trigger in its own file writes down every event in the transaction that
takes it: what is in the ledger was in the outbox, whatever died a moment later, and nothing else is.
"""

import json
import sqlite3
import warnings
from collections import defaultdict
from collections.abc import Iterable, Sequence
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

from kafka import KafkaConsumer, TopicPartition

from pipeline.deliver.outbox import Outbox


class Entry(NamedTuple):
    """An event by its id, as it was serialised."""

    id: str
    body: bytes


class Ledger:
    """Everything that was ever in an outbox.

    Args:
        path: The outbox; made here, before the program opens it.
        sinks: As the program will name them.
    """

    def __init__(self, path: Path, sinks: Sequence[str]) -> None:
        Outbox(path, sinks).close()
        self._path = path
        with closing(sqlite3.connect(path)) as db, db:
            db.execute("CREATE TABLE ledger (seq INTEGER PRIMARY KEY, id TEXT, body BLOB)")
            db.execute(
                "CREATE TRIGGER ledger AFTER INSERT ON events BEGIN "
                "INSERT INTO ledger VALUES (new.seq, new.id, new.body); END"
            )

    def entries(self) -> list[Entry]:
        """All of them, in the order in which the outbox took them."""
        with closing(sqlite3.connect(self._path, timeout=10)) as db:
            return [Entry(*row) for row in db.execute("SELECT id, body FROM ledger ORDER BY seq")]

    def opened(self) -> set[str]:
        """Hits that the outbox holds for open."""
        with closing(sqlite3.connect(self._path, timeout=10)) as db:
            return {hit_id for (hit_id,) in db.execute("SELECT hit_id FROM open_hits")}


class Topic:
    """A topic, read on from where the last read ended.

    Args:
        bootstrap: HOST:PORT.
        name: Of the topic.

    Attributes:
        messages: All events so far, repeats included.
        unreadable: Messages that were none.
    """

    def __init__(self, bootstrap: str, name: str) -> None:
        self.messages: list[Entry] = []
        self.unreadable = 0
        self._bootstrap = bootstrap
        self._name = name
        self._next: dict[TopicPartition, int] = {}

    def read(self) -> list[Entry]:
        """Takes what is new; all messages so far. The broker must answer."""
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", ResourceWarning)
            consumer = KafkaConsumer(bootstrap_servers=self._bootstrap, enable_auto_commit=False)
            try:
                self._read_to_the_end(consumer)
            finally:
                consumer.close()
        return self.messages

    def _read_to_the_end(self, consumer: KafkaConsumer) -> None:
        if self._name not in consumer.topics():
            return
        places = [TopicPartition(self._name, number) for number in consumer.partitions_for_topic(self._name)]
        consumer.assign(places)
        for place in places:
            consumer.seek(place, self._next.setdefault(place, 0))
        ends = consumer.end_offsets(places)
        while any(self._next[place] < end for place, end in ends.items()):
            for place, records in consumer.poll(timeout_ms=500).items():
                for record in records:
                    self._next[place] = record.offset + 1
                    self._take(record.value)

    def _take(self, value: bytes | None) -> None:
        try:
            event = json.loads(value or b"")
            entry = Entry(str(event["id"]), bytes(value or b""))
            _ = event["data"]["stream_id"]
        except (ValueError, KeyError, TypeError, RecursionError):
            self.unreadable += 1
        else:
            self.messages.append(entry)


@dataclass(frozen=True, slots=True)
class Findings:
    """What is wrong between an outbox and a topic; all empty = nothing.

    Attributes:
        lost: Ids that were in the outbox and are not on the topic.
        doubled: What is there twice and may be there once: a (hit, revision) under two ids, a (stream, epoch,
            track, identity) with two hits, an id with two payloads.
        disordered: Events that, repeats dropped, stand behind one of their stream that the same outbox took later.
    """

    lost: tuple[str, ...]
    doubled: tuple[str, ...]
    disordered: tuple[str, ...]


def audit(taken: Sequence[Sequence[Entry]], published: Sequence[Entry]) -> Findings:
    """Holds a topic to what each of its outboxes took."""
    there = {entry.id for entry in published}
    lost = tuple(entry.id for entries in taken for entry in entries if entry.id not in there)
    disordered = tuple(wrong for entries in taken for wrong in _disordered(entries, published))
    return Findings(lost, tuple(_doubled(published)), disordered)


def _doubled(published: Iterable[Entry]) -> list[str]:
    payloads, ids, hits = (defaultdict[str, set[object]](set) for _ in range(3))
    for entry in published:
        data = json.loads(entry.body)["data"]
        payloads[f"id {entry.id}: payloads"].add(entry.body)
        ids[f"hit {data['hit_id']}, revision {data['revision']}: ids"].add(entry.id)
        key = data["stream_id"], data["epoch"], data["track_id"], data["identity"]["id"]
        hits[f"{key}: hits"].add(data["hit_id"])
    return [what for kind in (payloads, ids, hits) for what, found in kind.items() if len(found) > 1]


def _disordered(taken: Sequence[Entry], published: Sequence[Entry]) -> list[str]:
    place = {entry.id: i for i, entry in enumerate(taken)}
    last: dict[str, int] = defaultdict(lambda: -1)
    wrong = []
    for entry in _first_of_each(published):
        if entry.id not in place:  # taken since the ledger was read
            continue
        stream = json.loads(entry.body)["partitionkey"]
        if place[entry.id] < last[stream]:
            wrong.append(f"{stream}: {entry.id}")
        last[stream] = place[entry.id]
    return wrong


def _first_of_each(published: Iterable[Entry]) -> list[Entry]:
    first: dict[str, Entry] = {}
    for entry in published:
        first.setdefault(entry.id, entry)
    return list(first.values())


def left_open(published: Iterable[Entry]) -> set[str]:
    """Hits whose last revision on the topic is no close."""
    latest: dict[str, tuple[int, str]] = {}
    for entry in published:
        data = json.loads(entry.body)["data"]
        latest[data["hit_id"]] = max(
            latest.get(data["hit_id"], (0, "")), (data["revision"], str(data["state"]))
        )
    return {hit_id for hit_id, (_, state) in latest.items() if state != "closed"}
