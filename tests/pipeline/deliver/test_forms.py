"""Sinks that are handed events in another form: what they see, and what a projection that fails costs."""

import json
import logging
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import pytest

from pipeline import build
from pipeline.config import parse_config
from pipeline.deliver.events import CONTENT_TYPE, encode
from pipeline.deliver.forms import Document, Form, bytes_of, content_type_of, event_of, projected
from pipeline.deliver.outbox import Outbox, refused
from pipeline.deliver.relay import Relay
from pipeline.desk.check import check
from pipeline.errors import ConfigError, UnknownPluginError, UnsayableError
from pipeline.protocols import DeadLetters, Readable
from tests.support.hit_events import hit_event


class Numbers:
    """Says the number of a hit; fails where told to."""

    content_type: Any = "application/x-number"

    def __init__(self, *fails: str) -> None:
        self.fails = fails

    def project(self, event: Mapping[str, Any]) -> Mapping[str, Any] | None:
        if event["id"] in self.fails:
            raise KeyError("probability")
        return None if event["data"]["state"] == "updated" else {"number": event["data"]["hit_id"]}


class Text(Numbers):
    def encode(self, document: Mapping[str, Any]) -> bytes:
        return f"number {document['number']}".encode()


class KeepingSink:
    """Keeps what it is handed, and what is set aside."""

    def __init__(self) -> None:
        self.documents: list[Mapping[str, Any]] = []
        self.aside: list[tuple[Any, str]] = []
        self.calls = self.started = self.closed = 0

    def publish(self, events: Sequence[Mapping[str, Any]]) -> None:
        self.calls += 1
        self.documents += events

    def set_aside(self, event: Mapping[str, Any], reason: str) -> None:
        self.aside.append((event, reason))

    def start(self) -> None:
        self.started += 1

    def close(self) -> None:
        self.closed += 1


@pytest.fixture
def outbox(tmp_path: Path) -> Iterator[Outbox]:
    outbox = Outbox(tmp_path / "outbox.db", ("a",))
    yield outbox
    outbox.close()


def run(outbox: Outbox, sink: Any) -> float:
    """Until nothing waits; the seconds that passed, by the relay's own clock."""
    relay, now_s = Relay(outbox, sink, "a", batch=8), 0.0
    for _ in range(200):
        due_s = relay.step(now_s)
        if relay.idle:
            return now_s
        now_s = due_s
    raise AssertionError("never idle")


def test_a_sink_is_handed_documents_with_their_events() -> None:
    sink = KeepingSink()
    projected(sink, Form(Numbers(), "numbers")).publish([hit_event(), hit_event(number=2)])
    first = sink.documents[0]
    assert sink.documents == [{"number": "h1"}, {"number": "h2"}]
    assert json.dumps(first) == '{"number": "h1"}', "a sink that writes JSON writes the form"
    assert (bytes_of(first), content_type_of(first)) == (b'{"number":"h1"}', "application/x-number")
    assert event_of(first) == hit_event()


def test_a_projection_may_write_something_else_than_json() -> None:
    sink = KeepingSink()
    projected(sink, Form(Text(), "text")).publish([hit_event()])
    assert bytes_of(sink.documents[0]) == b"number h1"


def test_of_an_event_all_is_as_ever() -> None:
    event = hit_event()
    assert (bytes_of(event), content_type_of(event), event_of(event)) == (encode(event), CONTENT_TYPE, event)


def test_what_the_form_has_no_words_for_is_left_out_and_counts_as_delivered(outbox: Outbox) -> None:
    sink = KeepingSink()
    outbox.append([hit_event(), hit_event("updated"), hit_event("closed")])
    run(outbox, projected(sink, Form(Numbers(), "numbers")))
    assert [event_of(document)["id"] for document in sink.documents] == ["h1-1", "h1-3"]
    assert outbox.waiting() == 0


