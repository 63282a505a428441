"""What the process tells about itself: metrics by name, and whether it is healthy and ready."""

import io
import json
import logging
import socket
import threading
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from socketserver import ThreadingMixIn
from time import monotonic, perf_counter
from typing import Any
from wsgiref.simple_server import WSGIRequestHandler, WSGIServer
from wsgiref.types import StartResponse, WSGIApplication, WSGIEnvironment

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, make_wsgi_app
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, Metric
from prometheus_client.registry import Collector

from pipeline.calls import Guests
from pipeline.config import TelemetryConfig
from pipeline.deliver.outbox import Outbox
from pipeline.errors import OutsideError
from pipeline.runner.gate import StreamCounts
from pipeline.runner.summed import summed

logger = logging.getLogger(__name__)

MOST_CONNECTIONS = 16
REQUEST_S = 5.0
POLL_S = 0.1
AGE_BUCKETS_S = (0.02, 0.05, 0.1, 0.2, 0.5, 1, 2, 5, 15)
STAGE_BUCKETS_S = (0.001, 0.002, 0.005, 0.01, 0.02, 0.05, 0.1, 0.2, 0.5, 1, 2)


class _Frames(Collector):
    """Frame counts, read from the gate when somebody asks."""

    def __init__(self, counts: Callable[[], Mapping[str, StreamCounts]]) -> None:
        self._counts = counts

    def collect(self) -> Iterable[Metric]:
        taken = CounterMetricFamily("musewatch_frames", "Frames that arrived.", labels=["stream"])
        dropped = CounterMetricFamily("musewatch_frames_dropped", "Frames never inferred.", labels=["stream"])
        up = GaugeMetricFamily("musewatch_stream_up", "1 while frames come.", labels=["stream"])
        for stream_id, counts in self._counts().items():
            taken.add_metric([stream_id], counts.frames_in)
            dropped.add_metric([stream_id], counts.dropped)
            up.add_metric([stream_id], float(counts.up))
        return [taken, dropped, up]


class _Plugins(Collector):
    """What became of the calls into plugins, read when somebody asks."""

    def __init__(self, guests: Guests) -> None:
        self._guests = guests

    def collect(self) -> Iterable[Metric]:
        calls = CounterMetricFamily("musewatch_plugin_calls", "Calls into plugins.", labels=["role"])
        failures = CounterMetricFamily(
            "musewatch_plugin_failures", "Calls that failed or gave what cannot be.", labels=["role"]
        )
        timeouts = CounterMetricFamily(
            "musewatch_plugin_timeouts", "Calls given up because they took too long.", labels=["role"]
        )
        for role, counts in self._guests.counts().items():
            calls.add_metric([role], counts.calls)
            failures.add_metric([role], counts.failures)
            timeouts.add_metric([role], counts.timeouts)
        return [calls, failures, timeouts]


class _Summed(Collector):
    """Metrics of this and of other processes, read when somebody asks."""

    def __init__(self, own: CollectorRegistry, others: Callable[[], Iterable[Iterable[Metric]]]) -> None:
        self._own, self._others = own, others

    def collect(self) -> Iterable[Metric]:
        return summed([self._own.collect(), *self._others()])


