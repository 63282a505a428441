import json
import logging
import os
import signal
import sqlite3
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import closing, suppress
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from pipeline.deliver import outbox as module
from pipeline.deliver.events import encode
from pipeline.deliver.outbox import Outbox
from pipeline.errors import ConfigError, OutboxError, OutboxFullError
from pipeline.store.sqlite import Database, Format
from tests.tools.byte_search import traces

Open = Callable[..., Outbox]


def event(number: int, state: str = "opened", revision: int = 1) -> dict[str, Any]:
    hit_id = f"h{number}"
    return {
        "id": f"{hit_id}-{revision}",
        "type": f"musewatch.hit.{state}",
        "data": {"hit_id": hit_id, "revision": revision, "state": state, "reason": None},
    }


def ids(outbox: Outbox, sink: str = "a", n: int = 100) -> list[str]:
    return [waiting.event["id"] for waiting in outbox.take(sink, n)]


def with_steps(*steps: Sequence[str]) -> Format:
    return replace(module.OUTBOX, steps=steps)


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "data" / "outbox.db"


@pytest.fixture
def open_outbox(path: Path) -> Iterator[Open]:
    opened: list[Outbox] = []

    def make(*sinks: str) -> Outbox:
        opened.append(Outbox(path, sinks or ("a",)))
        return opened[-1]

    yield make
    for outbox in opened:
        outbox.close()


def test_events_wait_in_order_until_every_sink_has_acknowledged(open_outbox: Open) -> None:
    outbox = open_outbox("a", "b")
    outbox.append([event(1), event(2)])
    outbox.append([event(3)])
    assert ids(outbox) == ["h1-1", "h2-1", "h3-1"] == ids(outbox, "b")
    assert ids(outbox, n=2) == ["h1-1", "h2-1"]

    outbox.done("a", [waiting.seq for waiting in outbox.take("a", 2)])
    assert ids(outbox) == ["h3-1"]
    assert ids(outbox, "b") == ["h1-1", "h2-1", "h3-1"]
    assert (outbox.waiting(), outbox.waiting("a"), outbox.waiting("b")) == (3, 1, 3)

    for sink in ("a", "b"):
        outbox.done(sink, [waiting.seq for waiting in outbox.take(sink, 9)])
    assert outbox.waiting() == 0


def test_what_waits_is_there_after_a_restart(open_outbox: Open) -> None:
    first = open_outbox()
    first.append([event(1), event(2)])
    first.done("a", [first.take("a", 1)[0].seq])
    first.close()
    assert ids(open_outbox()) == ["h2-1"]


def test_an_id_that_waits_is_not_taken_twice(open_outbox: Open) -> None:
    outbox = open_outbox()
    outbox.append([event(1)])
    outbox.append([event(1), event(2)])
    assert ids(outbox) == ["h1-1", "h2-1"]


def test_rows_of_a_sink_no_longer_configured_go_with_a_warning(
    open_outbox: Open, caplog: pytest.LogCaptureFixture
) -> None:
    first = open_outbox("a", "b")
    first.append([event(1), event(2)])
    first.close()
    with caplog.at_level(logging.WARNING):
        second = open_outbox("a", "c")
    assert [record.getMessage() for record in caplog.records] == [
        "2 events waited for sink b, which is not configured: dropped"
    ]
    assert ids(second, "b") == []
    assert ids(second, "c") == []
    second.append([event(3)])
    assert ids(second, "a") == ["h1-1", "h2-1", "h3-1"]
    assert ids(second, "c") == ["h3-1"]


def test_an_event_that_waited_for_a_sink_that_is_gone_goes_with_it(open_outbox: Open) -> None:
    first = open_outbox("a", "b")
    first.append([event(1), event(2)])
    first.done("a", [waiting.seq for waiting in first.take("a", 1)])
    first.close()
    second = open_outbox("a")
    assert [waiting.event["id"] for waiting in second.after(0, 9)] == ["h2-1"]
    second.append([event(1)])
    assert ids(second) == ["h2-1", "h1-1"], "one that went may come again"


def test_without_sinks_nothing_piles_up(path: Path) -> None:
    outbox = Outbox(path, ())
    outbox.append([event(1)])
    assert outbox.waiting() == 0
    outbox.close()


def test_hits_left_open_are_closed_once_from_their_last_event(open_outbox: Open) -> None:
    first = open_outbox()
    first.append([event(1), event(2), event(3)])
    first.append([event(1, "updated", 4), event(2, "closed", 5), event(4), event(4, "retracted", 2_000_002)])
    first.done("a", [waiting.seq for waiting in first.take("a", 9)])
    first.close()

    second = open_outbox()
    closes = second.close_interrupted()
    assert {close["id"] for close in closes} == {"h1-1000004", "h3-1000001"}
    assert {close["data"]["reason"] for close in closes} == {"interrupted"}
    assert sorted(ids(second)) == ["h1-1000004", "h3-1000001"]
    assert second.close_interrupted() == []