def test_an_event_that_cannot_be_said_costs_one_refusal_and_no_time(
    outbox: Outbox, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    sink = KeepingSink()
    events = [hit_event(number=number) for number in range(30)]
    outbox.append(events)
    with caplog.at_level(logging.WARNING):
        seconds = run(outbox, projected(sink, Form(Numbers("h3-1", "h17-1", "h18-1"), "numbers")))
    reason = "the event cannot be said as numbers: KeyError: 'probability'"
    bad = [events[3], events[17], events[18]]
    assert [event_of(document) for document in sink.documents] == [e for e in events if e not in bad]
    assert [(row.event, row.reason) for row in refused(tmp_path / "outbox.db")] == [(e, reason) for e in bad]
    assert sink.aside == [(event, reason) for event in bad], "the event as it was"
    assert seconds == 0.0
    assert [record.levelname for record in caplog.records] == ["ERROR"] * 3


@pytest.mark.parametrize(
    "content",
    [{"number": float("nan")}, {"number": object()}, ["a list"], 7],
    ids=["nan", "object", "list", "int"],
)
def test_nonsense_of_a_projection_is_refused(content: Any) -> None:
    class Nonsense(Numbers):
        def project(self, event: Mapping[str, Any]) -> Any:
            return content

    with pytest.raises(UnsayableError, match=r"^the event cannot be said as numbers: "):
        Form(Nonsense(), "numbers").document(hit_event())


def test_a_projection_must_say_its_media_type() -> None:
    projection = Numbers()
    projection.content_type = None
    with pytest.raises(ConfigError, match=r"projection 'numbers'.*content_type"):
        Form(projection, "numbers")


def test_start_close_and_dead_letters_reach_the_sink_behind(outbox: Outbox) -> None:
    sink = KeepingSink()
    wrapped = projected(sink, Form(Numbers(), "numbers"))
    relay = Relay(outbox, wrapped, "a")
    relay.start()
    relay.close()
    assert (sink.started, sink.closed) == (1, 1)
    assert isinstance(wrapped, DeadLetters)


def config(folder: Path, *sinks: dict[str, Any]) -> Any:
    return parse_config({"version": 1, "sinks": list(sinks)}, folder, "c.yaml")


def test_any_sink_takes_a_form(tmp_path: Path) -> None:
    sinks = build.sinks(
        config(
            tmp_path,
            {"use": "jsonl", "path": "a.jsonl", "as": "nv"},
            {"use": "jsonl", "path": "b.jsonl", "as": "onvif"},
            {"use": "jsonl", "path": "c.jsonl", "as": "hit"},
            {"use": "jsonl", "path": "d.jsonl"},
        )
    )
    for sink in sinks.values():
        sink.publish([hit_event()])
    assert json.loads((tmp_path / "a.jsonl").read_bytes())["object"]["info"]["identity"] == "p3"
    assert (tmp_path / "b.jsonl").read_bytes().startswith(b"<tt:MetadataStream ")
    assert (
        (tmp_path / "c.jsonl").read_bytes()
        == (tmp_path / "d.jsonl").read_bytes()
        == encode(hit_event()) + b"\n"
    )
    assert [isinstance(sink, Readable) for sink in sinks.values()] == [False, False, True, True]


def test_an_unknown_form_is_refused_with_the_nearest(tmp_path: Path) -> None:
    said = r"sinks\.0\.as: no projection is called 'frigat'; known: frigate, .*; did you mean 'frigate'\?"
    made = config(tmp_path, {"use": "jsonl", "path": "a.jsonl", "as": "frigat"})
    with pytest.raises(UnknownPluginError, match=said):
        build.sinks(made)
    problems = {problem.where: problem.problem for problem in check(made).problems}
    assert "did you mean 'frigate'?" in problems["sinks.0"]


def test_a_document_is_a_dictionary_of_its_own() -> None:
    document = Document({"a": 1}, hit_event(), "application/json", b"{}")
    assert dict(document) == {"a": 1}
