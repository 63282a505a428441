import gc
import json
import os
import re
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from pipeline.build import sink as sink_of
from pipeline.cli.main import main
from pipeline.config import load_config
from pipeline.deliver.events import encode
from pipeline.deliver.outbox import Outbox
from pipeline.errors import InputError
from pipeline.registry import build
from pipeline.settings import choose
from tests.servers.kafka import KafkaBroker
from tests.support.hit_events import hit_event
from trainers.evaluate.hits_file import read_events

# kafka-python leaves the sockets of failed connections to the garbage collector
pytestmark = pytest.mark.filterwarnings("ignore:unclosed <s:ResourceWarning")


def hit(number: int) -> dict[str, Any]:
    return {
        "id": f"h{number}-1",
        "type": "musewatch.hit.opened",
        "time": "2026-11-21T07:00:00.120Z",
        "partitionkey": "door",
        "data": {
            "hit_id": f"h{number}",
            "state": "closed",
            "reason": "track_ended",
            "identity": {"id": "p3", "name": "Åsa"},
            "best": {"pts_s": 4.2, "box": [382.5, 13.6, 514.7, 392.1]},
            "decision": {"distance": 0.41},
        },
    }


@pytest.fixture
def file(tmp_path: Path) -> Path:
    path = tmp_path / "hits.jsonl"
    path.write_bytes(b"".join(encode(hit(number)) + b"\n" for number in range(5)))
    return path


def config(folder: Path, *sinks: dict[str, Any]) -> str:
    path = folder / "musewatch.yaml"
    path.write_text(json.dumps({"version": 1, "site": "north-hall", "sinks": sinks}), encoding="utf-8")
    return str(path)


def lines(capsys: pytest.CaptureFixture[str]) -> list[Any]:
    return [json.loads(line) for line in capsys.readouterr().out.splitlines()]


def test_tail_prints_raw_objects_and_stops_at_max(file: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["hits", "tail", "--file", str(file), "--from-start", "--max", "2", "--json"]) == 0
    assert capsys.readouterr().out.encode() == encode(hit(0)) + b"\n" + encode(hit(1)) + b"\n"


def test_tail_stops_after_quiet_seconds(file: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["hits", "tail", "--file", str(file), "--from-start", "--timeout", "0.2", "--json"]) == 0
    assert lines(capsys) == [hit(number) for number in range(5)]
    assert main(["hits", "tail", "--file", str(file), "--timeout", "0", "--json"]) == 0
    assert lines(capsys) == []


def test_tail_for_people(file: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["hits", "tail", "--file", str(file), "--from-start", "--max", "1"]) == 0
    head, row = capsys.readouterr().out.splitlines()
    assert head.split() == ["time", "stream", "state", "identity", "distance", "where"]
    for part in ("2026-11-21T07:00:00.120Z", "door", "closed: track_ended", "p3 Åsa", "0.410", "at 382,14"):
        assert part in row
    assert row.index("door") == head.index("stream")


def test_tail_tells_people_which_track_a_hit_went_on_with(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    event = hit(1)
    event["data"] |= {"track_id": 9, "continued_from": 7}
    (tmp_path / "hits.jsonl").write_bytes(encode(event) + b"\n")
    assert main(["hits", "tail", "--file", str(tmp_path / "hits.jsonl"), "--from-start", "--max", "1"]) == 0
    assert capsys.readouterr().out.rstrip().endswith("4.20 s, track 9 after 7")


@pytest.mark.parametrize(
    "data", [{"hit_id": "x1"}, None, 7, "text", [], {**hit(1)["data"], "decision": {"distance": "far"}}]
)
def test_tail_shows_what_it_can_of_a_foreign_event(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], data: Any
) -> None:
    foreign = {"type": "com.example.seen", "partitionkey": "yard", "data": data}
    (tmp_path / "x.jsonl").write_bytes(encode(foreign) + b"\n")
    assert main(["hits", "tail", "--file", str(tmp_path / "x.jsonl"), "--from-start", "--max", "1"]) == 0
    assert capsys.readouterr().out.splitlines()[1].split() == ["yard", "com.example.seen"]


