"""Metrics by their promised names, and whether the process is healthy and ready."""

import json
import socket
import threading
import urllib.error
import urllib.request
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

import pytest
from prometheus_client.parser import text_string_to_metric_families

from pipeline.deliver.outbox import Outbox
from pipeline.errors import OutsideError
from pipeline.runner import telemetry as module
from pipeline.runner.gate import StreamCounts
from pipeline.runner.telemetry import MOST_CONNECTIONS, Telemetry, TelemetryServer

NAMES = {  # contract 2, with the labels that each has
    "musewatch_frames_total": {"stream"},
    "musewatch_frames_dropped_total": {"stream"},
    "musewatch_frame_age_seconds_bucket": {"stream", "le"},
    "musewatch_stage_seconds_bucket": {"stage", "le"},
    "musewatch_queue_depth": {"stage"},
    "musewatch_hits_total": {"stream", "state"},
    "musewatch_outbox_depth": set[str](),
    "musewatch_stream_up": {"stream"},
}


class Served:
    """A server on any free port."""

    def __init__(self) -> None:
        self.counts = {"door": StreamCounts(frames_in=9, frames_inferred=6, dropped=3, up=True)}
        self.telemetry = Telemetry(lambda: self.counts)
        self.problems: list[str] = []
        self.server = TelemetryServer("127.0.0.1:0", self.telemetry, lambda: self.problems)

    def get(self, path: str) -> tuple[int, str]:
        try:
            with urllib.request.urlopen(f"http://{self.server.address}{path}", timeout=5) as answer:
                return answer.status, answer.read().decode()
        except urllib.error.HTTPError as error:
            with error:
                return error.code, error.read().decode()

    def samples(self) -> dict[str, list[tuple[dict[str, str], float]]]:
        found: dict[str, list[tuple[dict[str, str], float]]] = {}
        for family in text_string_to_metric_families(self.get("/metrics")[1]):
            for sample in family.samples:
                found.setdefault(sample.name, []).append((sample.labels, sample.value))
        return found


@pytest.fixture
def served() -> Iterator[Served]:
    served = Served()
    yield served
    served.server.close()


def test_every_promised_metric_is_there_with_its_labels(served: Served) -> None:
    telemetry = served.telemetry
    telemetry.frame_age.labels("door").observe(0.03)
    telemetry.queue_depth.labels("track").set(2)
    telemetry.hits.labels("door", "opened").inc()
    with telemetry.timing("detect"):
        pass
    samples = served.samples()
    assert {name: set(samples[name][0][0]) for name in NAMES} == NAMES
    assert samples["musewatch_hits_total"] == [({"stream": "door", "state": "opened"}, 1.0)]


def test_frames_are_counted_by_the_gate(served: Served) -> None:
    served.counts["yard"] = StreamCounts(frames_in=1)
    samples = served.samples()
    assert samples["musewatch_frames_total"] == [({"stream": "door"}, 9.0), ({"stream": "yard"}, 1.0)]
    assert samples["musewatch_frames_dropped_total"] == [({"stream": "door"}, 3.0), ({"stream": "yard"}, 0.0)]
    assert samples["musewatch_stream_up"] == [({"stream": "door"}, 1.0), ({"stream": "yard"}, 0.0)]


def test_a_stage_that_fails_is_timed_too(served: Served) -> None:
    with pytest.raises(RuntimeError), served.telemetry.timing("detect"):
        raise RuntimeError("no")
    assert served.samples()["musewatch_stage_seconds_count"] == [({"stage": "detect"}, 1.0)]


def test_ready_with_no_problem_and_healthy_with_any(served: Served) -> None:
    assert served.get("/readyz") == (200, '{"ready": true, "problems": [], "notes": []}\n')
    served.problems.append("stream door is down")
    status, body = served.get("/readyz")
    assert (status, json.loads(body)) == (
        503,
        {"ready": False, "problems": ["stream door is down"], "notes": []},
    )
    assert served.get("/healthz") == (200, '{"ok": true}\n')
    assert served.get("/")[0] == 404


