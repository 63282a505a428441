"""A small server that answers chats as vLLM's documentation says, or as no server should."""

import base64
import json
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import cv2
import numpy as np

TOKENS = {"Yes": 263, "No": 77}


class Stub(ThreadingHTTPServer):
    """Its answers by `how`; `requests` are the chats it got, with their headers."""

    daemon_threads = True

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), _Handler)
        self.how = "well"
        self.times = 10**9  # for so many chats; then well
        self.tokenizer = True
        self.requests: list[tuple[dict[str, Any], dict[str, str]]] = []
        self.released = threading.Event()

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.server_address[1]}/v1"


@contextmanager
def stub() -> Iterator[Stub]:
    """A server on loopback until the end of the block."""
    server = Stub()
    with serving(server):
        yield server


@contextmanager
def serving(server: Stub) -> Iterator[None]:
    """It answers until the end of the block."""
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True)
    thread.start()
    try:
        yield
    finally:
        server.released.set()
        server.shutdown()
        server.server_close()
        thread.join()


def pictures(chat: dict[str, Any]) -> list[np.ndarray[Any, Any]]:
    """The pictures of a chat, opened."""
    urls = [
        part["image_url"]["url"] for part in chat["messages"][-1]["content"] if part["type"] == "image_url"
    ]
    data = [base64.b64decode(url.removeprefix("data:image/png;base64,"), validate=True) for url in urls]
    return [cv2.imdecode(np.frombuffer(each, np.uint8), cv2.IMREAD_COLOR) for each in data]


def logprobs(chat: dict[str, Any]) -> tuple[float, float]:
    """What it says of Yes and No: by how much two pictures differ."""
    first, second = (float(picture.mean()) for picture in pictures(chat))
    return -abs(first - second) / 50 - 0.1, -3.0


class _Handler(BaseHTTPRequestHandler):
    server: Stub
    protocol_version = "HTTP/1.1"

    def do_POST(self) -> None:
        body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        if self.path == "/tokenize":
            self._tokenize(body["prompt"])
            return
        assert self.path == "/v1/chat/completions"
        self.server.requests.append((body, dict(self.headers)))
        how = self.server.how if len(self.server.requests) <= self.server.times else "well"
        getattr(self, f"_answer_{how}")(body)

    def log_message(self, *_: Any) -> None:
        """Says nothing."""

    def _tokenize(self, word: str) -> None:
        if self.server.tokenizer:
            self._send(200, json.dumps({"count": 1, "tokens": [TOKENS[word]]}))
        else:
            self._send(404, '{"detail": "Not Found"}')

    def _send(self, status: int, text: str, length: int | None = None) -> None:
        self.send_response(status)
        self.send_header("Content-Length", str(len(text) if length is None else length))
        self.end_headers()
        self.wfile.write(text.encode())

    def _say(self, found: list[tuple[str, float]]) -> None:
        entries = [{"token": token, "logprob": logprob, "bytes": None} for token, logprob in found]
        content = [{**entries[0], "top_logprobs": entries}] if entries else []
        message = {"role": "assistant", "content": "Yes"}
        self._send(200, json.dumps({"choices": [{"message": message, "logprobs": {"content": content}}]}))

    def _answer_well(self, chat: dict[str, Any]) -> None:
        yes, no = logprobs(chat)
        if "logprob_token_ids" in chat:
            assert chat["return_tokens_as_token_ids"]
            assert chat["logprob_token_ids"] == list(TOKENS.values())
            self._say([("token_id:9", -0.01), ("token_id:77", no), ("token_id:263", yes)])
        else:
            self._say([("Hello", -0.01), ("No", no), ("Yes", yes)][: chat["top_logprobs"]])

    def _answer_other_tokens(self, _: Any) -> None:
        self._say([("token_id:9", -0.01), ("token_id:77", -3.0)])

    def _answer_nan(self, _: Any) -> None:
        self._say([("token_id:263", float("nan")), ("token_id:77", -3.0)])

    def _answer_nothing(self, _: Any) -> None:
        self._say([])

    def _answer_no_json(self, _: Any) -> None:
        self._send(200, "<html>")

    def _answer_a_list(self, _: Any) -> None:
        self._send(200, "[1, 2]")

    def _answer_cut(self, _: Any) -> None:
        self._send(200, '{"choices": [', 500)
        self.close_connection = True

    def _answer_slow(self, _: Any) -> None:
        self.send_response(200)
        self.send_header("Content-Length", "100000")
        self.end_headers()
        while not self.server.released.wait(0.05):
            try:
                self.wfile.write(b" ")
            except OSError:
                return

    def _answer_busy(self, _: Any) -> None:
        self._send(503, "later")

    def _answer_out_of_memory(self, _: Any) -> None:
        self._send(500, '{"error": {"message": "CUDA out of memory."}}')

    def _answer_refused(self, _: Any) -> None:
        self._send(404, '{"error": {"message": "The model does not exist."}}')

    def _answer_gone(self, _: Any) -> None:
        self.close_connection = True