def test_tail_shows_no_character_that_could_change_what_is_seen(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    event = hit(1)
    event["data"]["identity"]["name"] = "\x1b[2Janna\u202e\u2028\nluca"
    (tmp_path / "x.jsonl").write_bytes(encode(event) + b"\n")
    assert main(["hits", "tail", "--file", str(tmp_path / "x.jsonl"), "--from-start", "--max", "1"]) == 0
    assert "\ufffd[2Janna\ufffd\ufffd\ufffdluca" in capsys.readouterr().out.split("\n")[1]


def test_tail_reads_the_first_sink_of_the_config_that_can_be_read(
    file: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = config(tmp_path, {"use": "webhook", "url": "http://h/"}, {"use": "jsonl", "path": "hits.jsonl"})
    assert main(["hits", "tail", "-c", path, "--from-start", "--max", "1", "--json"]) == 0
    captured = capsys.readouterr()
    assert json.loads(captured.out) == hit(0)
    assert "reading from sinks.1: jsonl" in captured.err


def test_tail_reads_no_form_of_others(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    sink = {"use": "jsonl", "path": "hits.jsonl", "as": "frigate"}
    assert main(["hits", "tail", "-c", config(tmp_path, sink), "--from-start", "--max", "1"]) == 2
    assert "sinks.0 (jsonl) has as: frigate. hits are read back as: hit alone" in capsys.readouterr().err
    path = config(tmp_path, sink, {"use": "jsonl", "path": "events.jsonl"})
    assert main(["hits", "tail", "-c", path, "--from-start", "--timeout", "0", "--json"]) == 0
    assert "reading from sinks.1: jsonl" in capsys.readouterr().err


@pytest.mark.parametrize("form", ["frigate", "nv", "nv_minimal", "onvif"])
def test_a_file_in_a_form_of_others_is_refused(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], form: str
) -> None:
    made = load_config(Path(config(tmp_path, {"use": "jsonl", "path": "hits.jsonl", "as": form})))
    sink_of(made, 0).publish([hit_event()])
    written = str(tmp_path / "hits.jsonl")
    assert main(["hits", "tail", "--file", written, "--from-start", "--max", "1", "--json"]) == 3
    (said,) = lines(capsys)
    assert not said["ok"]
    assert "not an event" in said["error"]
    with pytest.raises(InputError, match=f"^{re.escape(written)}, line 1: "):
        read_events(Path(written))  # of `evaluate alerts`


@contextmanager
def tailing(*arguments: str) -> Iterator["subprocess.Popen[bytes]"]:
    process = subprocess.Popen(
        [sys.executable, "-c", "from pipeline.cli.entry import run; run()", *arguments],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
    )
    try:
        yield process
    finally:
        process.kill()
        process.communicate()


def test_tail_follows_a_file_while_it_is_written(file: Path, tmp_path: Path) -> None:
    sink = build("sink", choose("jsonl", path=file), tmp_path, "sinks.0")
    with tailing("hits", "tail", "--file", str(file), "--from-start", "--max", "7", "--json") as process:
        assert process.stdout is not None
        found = [json.loads(process.stdout.readline()) for _ in range(5)]
        with file.open("ab") as torn:
            torn.write(encode(hit(5))[:20])
            torn.flush()
        sink.publish([hit(6), hit(7)])
        found += [json.loads(process.stdout.readline()) for _ in range(2)]
        assert process.wait(20) == 0
    assert found == [hit(number) for number in (0, 1, 2, 3, 4, 6, 7)]


def test_tail_of_a_file_begun_anew_goes_on(file: Path, tmp_path: Path) -> None:
    reader = build("sink", choose("jsonl", path=file), tmp_path, "sinks.0").read(from_start=True)
    assert [event["id"] for event in iter(lambda: next(reader), None)] == [f"h{n}-1" for n in range(5)]
    file.write_bytes(encode(hit(9)) + b"\n")
    assert next(reader) == hit(9)


@pytest.mark.parametrize(
    ("arguments", "code", "says"),
    [
        (["--file", "missing.jsonl"], 3, "there is no file missing.jsonl"),
        (["--file", "x", "--bootstrap", "h:1"], 2, "exclude each other"),
        (["-c", "c.yaml", "--bootstrap", "h:1"], 2, "exclude each other"),
        (["-c", "c.yaml", "--topic", "t"], 2, "--topic says nothing without --bootstrap"),
        (["--topic", "t"], 2, "--topic says nothing without --bootstrap"),
        (["--max", "0", "--file", "x"], 2, "--max"),
        (["-c", "missing.yaml"], 2, "there is no file missing.yaml"),
    ],
)
def test_wrong_command_lines(
    arguments: list[str], code: int, says: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["hits", "tail", *arguments]) == code
    assert says in capsys.readouterr().err


def test_a_file_of_something_else_is_refused(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "x.jsonl").write_text("name,age\n", encoding="utf-8")
    assert main(["hits", "tail", "--file", str(tmp_path / "x.jsonl"), "--from-start"]) == 3
    assert "not an event" in capsys.readouterr().err


def test_test_sends_one_event_through_every_sink(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = config(tmp_path, {"use": "jsonl", "path": "a.jsonl"}, {"use": "jsonl", "path": "b.jsonl"})
    assert main(["hits", "test", "-c", path, "--json"]) == 0
    (answer,) = lines(capsys)
    assert answer["sinks"] == [
        {"sink": "jsonl", "ok": True, "error": None},
        {"sink": "jsonl-2", "ok": True, "error": None},
    ]
    (event,) = map(json.loads, (tmp_path / "a.jsonl").read_bytes().splitlines())
    assert event["type"] == "musewatch.test"
    assert event["source"] == "/north-hall/test"
    assert (tmp_path / "a.jsonl").read_bytes() == (tmp_path / "b.jsonl").read_bytes()


def test_test_exits_4_unless_all_confirm(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = config(
        tmp_path, {"use": "webhook", "url": "http://127.0.0.1:9"}, {"use": "jsonl", "path": "a.jsonl"}
    )
    assert main(["hits", "test", "-c", path, "--json"]) == 4
    (answer,) = lines(capsys)
    assert [row["ok"] for row in answer["sinks"]] == [False, True]
    assert "Connection refused" in answer["sinks"][0]["error"]
    assert main(["hits", "test", "-c", path]) == 4
    assert "Connection refused" in capsys.readouterr().out


def test_what_was_refused_is_listed_and_sent_again_beside_a_run(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = config(tmp_path, {"use": "webhook", "url": "http://127.0.0.1:9"})
    assert main(["hits", "refused", "-c", path, "--json"]) == 0
    assert lines(capsys) == [{"refused": [], "sent_again": 0}]
    held_by_a_run = Outbox(tmp_path / "data" / "outbox.db", ("webhook",))
    held_by_a_run.append([hit(1), hit(2)])
    held_by_a_run.refuse("webhook", 1, "webhook http://127.0.0.1:9: 400 Bad Request")
    assert main(["hits", "refused", "-c", path]) == 0
    out = capsys.readouterr().out
    assert "h1-1" in out
    assert "400 Bad Request" in out
    assert out.endswith("refused: 1\n")
    assert main(["hits", "refused", "-c", path, "--send-again", "--json"]) == 0
    (answer,) = lines(capsys)
    assert ([row["id"] for row in answer["refused"]], answer["sent_again"]) == (["h1-1"], 1)
    assert [row.event["id"] for row in held_by_a_run.take("webhook", 9)] == ["h1-1", "h2-1"]
    held_by_a_run.close()


@pytest.mark.kafka
def test_tail_and_test_on_kafka(
    kafka_broker: KafkaBroker, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    topic = tmp_path.name
    path = config(tmp_path, {"use": "kafka", "bootstrap": kafka_broker.bootstrap, "topic": topic})
    assert main(["hits", "test", "-c", path]) == 0
    capsys.readouterr()
    for source in (["-c", path], ["--bootstrap", kafka_broker.bootstrap, "--topic", topic]):
        assert main(["hits", "tail", *source, "--from-start", "--max", "1", "--json"]) == 0
        assert lines(capsys)[0]["type"] == "musewatch.test"
    gc.collect()


def test_tail_ends_quietly_when_its_reader_goes(file: Path) -> None:
    with tailing("hits", "tail", "--file", str(file), "--from-start", "--json") as process:
        assert process.stdout is not None
        assert process.stderr is not None
        assert json.loads(process.stdout.readline()) == hit(0)
        process.stdout.close()
        until_s = time.monotonic() + 20
        while process.poll() is None and time.monotonic() < until_s:
            with file.open("ab") as more:
                more.write(encode(hit(9)) + b"\n")
            time.sleep(0.1)
        assert process.returncode == 0
        assert process.stderr.read() == b""
        process.stdout = open(os.devnull, "rb")  # noqa: SIM115 - closed by communicate