def test_append_is_all_or_nothing(open_outbox: Open) -> None:
    outbox = open_outbox()
    bad = event(2)
    bad["data"]["distance"] = float("inf")
    with pytest.raises(ValueError, match="not JSON compliant"):
        outbox.append([event(1), bad])
    assert outbox.waiting() == 0
    assert outbox.close_interrupted() == []


def test_a_full_disk_loses_nothing_and_is_not_the_end(open_outbox: Open) -> None:
    outbox = open_outbox()
    pages = outbox._file._connection.execute("PRAGMA page_count").fetchone()[0]
    outbox._file._connection.execute(f"PRAGMA max_page_count = {pages + 20}")
    taken = 0
    with suppress(OutboxError):
        while taken < 10_000:
            outbox.append([event(taken) | {"filler": "x" * 500}])
            taken += 1
    with pytest.raises(OutboxFullError, match="full"):
        outbox.append([event(taken) | {"filler": "x" * 500}])
    assert 0 < taken < 10_000
    assert outbox.waiting() == taken

    outbox.done("a", [waiting.seq for waiting in outbox.take("a", taken)])
    outbox.append([event(taken)])
    assert ids(outbox) == [f"h{taken}-1"]


def test_a_locked_file_is_an_outside_error(open_outbox: Open, path: Path) -> None:
    outbox = open_outbox()
    outbox._file._connection.execute("PRAGMA busy_timeout = 10")
    other = sqlite3.connect(path, isolation_level=None)
    other.execute("BEGIN IMMEDIATE")
    with pytest.raises(OutboxError, match="locked"):
        outbox.append([event(1)])
    other.execute("ROLLBACK")
    other.close()
    outbox.append([event(1)])
    assert ids(outbox) == ["h1-1"]


def test_two_processes_do_not_share_an_outbox(open_outbox: Open) -> None:
    open_outbox()
    with pytest.raises(ConfigError, match="another musewatch is running") as refused:
        open_outbox()
    assert "data_dir" in (refused.value.fix or "")


def test_its_files_are_for_this_user_alone_and_without_a_lock_it_says_so(
    open_outbox: Open, path: Path
) -> None:
    open_outbox().close()
    assert {file.stat().st_mode & 0o777 for file in path.parent.iterdir()} == {0o600}
    lock = path.with_suffix(".lock")
    lock.unlink()
    lock.mkdir()
    with pytest.raises(OutboxError, match=f"{path.parent} cannot be written: "):
        open_outbox()


def test_a_closed_outbox_says_so(open_outbox: Open) -> None:
    outbox = open_outbox()
    outbox.close()
    outbox.close()
    with pytest.raises(OutboxError, match="closed database"):
        outbox.append([event(1)])