def test_what_was_refused_or_lightened_is_told_and_is_no_reason_not_to_be_ready(
    served: Served, tmp_path: Path
) -> None:
    outbox = Outbox(tmp_path / "outbox.db", ("webhook",))
    outbox.append([{"id": "h1-1", "data": {}}, {"id": "h2-1", "data": {}}])
    outbox.refuse("webhook", 1, "400")
    assert served.telemetry.measure(outbox, lightened=3) == 2
    status, body = served.get("/readyz")
    assert (status, json.loads(body)["notes"]) == (
        200,
        [
            "sink webhook has refused 1 events for good: musewatch hits refused",
            "the outbox was full: 3 tracklets lost pictures",
        ],
    )
    samples = served.samples()
    assert samples["musewatch_outbox_refused"] == [({"sink": "webhook"}, 1.0)]
    assert samples["musewatch_tracklets_lightened"] == [({}, 3.0)]
    assert samples["musewatch_outbox_bytes"][0][1] > 0
    outbox.done("webhook", [1])
    served.telemetry.measure(outbox)
    assert "musewatch_outbox_refused" not in served.samples()
    outbox.close()


def test_a_taken_port_is_named_with_what_to_do() -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        address = f"127.0.0.1:{taken.getsockname()[1]}"
        with pytest.raises(
            OutsideError, match=f"telemetry.listen: {address} cannot be opened: .*choose another port"
        ):
            TelemetryServer(address, Telemetry(dict), list)


@pytest.mark.parametrize("address", ["127.0.0.1:70000", "192.0.2.1:9464", "no-such-host.invalid:9464"])
def test_an_address_that_is_not_ours_is_named(address: str) -> None:
    with pytest.raises(OutsideError, match=f"telemetry.listen: {address} cannot be opened"):
        TelemetryServer(address, Telemetry(dict), list)


def test_a_client_that_hangs_up_is_nobodys_error(served: Served, capsys: pytest.CaptureFixture[str]) -> None:
    hung_up = threading.Event()

    def problems() -> list[str]:
        hung_up.set()
        raise BrokenPipeError("the client has gone")

    served.server.close()
    served.server = TelemetryServer("127.0.0.1:0", served.telemetry, problems)
    with pytest.raises(OSError, match="closed connection"):
        served.get("/readyz")
    assert hung_up.is_set()
    assert capsys.readouterr().err == ""


def half_sent(address: str, count: int) -> list[socket.socket]:
    host, port = address.split(":")
    clients = [socket.create_connection((host, int(port)), 10) for _ in range(count)]
    for client in clients:
        with suppress(OSError):  # it may have been cut already
            client.sendall(b"GET /met")
    return clients


def served_threads() -> int:
    return sum("process_request_thread" in thread.name for thread in threading.enumerate())


def is_cut(client: socket.socket) -> bool:
    try:
        return client.recv(1) == b""
    except ConnectionError:
        return True


def test_requests_that_are_never_sent_whole_cost_few_threads_and_hold_up_nobody(served: Served) -> None:
    clients = half_sent(served.server.address, 3 * MOST_CONNECTIONS)
    assert served.get("/healthz") == (200, '{"ok": true}\n')
    assert all(is_cut(client) for client in clients[:MOST_CONNECTIONS])
    assert served_threads() <= MOST_CONNECTIONS
    for client in clients:
        client.close()


def test_a_request_has_so_much_time_and_no_more(served: Served, monkeypatch: pytest.MonkeyPatch) -> None:
    clients = half_sent(served.server.address, 3)
    monkeypatch.setattr(module, "REQUEST_S", 0.1)
    assert all(is_cut(client) for client in clients), "they would have timed out"
    for client in clients:
        client.close()


def test_what_goes_wrong_inside_is_an_answer_and_no_traceback(
    served: Served, capsys: pytest.CaptureFixture[str]
) -> None:
    served.server.close()
    served.server = TelemetryServer("127.0.0.1:0", served.telemetry, lambda: [str(1 // 0)])
    assert served.get("/readyz")[0] == 500
    assert served.get("/healthz")[0] == 200
    assert capsys.readouterr().err == ""


def test_it_listens_on_ipv6_too() -> None:
    try:
        socket.create_server(("::1", 0), family=socket.AF_INET6).close()
    except OSError:
        pytest.skip("this machine has no IPv6")
    server = TelemetryServer("[::1]:0", Telemetry(dict), list)
    try:
        assert server.address.startswith("[::1]:")
        with urllib.request.urlopen(f"http://{server.address}/readyz", timeout=5) as answer:
            assert json.load(answer)["ready"] is True
    finally:
        server.close()
