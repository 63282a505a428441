"""Our sinks against the suites of their role, and what is special about each."""

import gc
import json
import threading
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest

from pipeline import registry
from pipeline.deliver.events import CONTENT_TYPE, encode
from pipeline.errors import BackpressureError, ConfigError, OutsideError, RefusedError
from pipeline.protocols import Readable, Sink
from pipeline.settings import choose
from pipeline.testing import ListSink, contracts
from tests.servers.kafka import KafkaBroker


@dataclass
class Rig:
    """A sink with a view of the other side."""

    sink: Sink
    arrived: Callable[[], list[bytes]]
    breaks_after: Callable[[int], None]
    mends: Callable[[], None]


def events(n: int, start: int = 0) -> list[dict[str, Any]]:
    return [
        {"id": f"h{i}-1", "partitionkey": "door", "data": {"hit_id": f"h{i}", "name": "Åsa", "x": i / 7}}
        for i in range(start, start + n)
    ]


def build(use: str, folder: Path, **settings: Any) -> Any:
    return registry.build("sink", choose(use, **settings), folder, "sinks.0")


def once(lines: Sequence[bytes]) -> list[bytes]:
    """Repeats dropped by id, as consumers do."""
    return list({json.loads(line)["id"]: line for line in reversed(lines)}.values())[::-1]


def jsonl_rig(folder: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Rig]:
    from plugins import sink_jsonl

    path = folder / "deep" / "hits.jsonl"
    real = sink_jsonl._write

    def broken(n: int) -> None:
        def write(handle: int, data: bytes) -> None:
            real(handle, b"".join(data.splitlines(keepends=True)[:n]) + data[-5:])
            raise OSError(28, "No space left on device")

        monkeypatch.setattr(sink_jsonl, "_write", write)

    def lines() -> list[bytes]:
        return path.read_bytes().splitlines() if path.exists() else []

    sink = build("jsonl", folder, path="deep/hits.jsonl")
    yield Rig(sink, lines, broken, lambda: monkeypatch.setattr(sink_jsonl, "_write", real))


@dataclass
class Posts:
    """What a web server got, and what it answers."""

    bodies: list[bytes] = field(default_factory=list)
    headers: list[Mapping[str, str]] = field(default_factory=list)
    left: int | None = None
    answer: tuple[int, dict[str, str]] = (500, {})


@contextmanager
def web_server() -> Iterator[tuple[str, Posts]]:
    posts = Posts()

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers["Content-Length"]))
            code, headers = (204, {}) if posts.left is None or posts.left > 0 else posts.answer
            if code == 204:
                posts.bodies.append(body)
                posts.headers.append(dict(self.headers))
                posts.left = None if posts.left is None else posts.left - 1
            self.send_response(code)
            for name, value in headers.items():
                self.send_header(name, value)
            self.send_header("Content-Length", "0")
            self.end_headers()

        def log_message(self, *_: object) -> None: ...

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    server.daemon_threads = True
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_port}", posts
    finally:
        server.shutdown()
        thread.join()
        server.server_close()


def webhook_rig(folder: Path) -> Iterator[Rig]:
    with web_server() as (url, posts):
        sink = build("webhook", folder, url=f"{url}/hook?x=1")

        def left(n: int | None) -> None:
            posts.left = n

        yield Rig(sink, lambda: list(posts.bodies), left, lambda: left(None))


def all_there(sink: Readable) -> list[bytes]:
    """The events of a topic, up to the first quiet moment after one."""
    found: list[bytes] = []
    quiet = 0
    for event in sink.read(from_start=True):
        if event is not None:
            found.append(encode(event))
        elif found or (quiet := quiet + 1) > 10:
            break
    return found


def kafka_rig(broker: KafkaBroker, folder: Path, topic: str) -> Iterator[Rig]:
    sink = build("kafka", folder, bootstrap=broker.bootstrap, topic=topic, timeout_s=1)

    def broken(_: int) -> None:
        broker.kill()

    yield Rig(sink, lambda: all_there(sink), broken, broker.start)
    sink.close()
    gc.collect()
    if not broker.running:
        broker.start()