def test_threads_share_one(open_outbox: Open) -> None:
    outbox = open_outbox()

    def fill(k: int) -> None:
        for i in range(20):
            outbox.append([event(100 * k + i)])

    threads = [threading.Thread(target=fill, args=(k,)) for k in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    found = ids(outbox)
    assert len(found) == 80
    for k in range(4):
        own = [i for i in found if 100 * k <= int(i[1:-2]) < 100 * k + 100]
        assert own == [f"h{100 * k + i}-1" for i in range(20)]


def test_an_older_file_migrates_and_a_newer_one_is_refused(
    open_outbox: Open, monkeypatch: pytest.MonkeyPatch
) -> None:
    old = open_outbox()
    old.append([event(1)])
    old.close()
    with monkeypatch.context() as patch:
        patch.setattr(module, "OUTBOX", with_steps(*module.OUTBOX.steps, ("CREATE TABLE later (x)",)))
        newer = open_outbox()
        assert ids(newer) == ["h1-1"]
        newer._file._connection.execute("SELECT x FROM later")
        newer.close()
    with pytest.raises(ConfigError, match="outbox format 4; this musewatch knows formats up to 3"):
        open_outbox()


def test_a_file_from_before_refusals_is_taken_up(
    open_outbox: Open, path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with monkeypatch.context() as patch:
        patch.setattr(module, "OUTBOX", with_steps(*module.OUTBOX.steps[:1]))
        with closing(Database(path, module.OUTBOX)) as older, older.changing() as db:
            db.execute("INSERT INTO events (id, body) VALUES ('h1-1', ?)", (encode(event(1)),))
            db.execute("INSERT INTO pending VALUES ('a', 1)")
    newer = open_outbox()
    assert ids(newer) == ["h1-1"]
    newer.refuse("a", 1, "no")
    assert newer.refused() == {"a": 1}


def test_what_is_refused_stays_and_lets_the_others_pass(open_outbox: Open, path: Path) -> None:
    outbox = open_outbox("a", "b")
    outbox.append([event(1), event(2), event(3)])
    outbox.refuse("a", outbox.take("a", 9)[1].seq, "too large")
    assert ids(outbox) == ["h1-1", "h3-1"]
    assert ids(outbox, "b") == ["h1-1", "h2-1", "h3-1"]
    for sink in ("a", "b"):
        outbox.done(sink, [waiting.seq for waiting in outbox.take(sink, 9)])
    outbox.append([event(2)])  # made again by somebody who does not know
    assert (outbox.waiting(), outbox.refused(), ids(outbox)) == (1, {"a": 1}, [])
    outbox.close()

    again = open_outbox("a", "b")
    assert [(r.sink, r.event["id"], r.reason) for r in module.refused(path)] == [("a", "h2-1", "too large")]
    again.append([event(4)])
    assert module.send_again(path) == 1
    assert ids(again) == ["h2-1", "h4-1"]
    again.done("a", [waiting.seq for waiting in again.take("a", 9)])
    assert (again.refused(), module.refused(path), ids(again, "b")) == ({}, [], ["h4-1"])


def test_what_was_delivered_is_forgotten_on_the_disk_too(open_outbox: Open, path: Path) -> None:
    outbox = open_outbox()
    outbox.append([event(1) | {"name": "Anna Karenina"}])
    assert any(traces(path.parent, {"name": b"Anna Karenina"}).values())
    outbox.done("a", [1])
    outbox.leave_open_hits()
    outbox.forget_delivered()
    assert traces(path.parent, {"name": b"Anna Karenina"}) == {"name": []}


def test_where_there_is_no_outbox_nothing_was_refused(path: Path) -> None:
    assert (module.refused(path), module.send_again(path), path.exists()) == ([], 0, False)


def test_progress_is_up_to_the_oldest_that_any_sink_lacks(open_outbox: Open) -> None:
    outbox = open_outbox("a", "b")
    assert outbox.progress() == (0, 0)
    outbox.append([event(1), event(2), event(3)])
    assert outbox.progress() == (3, 0)
    outbox.done("a", [1, 2, 3])
    outbox.done("b", [1])
    assert outbox.progress() == (3, 1)
    outbox.refuse("b", 2, "no")
    assert outbox.progress() == (3, 2)
    outbox.done("b", [3])
    assert outbox.progress() == (3, 3)


def test_a_file_is_no_larger_than_allowed_and_smaller_events_make_room(path: Path) -> None:
    outbox = Outbox(path, ("a",), max_mb=1.0)
    number = 0
    with suppress(OutboxFullError):
        while number < 1000:
            outbox.append([event(number) | {"filler": "x" * 50_000}])
            number += 1
    assert number < 1000
    assert 0.9e6 < outbox.size_bytes() <= 1e6
    oldest = outbox.after(0, 2)
    outbox.replace([row._replace(event=event(i)) for i, row in enumerate(oldest)])
    outbox.append([event(number) | {"filler": "x" * 50_000}])
    assert outbox.size_bytes() <= 1e6
    assert [row.event for row in outbox.take("a", 2)] == [event(0), event(1)]
    assert outbox.after(oldest[-1].seq, 1) == outbox.take("a", 3)[2:]
    outbox.close()


def test_a_file_that_is_no_database_is_named(open_outbox: Open, path: Path) -> None:
    path.parent.mkdir()
    path.write_bytes(b"not a database " * 100)
    with pytest.raises(ConfigError, match=r"outbox\.db is damaged or no outbox"):
        open_outbox()


def test_the_order_of_power_loss_safety_is_set(open_outbox: Open) -> None:
    outbox = open_outbox()
    assert outbox._file._connection.execute("PRAGMA journal_mode").fetchone()[0] == "wal"
    assert outbox._file._connection.execute("PRAGMA synchronous").fetchone()[0] == 2  # FULL


KILLED = """
import json, sys
from pathlib import Path
from pipeline.deliver.outbox import Outbox

outbox = Outbox(Path(sys.argv[1]), ("a",))
number = 0
while True:
    number += 1
    data = {"hit_id": f"h{number}", "revision": 1, "state": "opened"}
    outbox.append([{"id": f"h{number}-1", "data": data}])
    print("appended", number, flush=True)
    if number % 3 == 0:
        taken = outbox.take("a", 2)
        print("published", json.dumps([waiting.event["id"] for waiting in taken]), flush=True)
        outbox.done("a", [waiting.seq for waiting in taken])
"""


def test_kill_9_between_append_and_done_loses_nothing(open_outbox: Open, path: Path) -> None:
    process = subprocess.Popen(
        [sys.executable, "-c", KILLED, str(path)],
        stdout=subprocess.PIPE,
        text=True,
        env={**os.environ, "PYTHONPATH": "."},
    )
    assert process.stdout is not None
    lines = [process.stdout.readline() for _ in range(60)]
    process.send_signal(signal.SIGKILL)
    lines += process.stdout.readlines()
    process.stdout.close()
    process.wait()

    appended = {f"h{line.split()[1]}-1" for line in lines if line.startswith("appended")}
    published = {
        name for line in lines if line.startswith("published") for name in json.loads(line.split(None, 1)[1])
    }
    outbox = open_outbox()
    waiting = ids(outbox, n=10_000)
    assert appended <= published | set(waiting)
    assert waiting == sorted(waiting, key=lambda name: int(name[1:-2]))
    assert len(outbox.close_interrupted()) >= len(appended)
