"""The auditor finds what is wrong: it would be worth nothing if it found nothing."""

import json
import sqlite3
from contextlib import closing
from pathlib import Path

import pytest

from pipeline.deliver.outbox import Outbox
from tests.faults.ledger import Entry, Ledger, audit, left_open


def entry(
    hit: str, revision: int, *, stream: str = "door", track: int = 1, id_: str | None = None, **data: object
) -> Entry:
    """An event, as much of it as the auditor reads."""
    id_ = id_ or f"{hit}-{revision}"
    about = {"hit_id": hit, "revision": revision, "state": "opened", "stream_id": stream, "epoch": "e",
             "track_id": track, "identity": {"id": "anna"}}  # fmt: skip
    event = {"id": id_, "partitionkey": stream, "data": {**about, **data}}
    return Entry(id_, json.dumps(event).encode())


def test_repeats_are_allowed() -> None:
    events = [entry("a", 1), entry("a", 2)]
    found = audit([events], [events[0], events[0], events[1], events[0]])
    assert (found.lost, found.doubled, found.disordered) == ((), (), ())


def test_what_is_not_on_the_topic_is_lost() -> None:
    assert audit([[entry("a", 1), entry("a", 2)]], [entry("a", 2)]).lost == ("a-1",)


@pytest.mark.parametrize(
    "twice",
    [
        (entry("a", 1), entry("a", 1, id_="a-1-again")),
        (entry("a", 1), entry("b", 1)),
        (entry("a", 1), entry("a", 1, reason="another payload")),
    ],
    ids=["two ids for one revision", "two hits of one track", "two payloads of one id"],
)
def test_what_may_be_there_once_is_doubled(twice: tuple[Entry, Entry]) -> None:
    assert len(audit([list(twice)], list(twice)).doubled) == 1


def test_order_counts_within_a_stream() -> None:
    first, second, other = entry("a", 1), entry("a", 2), entry("b", 1, stream="yard", track=2)
    assert audit([[first, second, other]], [other, first, second]).disordered == ()
    assert audit([[first, second, other]], [second, first, other]).disordered == ("door: a-1",)


def test_a_hit_without_a_close_is_left_open() -> None:
    closed = entry("b", 9, track=2, state="closed")
    assert left_open([entry("a", 1), entry("b", 1, track=2), closed]) == {"a"}


def test_the_ledger_has_what_the_outbox_has_forgotten_and_nothing_that_it_refused(tmp_path: Path) -> None:
    ledger = Ledger(tmp_path / "outbox.db", ["a"])
    outbox = Outbox(tmp_path / "outbox.db", ["a"])
    event = json.loads(entry("a", 1).body)
    outbox.append([event])
    outbox.done("a", [waiting.seq for waiting in outbox.take("a", 9)])
    with pytest.raises(TypeError):
        outbox.append([json.loads(entry("a", 2).body), {**event, "id": "a-3", "data": {"hit_id": {1, 2}}}])
    outbox.close()
    assert [e.id for e in ledger.entries()] == ["a-1"]
    with closing(sqlite3.connect(tmp_path / "outbox.db")) as db:
        assert db.execute("SELECT count(*) FROM events").fetchone() == (0,)