# kafka-python leaves the sockets of failed connections to the garbage collector
KAFKA = [pytest.mark.kafka, pytest.mark.filterwarnings("ignore:unclosed <s:ResourceWarning")]
ELSEWHERE = {"mqtt"}  # against a broker of its own: tests/plugins/mqtt
SINKS = [
    pytest.param(name, marks=KAFKA if name == "kafka" else [])
    for name in registry.known("sink")
    if name not in ELSEWHERE
]


@pytest.fixture(params=SINKS)
def rig(request: pytest.FixtureRequest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Rig]:
    if request.param == "jsonl":
        yield from jsonl_rig(tmp_path, monkeypatch)
    elif request.param == "webhook":
        yield from webhook_rig(tmp_path)
    elif request.param == "kafka":
        yield from kafka_rig(request.getfixturevalue("kafka_broker"), tmp_path, tmp_path.name)
    else:
        pytest.fail(f"no rig for the sink {request.param}: add one")


class TestSinks(contracts.SinkContract):
    @pytest.fixture
    def sink(self, rig: Rig) -> Sink:
        return rig.sink

    @pytest.fixture
    def arrived(self, rig: Rig) -> Callable[[], list[str]]:
        return lambda: [json.loads(line)["id"] for line in rig.arrived()]

    def test_events_arrive_whole(self, rig: Rig) -> None:
        rig.sink.publish(events(5))
        assert rig.arrived() == [encode(event) for event in events(5)]


class TestSinksInTrouble(contracts.SinkTroubleContract):
    @pytest.fixture
    def sink(self, rig: Rig) -> Sink:
        return rig.sink

    @pytest.fixture
    def arrived(self, rig: Rig) -> Callable[[], list[str]]:
        return lambda: [json.loads(line)["id"] for line in rig.arrived()]

    @pytest.fixture
    def breaks_after(self, rig: Rig) -> Callable[[int], None]:
        return rig.breaks_after

    @pytest.fixture
    def mends(self, rig: Rig) -> Callable[[], None]:
        return rig.mends


class TestFakeSink(contracts.SinkContract, contracts.ReadableContract, contracts.DeadLettersContract):
    @pytest.fixture
    def sink(self) -> ListSink:
        return ListSink()

    @pytest.fixture
    def arrived(self, sink: ListSink) -> Callable[[], list[str]]:
        return lambda: [event["id"] for event in sink.events]

    @pytest.fixture
    def dead(self, sink: ListSink) -> Callable[[], list[bytes]]:
        return lambda: [encode(event) for event, _ in sink.dead]


@pytest.mark.kafka
@pytest.mark.filterwarnings("ignore:unclosed <s:ResourceWarning")
class TestKafkaIsRead(contracts.ReadableContract):
    @pytest.fixture
    def sink(self, kafka_broker: KafkaBroker, tmp_path: Path) -> Iterator[Any]:
        sink = build("kafka", tmp_path, bootstrap=kafka_broker.bootstrap, topic=tmp_path.name)
        yield sink
        sink.close()


# --- a file -----------------------------------------------------------------------------------------------


@pytest.mark.parametrize("torn", [b'{"id": "h0-1", "da', b"x" * 10_000, b"\xff\xfe"])
def test_a_torn_last_line_is_cut_off(tmp_path: Path, torn: bytes) -> None:
    path = tmp_path / "hits.jsonl"
    whole = encode(events(1)[0]) + b"\n"
    path.write_bytes(whole + torn)
    build("jsonl", tmp_path, path="hits.jsonl").publish(events(1, start=1))
    assert path.read_bytes() == whole + encode(events(1, start=1)[0]) + b"\n"


def test_a_whole_last_line_without_its_end_is_kept(tmp_path: Path) -> None:
    path = tmp_path / "hits.jsonl"
    path.write_bytes(b'{"id":"x"}')
    build("jsonl", tmp_path, path="hits.jsonl").publish(events(1))
    assert path.read_bytes().splitlines() == [b'{"id":"x"}', encode(events(1)[0])]


