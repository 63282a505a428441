"""A receiver with bad habits: none of them holds up the sink for longer than it may take, or loses an event."""

import json
import socket
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

import pytest

from pipeline import registry
from pipeline.config import choose
from pipeline.deliver.events import CONTENT_TYPE
from pipeline.deliver.forms import Form, projected
from pipeline.errors import ConfigError, OutsideError, RefusedError
from tests.support.hit_events import hit_event

NO_CONTENT = b"HTTP/1.1 204 No Content\r\n\r\n"
ENDS = threading.Event()


def drip(first: bytes, again: bytes, pause_s: float) -> Callable[[socket.socket], None]:
    """An answer without an end."""

    def answer(client: socket.socket) -> None:
        client.sendall(first)
        while not ENDS.wait(pause_s):
            client.sendall(again)

    return answer


def event(number: int) -> dict[str, Any]:
    return {"id": f"h{number}-1", "partitionkey": "door", "data": {}}


def webhook(url: str, **settings: Any) -> Any:
    return registry.build("sink", choose("webhook", url=url, **settings), Path(), "sinks.0")


@contextmanager
def receiver(*answers: Callable[[socket.socket], None] | bytes | None) -> Iterator[tuple[str, list[bytes]]]:
    """Its address and the requests it got; each answer is for one of them, None hangs up."""
    left, got = list(answers), []

    def talk(client: socket.socket) -> None:
        with client, suppress(OSError):
            while left and (request := _request(client)):
                got.append(request)
                answer = left.pop(0)
                if answer is None:
                    return
                if isinstance(answer, bytes):
                    client.sendall(answer)
                else:
                    answer(client)

    def accept() -> None:
        with suppress(OSError):
            while True:
                talk(server.accept()[0])

    ENDS.clear()
    server = socket.create_server(("127.0.0.1", 0))
    thread = threading.Thread(target=accept)
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.getsockname()[1]}/hook", got
    finally:
        ENDS.set()
        server.shutdown(socket.SHUT_RDWR)
        thread.join()
        server.close()


def _request(client: socket.socket) -> bytes:
    data = b""
    while chunk := client.recv(65536):
        data += chunk
        head, _, body = data.partition(b"\r\n\r\n")
        length = [line for line in head.lower().split(b"\r\n") if line.startswith(b"content-length:")]
        if length and len(body) >= int(length[0].split(b":")[1]):
            break
    return data


def posted(requests: list[bytes]) -> list[str]:
    return [json.loads(request.partition(b"\r\n\r\n")[2])["id"] for request in requests]


@pytest.mark.parametrize(
    "answer",
    [
        drip(b"HTTP/1.1 200 OK\r\nContent-Length: 100000\r\n\r\n", b"x", 0.02),
        drip(b"HTTP/1.1 200 OK\r\n\r\n", b"x", 0.02),
        drip(b"HTTP/1.1 200 OK\r\n", b"X", 0.02),
        drip(b"", b"HTTP/1.1 100 Continue\r\n\r\n", 0.02),
        drip(b"", b"", 0.02),
    ],
    ids=["body", "body without a length", "header", "100 Continue", "silence"],
)
def test_an_answer_that_does_not_end_costs_no_more_than_the_timeout(
    answer: Callable[[socket.socket], None],
) -> None:
    with receiver(answer) as (url, got):
        began_s = time.monotonic()
        with pytest.raises(OutsideError, match=r"webhook http://127.0.0.1:\d+: "):
            webhook(url, timeout_s=0.3).publish([event(1), event(2)])
        assert 0.25 < time.monotonic() - began_s < 10  # it hung for ever
    assert posted(got) == ["h1-1"]


def test_an_answer_of_any_size_is_not_read_to_its_end() -> None:
    with (
        receiver(drip(b"HTTP/1.1 200 OK\r\n\r\n", bytes(1_000_000), 0)) as (url, _),
        pytest.raises(OutsideError, match="more than 1 MB"),
    ):
        webhook(url, timeout_s=60).publish([event(1)])


@pytest.mark.parametrize("size", [b"f" * 20, b"-5"])
def test_an_answer_of_a_size_that_cannot_be_is_the_receivers_fault(size: bytes) -> None:
    answer = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n" + size + b"\r\n"
    with receiver(answer) as (url, _), pytest.raises(OutsideError, match=r"^webhook http://127\.0\.0\.1:"):
        webhook(url).publish([event(1)])


def test_an_answer_that_ends_the_connection_is_read_and_the_next_event_has_a_new_one() -> None:
    answer = b"HTTP/1.1 200 OK\r\nConnection: close\r\nContent-Length: 3\r\n\r\nyes"
    with receiver(answer, answer, NO_CONTENT, NO_CONTENT) as (url, got):
        webhook(url).publish([event(1), event(2), event(3), event(4)])
    assert posted(got) == ["h1-1", "h2-1", "h3-1", "h4-1"]


def conflict(client: socket.socket) -> None:
    client.sendall(b"HTTP/1.1 409 Conflict\r\nContent-Length: 0\r\n\r\n")


def test_a_conflict_with_our_own_repeat_is_a_delivery() -> None:
    """The receiver took the second event, and the line broke before it said so."""
    with receiver(NO_CONTENT, None, conflict, conflict, NO_CONTENT) as (url, got):
        sink = webhook(url)
        with pytest.raises(OutsideError):
            sink.publish([event(1), event(2), event(3)])
        sink.publish([event(1)])
        sink.publish([event(2), event(3)])
    assert posted(got) == ["h1-1", "h2-1", "h1-1", "h2-1", "h3-1"]


def test_a_conflict_with_a_new_event_is_a_refusal_however_often_it_comes() -> None:
    with receiver(conflict, conflict) as (url, _):
        sink = webhook(url)
        for _ in range(2):
            with pytest.raises(RefusedError, match="409"):
                sink.publish([event(1)])


@pytest.mark.parametrize("name", ["Content-Type", "content-type"])
def test_the_operator_s_content_type_takes_the_place_of_ours(name: str) -> None:
    with receiver(NO_CONTENT, NO_CONTENT) as (url, got):
        webhook(url, headers={name: "application/json"}).publish([event(1)])
        webhook(url).publish([event(1)])
    types = [
        [
            line.split(b": ")[1].decode()
            for line in request.split(b"\r\n")
            if line.lower().startswith(b"content-type:")
        ]
        for request in got
    ]
    assert types == [["application/json"], [CONTENT_TYPE]]


@pytest.mark.parametrize(
    ("headers", "said"),
    [
        ({"content-length": "3"}, "'content-length' is set by musewatch"),
        ({"Transfer-Encoding": "chunked"}, "'Transfer-Encoding' is set by musewatch"),
        ({"X-Key": "a", "x-key": "b"}, "'x-key' is given twice"),
        ({"X Key": "a"}, "'X Key' has characters"),
        ({"X-Key": "\u2028s3cret-token"}, "'X-Key' has characters"),
    ],
)
def test_headers_that_cannot_be_sent_are_refused(headers: dict[str, str], said: str) -> None:
    with pytest.raises(ConfigError, match=said) as caught:
        webhook("http://127.0.0.1:9/", headers=headers)
    assert "s3cret" not in str(caught.value)


def test_the_content_type_and_the_body_follow_the_form() -> None:
    form = Form(registry.build("projection", choose("onvif"), Path(), "as"), "onvif")
    with receiver(NO_CONTENT) as (url, got):
        projected(webhook(url), form).publish([hit_event()])
    head, _, body = got[0].partition(b"\r\n\r\n")
    assert b"Content-Type: application/xml" in head
    assert body.startswith(b"<tt:MetadataStream ")