class Telemetry:
    """The metrics of one run; names and labels are the contract's.

    Args:
        counts: Frame counts by stream.

    Attributes:
        registry: The metrics of this process.
        shown: Those to be shown: of others too, once there are any.
    """

    def __init__(self, counts: Callable[[], Mapping[str, StreamCounts]]) -> None:
        self._notes: tuple[str, ...] = ()
        self._noted: dict[str, tuple[str, ...]] = {}
        self.registry = self.shown = CollectorRegistry()
        self._frames = _Frames(counts)
        self.registry.register(self._frames)
        self.frame_age = Histogram(
            "musewatch_frame_age_seconds", "Age of a frame when it is inferred.", ["stream"],
            buckets=AGE_BUCKETS_S, registry=self.registry,
        )  # fmt: skip
        self.stage_seconds = Histogram(
            "musewatch_stage_seconds", "Time one batch takes in a stage.", ["stage"],
            buckets=STAGE_BUCKETS_S, registry=self.registry,
        )  # fmt: skip
        self.queue_depth = Gauge(
            "musewatch_queue_depth", "Messages waiting before a stage.", ["stage"], registry=self.registry
        )
        self.hits = Counter("musewatch_hits", "Hit events made.", ["stream", "state"], registry=self.registry)
        self.errors = Counter("musewatch_errors", "Failures survived.", ["stream"], registry=self.registry)
        self.outbox_depth = Gauge(
            "musewatch_outbox_depth", "Events that a sink has not acknowledged.", registry=self.registry
        )
        self.outbox_bytes = Gauge(
            "musewatch_outbox_bytes", "What they take on the disk.", registry=self.registry
        )
        self.outbox_refused = Gauge(
            "musewatch_outbox_refused", "Events that a sink has refused for good, still in the outbox.", ["sink"],
            registry=self.registry,
        )  # fmt: skip
        self.lightened = Gauge(
            "musewatch_tracklets_lightened", "Tracklets that lost pictures for want of room in the outbox.",
            registry=self.registry,
        )  # fmt: skip
        self.bus_lag = Gauge(
            "musewatch_bus_lag", "Tracklets on our partitions not received yet.", registry=self.registry
        )
        self.tracklet_age = Gauge(
            "musewatch_tracklet_age_seconds", "Time that the oldest tracklet in hand has waited.",
            registry=self.registry,
        )  # fmt: skip
        self.refused = Counter(
            "musewatch_tracklets_refused", "Messages and tracklets not asked about.", ["reason"],
            registry=self.registry,
        )  # fmt: skip
        self.sink_up = Gauge(
            "musewatch_sink_up", "1 while a sink takes events, 0 while it fails or hangs.", ["sink"],
            registry=self.registry,
        )  # fmt: skip
        self.storage_failing = Gauge(
            "musewatch_storage_failing", "1 while hits or pictures cannot be written.", registry=self.registry
        )

    def watch(self, guests: Guests) -> None:
        """Shows from now on how the plugins of the process do."""
        self.registry.register(_Plugins(guests))

    def join(self, others: Callable[[], Iterable[Iterable[Metric]]]) -> None:
        """Shows the metrics of other processes added to its own from now on.

        Args:
            others: Those of each.
        """
        self.shown = CollectorRegistry()
        self.shown.register(_Summed(self.registry, others))

    def apart_from_frames(self) -> Iterable[Metric]:
        """The metrics of this process but for its frame counts, for another one to join."""
        frames = {family.name for family in self._frames.collect()}
        return [family for family in self.registry.collect() if family.name not in frames]

    def measure(self, outbox: Outbox, lightened: int = 0) -> int:
        """Takes the outbox's figures over; how many events wait.

        Args:
            outbox: Asked how it stands.
            lightened: Tracklets that had to lose pictures in it.

        Raises:
            OutboxError: It cannot be read.
        """
        waiting = outbox.waiting()
        self.outbox_depth.set(waiting)
        self.outbox_bytes.set(outbox.size_bytes())
        self.lightened.set(lightened)
        refused = outbox.refused()
        self.outbox_refused.clear()
        for sink, count in refused.items():
            self.outbox_refused.labels(sink).set(count)
        self._notes = (
            *(
                f"sink {sink} has refused {n} events for good: musewatch hits refused"
                for sink, n in refused.items()
            ),
            *([f"the outbox was full: {lightened} tracklets lost pictures"] if lightened else []),
        )
        return waiting

    def notes(self) -> list[str]:
        """What somebody should look at though the work goes on."""
        return [*self._notes, *(line for lines in list(self._noted.values()) for line in lines)]

    def note(self, part: str, lines: Sequence[str]) -> None:
        """Puts what a part of the process has to say in place of what it said before."""
        self._noted[part] = tuple(lines)

    @contextmanager
    def timing(self, stage: str) -> Iterator[None]:
        """Times one batch of a stage."""
        start_s = perf_counter()
        try:
            yield
        finally:
            self.stage_seconds.labels(stage).observe(perf_counter() - start_s)