def test_a_reader_goes_on_in_a_file_that_took_the_place_of_another(tmp_path: Path) -> None:
    path = tmp_path / "hits.jsonl"
    path.write_bytes(b'{"id":"a"}\n')
    events = registry.build("sink", choose("jsonl", path=path), tmp_path, "sinks.0").read(from_start=True)
    assert [next(events), next(events)] == [{"id": "a"}, None]
    path.rename(tmp_path / "hits.jsonl.1")
    assert next(events) is None
    path.write_bytes(b'{"id":"b"}\n{"id":"c"}\n')
    assert [next(events), next(events), next(events)] == [{"id": "b"}, {"id": "c"}, None]
    path.write_bytes(b"")
    assert next(events) is None
    path.write_bytes(b'{"id":"d"}\n')
    assert next(events) == {"id": "d"}


def test_a_folder_is_no_file(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="is a folder"):
        build("jsonl", tmp_path, path=".")


# --- a web address ----------------------------------------------------------------------------------------


def test_a_post_says_what_it_is_and_carries_the_operator_s_headers(tmp_path: Path) -> None:
    with web_server() as (url, posts):
        build("webhook", tmp_path, url=url, headers={"Authorization": "Bearer t0ps3cret"}).publish(events(1))
    assert posts.headers[0]["Content-Type"] == CONTENT_TYPE
    assert posts.headers[0]["Authorization"] == "Bearer t0ps3cret"


@pytest.mark.parametrize(
    ("code", "refused"), [(400, True), (413, True), (422, True), (401, False), (404, False), (500, False)]
)
def test_only_what_is_wrong_with_the_event_itself_is_a_refusal(
    tmp_path: Path, code: int, refused: bool
) -> None:
    with web_server() as (url, posts):
        posts.left, posts.answer = 0, (code, {})
        with pytest.raises(OutsideError, match=str(code)) as caught:
            build("webhook", tmp_path, url=url).publish(events(1))
    assert isinstance(caught.value, RefusedError) is refused


@pytest.mark.parametrize(
    ("code", "headers", "pause_s"),
    [
        (429, {"Retry-After": "7"}, 7.0),
        (503, {"Retry-After": "Wed, 21 Oct 2026 07:28:00 GMT"}, 1.0),
        (503, {}, 1.0),
        (429, {"Retry-After": "99999"}, 300.0),
        (429, {"Retry-After": "-5"}, 1.0),
    ],
)
def test_a_busy_server_is_given_the_time_it_asks_for(
    tmp_path: Path, code: int, headers: dict[str, str], pause_s: float
) -> None:
    with web_server() as (url, posts):
        posts.left, posts.answer = 0, (code, headers)
        with pytest.raises(BackpressureError) as caught:
            build("webhook", tmp_path, url=url).publish(events(1))
    assert caught.value.retry_after_s == pause_s


@pytest.mark.parametrize("code", [200, 299, 302, 400, 500])
def test_only_2xx_is_safe(tmp_path: Path, code: int) -> None:
    with web_server() as (url, posts):
        posts.left, posts.answer = 0, (code, {})
        sink = build("webhook", tmp_path, url=url)
        if 200 <= code < 300:
            sink.publish(events(1))
        else:
            with pytest.raises(OutsideError, match=str(code)):
                sink.publish(events(1))


def test_nobody_there_is_an_outside_error_without_the_path(tmp_path: Path) -> None:
    with pytest.raises(OutsideError, match="Connection refused") as caught:
        build("webhook", tmp_path, url="http://127.0.0.1:9/t0ken").publish(events(1))
    assert "t0ken" not in str(caught.value)


@pytest.mark.parametrize("url", ["ftp://h/x", "file:///etc/passwd", "http://me:secret@h/"])
def test_other_addresses_are_refused(tmp_path: Path, url: str) -> None:
    with pytest.raises(ConfigError, match="url"):
        build("webhook", tmp_path, url=url)


def test_a_header_with_a_line_break_is_refused_without_its_value(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="'Authorization' has a line break") as caught:
        build("webhook", tmp_path, url="http://127.0.0.1:9/", headers={"Authorization": "Bearer t0ps3cret\n"})
    assert "t0ps3cret" not in str(caught.value)
