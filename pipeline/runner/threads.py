"""The threads that carry messages from stage to stage."""

import logging
import math
import queue
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterable, Sequence

from pipeline.follow.detect import DetectStage
from pipeline.follow.follow import TrackStage
from pipeline.messages import Detected, StreamEnd, Tracklet
from pipeline.protocols import Bus
from pipeline.runner.gate import Arrived, FrameGate
from pipeline.runner.storing import Storing
from pipeline.runner.telemetry import Telemetry
from pipeline.secrets import redact

logger = logging.getLogger("musewatch.runner")

POLL_S = 0.25
BETWEEN = 2  # batches that wait between detector and tracker
FAILURES_IN_A_ROW = 50
LOG_EVERY_S = 10.0
BATCH = 64  # tracklets asked together


class Failures:
    """Counts what stages survived; the log hears of it at most every `LOG_EVERY_S` per stream.

    Attributes:
        fatal: Set when nothing has worked for `FAILURES_IN_A_ROW` frames.
    """

    def __init__(self, telemetry: Telemetry) -> None:
        self.fatal: Exception | None = None
        self._telemetry = telemetry
        self._counts: Counter[str] = Counter()
        self._in_a_row = 0
        self._logged: dict[str, float] = {}

    def report(self, stream_id: str, error: Exception) -> None:
        """A stage could not deal with a frame of a stream."""
        self._telemetry.errors.labels(stream_id).inc()
        self._counts[stream_id] += 1
        self._in_a_row += 1
        if self._in_a_row >= FAILURES_IN_A_ROW:
            self.fatal = error
        now_s = time.monotonic()
        if now_s - self._logged.get(stream_id, -LOG_EVERY_S) >= LOG_EVERY_S:
            self._logged[stream_id] = now_s
            logger.error("stream %s: a frame was lost: %s", stream_id, redact(str(error)))

    def counts(self, stream_ids: Iterable[str]) -> dict[str, int]:
        """Failures so far of each of these streams."""
        return {stream_id: self._counts[stream_id] for stream_id in stream_ids}

    def worked(self) -> None:
        """A frame went through."""
        self._in_a_row = 0


class FrontThreads:
    """Detect and follow, each in a thread of its own, from the gate to the bus."""

    def __init__(
        self,
        gate: FrameGate,
        detect: DetectStage,
        track: TrackStage,
        bus: Bus,
        telemetry: Telemetry,
        failures: Failures,
        max_batch: int,
    ) -> None:
        self._gate, self._detect, self._track, self._bus = gate, detect, track, bus
        self._telemetry, self._failures, self._max_batch = telemetry, failures, max_batch
        self._between: queue.Queue[Sequence[Detected | StreamEnd] | None] = queue.Queue(BETWEEN)
        self._threads = [
            threading.Thread(target=self._guard(self._detecting), name="detect", daemon=True),
            threading.Thread(target=self._guard(self._tracking), name="track", daemon=True),
        ]

    def start(self) -> None:
        """Begins."""
        for thread in self._threads:
            thread.start()

    def join(self, timeout_s: float) -> bool:
        """Waits until everything taken from the gate has reached the bus; False when it takes longer."""
        self._threads[1].join(timeout_s)
        return not self._threads[1].is_alive()

    def _detecting(self) -> None:
        try:
            while (batch := self._gate.take(self._max_batch, POLL_S)) is not None:
                self._telemetry.queue_depth.labels("track").set(self._between.qsize())
                if batch:
                    self._between.put(self._detect_batch(batch))
        finally:
            self._between.put(None)

    def _detect_batch(self, batch: Sequence[Arrived | StreamEnd]) -> Sequence[Detected | StreamEnd]:
        now_s = time.monotonic()
        for item in batch:
            if isinstance(item, Arrived):
                age = self._telemetry.frame_age.labels(item.frame.stream_id)
                age.observe(now_s - item.at_s)
        items = [item.frame if isinstance(item, Arrived) else item for item in batch]
        with self._telemetry.timing("detect"):
            return list(self._detect.on_batch(items))

    def _tracking(self) -> None:
        while (batch := self._between.get()) is not None:
            before = self._failures.counts(i.frame.stream_id for i in batch if isinstance(i, Detected))
            with self._telemetry.timing("track"):
                tracklets = list(self._track.on_batch(batch))
            after = self._failures.counts(before)
            if any(after[stream_id] == count for stream_id, count in before.items()):
                self._failures.worked()
            if tracklets:
                self._bus.publish(tracklets)

    def _guard(self, work: Callable[[], None]) -> Callable[[], None]:
        return guarded(work, self._failures)


def guarded(work: Callable[[], None], failures: Failures) -> Callable[[], None]:
    """The work of a thread, whose unforeseen end stops the run instead of passing unseen."""

    def run() -> None:
        try:
            work()
        except Exception as error:
            failures.fatal = error
            logger.error("a stage has died: %s", redact(str(error)), exc_info=True)

    return run


class BusThread:
    """Takes tracklets off the bus inside this process and sees to it that what comes of them is stored.

    Args:
        bus: Where tracklets arrive.
        work: Makes events of some tracklets, none when there were none, and gives them to `storing`.
        storing: Holds the events until the outbox takes them.
        failures: Told of an unforeseen end.
        name: Of the thread.
        most_held: Events held at which the bus is left to fill.
    """

    def __init__(
        self,
        bus: Bus,
        work: Callable[[Sequence[Tracklet]], None],
        storing: Storing,
        failures: Failures,
        name: str,
        most_held: float = math.inf,
    ) -> None:
        self._bus, self._work, self._storing, self._most_held = bus, work, storing, most_held
        self._finish = threading.Event()
        self._deadline_s = math.inf
        self._thread = threading.Thread(target=guarded(self._run, failures), name=name, daemon=True)

    def start(self) -> None:
        """Begins."""
        self._thread.start()

    def finish(self, deadline_s: float) -> None:
        """Ends when the bus is empty and all events are in the outbox, or at `deadline_s` of the monotonic clock."""
        self._deadline_s = deadline_s
        self._finish.set()

    def join(self, timeout_s: float) -> bool:
        """Waits for the end; False when it takes longer."""
        self._thread.join(timeout_s)
        return not self._thread.is_alive()

    def _run(self) -> None:
        while True:
            ending = self._finish.is_set()
            full = len(self._storing) >= self._most_held
            tracklets = [] if full else self._bus.receive(BATCH, 0.0 if ending else POLL_S)
            self._work(tracklets)
            stored = self._storing.store()
            drained = stored and not full
            if ending and not tracklets and (drained or time.monotonic() >= self._deadline_s):
                return
            if not stored and (ending or full):
                time.sleep(POLL_S)