class TelemetryServer:
    """Serves /metrics, /healthz and /readyz from threads of its own.

    Args:
        listen: HOST:PORT, of IPv6 [HOST]:PORT; port 0 takes any free one.
        telemetry: What /metrics shows.
        problems: Reasons not to be ready; none = ready.

    Raises:
        OutsideError: The address is taken or not ours.
    """

    def __init__(self, listen: str, telemetry: Telemetry, problems: Callable[[], list[str]]) -> None:
        host, _, port = listen.rpartition(":")
        try:
            self._server = _BoundedServer(host.strip("[]"), int(port), _app(telemetry, problems))
        except (OSError, OverflowError) as error:
            raise OutsideError(
                f"telemetry.listen: {listen} cannot be opened: {error}", "choose another port, or null"
            ) from error
        self._thread = threading.Thread(
            target=self._server.serve_forever, args=(POLL_S,), name="telemetry", daemon=True
        )
        self._thread.start()

    @property
    def address(self) -> str:
        """HOST:PORT that is served."""
        host, port = self._server.server_address[:2]
        return f"[{host!s}]:{port}" if ":" in str(host) else f"{host!s}:{port}"

    def close(self) -> None:
        """Stops serving."""
        self._server.shutdown()
        self._server.server_close()
        self._thread.join()


class _BoundedServer(ThreadingMixIn, WSGIServer):
    """`MOST_CONNECTIONS` at a time, each for `REQUEST_S`: the oldest gives way to a new one.

    So half-sent requests cost few threads and files, and hold up nobody who asks properly.
    """

    daemon_threads = True
    request_queue_size = 64

    def __init__(self, host: str, port: int, app: WSGIApplication) -> None:
        self.address_family = socket.AF_INET6 if ":" in host else socket.AF_INET
        self._talking: dict[socket.socket, float] = {}  # since when, oldest first
        self._lock = threading.Lock()
        super().__init__((host, port), _QuietHandler)
        self.set_app(app)

    def process_request(self, request: Any, client_address: Any) -> None:
        """In a thread of its own, once there is room for it."""
        with self._lock:
            while len(self._talking) >= MOST_CONNECTIONS:
                self._cut_oldest()
            self._talking[request] = monotonic()
        super().process_request(request, client_address)

    def shutdown_request(self, request: Any) -> None:
        """When it has been answered, or was cut."""
        with self._lock:
            self._talking.pop(request, None)
        super().shutdown_request(request)

    def service_actions(self) -> None:
        """Every `POLL_S`: whoever has had his time is cut."""
        with self._lock:
            while self._talking and monotonic() - next(iter(self._talking.values())) > REQUEST_S:
                self._cut_oldest()

    def handle_error(self, request: Any, client_address: Any) -> None:
        """A client that hangs up before its answer is nobody's error; the library prints a traceback."""

    def _cut_oldest(self) -> None:
        """Its thread then reads the end of the request, and closes."""
        oldest = next(iter(self._talking))
        del self._talking[oldest]
        with suppress(OSError):
            oldest.shutdown(socket.SHUT_RDWR)


class _QuietHandler(WSGIRequestHandler):
    def log_message(self, format: str, *args: object) -> None:
        """Requests are not logged."""

    def get_stderr(self) -> Any:
        """Where the library prints the traceback of what it answers with 500."""
        return io.StringIO()


def _app(telemetry: Telemetry, problems: Callable[[], list[str]]) -> WSGIApplication:
    metrics: WSGIApplication = make_wsgi_app(telemetry.shown)

    def app(environ: WSGIEnvironment, start_response: StartResponse) -> Iterable[bytes]:
        path = environ["PATH_INFO"]
        if path == "/metrics":
            return metrics(environ, start_response)
        status, body = "200 OK", '{"ok": true}'
        if path == "/readyz":
            found = problems()
            status = "503 Service Unavailable" if found else status
            body = json.dumps({"ready": not found, "problems": found, "notes": telemetry.notes()})
        elif path != "/healthz":
            status, body = "404 Not Found", '{"problem": "try /metrics, /healthz or /readyz"}'
        start_response(status, [("Content-Type", "application/json")])
        return [body.encode() + b"\n"]

    return app


def serve(
    config: TelemetryConfig, telemetry: Telemetry, problems: Callable[[], list[str]]
) -> TelemetryServer | None:
    """The server that the config asks for; None where it asks for none, or its default address is taken.

    Raises:
        OutsideError: The address that the config names is taken or not ours.
    """
    if config.listen is None:
        return None
    try:
        return TelemetryServer(config.listen, telemetry, problems)
    except OutsideError as error:
        if "listen" in config.model_fields_set:
            raise
        logger.warning("no telemetry: %s", error)
        return None
