"""The threads that carry messages from stage to stage."""

import logging
import math
import queue
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from datetime import UTC, datetime
from typing import Any

from pipeline.build import Parts
from pipeline.errors import OutboxFullError, OutsideError
from pipeline.events import to_event
from pipeline.identify import IdentifyStage
from pipeline.messages import Detected, Hit, HitState, StreamEnd
from pipeline.relay_thread import RelayThread
from pipeline.runner.gate import Arrived, FrameGate
from pipeline.secrets import redact
from pipeline.stages import DetectStage, TrackStage
from pipeline.telemetry import Telemetry
from pipeline.watchlist.follower import WatchlistFollower

logger = logging.getLogger("musewatch.runner")

POLL_S = 0.25
BETWEEN = 2  # batches that wait between detector and tracker
FAILURES_IN_A_ROW = 50
LOG_EVERY_S = 10.0
ROOM_BYTES = 1_000_000  # freed at once for hits that find no room


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
        bus: Any,
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


class IdentifyThread:
    """Asks tracklets against the watchlist and puts what comes of it into the outbox.

    Events that the outbox cannot take are held here, in order, and offered again; nothing is dropped.

    Attributes:
        held: Why events are held, or None.
    """

    def __init__(
        self,
        parts: Parts,
        site: str,
        stage: IdentifyStage,
        follower: WatchlistFollower,
        relays: Sequence[RelayThread],
        telemetry: Telemetry,
        failures: Failures,
    ) -> None:
        self.held: str | None = None
        self.hits_opened = 0
        self._bus, self._outbox, self._site = parts.bus, parts.outbox, site
        self._evidence = parts.evidence
        self._stage, self._follower, self._relays = stage, follower, relays
        self._telemetry = telemetry
        self._events: list[dict[str, Any]] = []
        self._stale = False
        self._finish = threading.Event()
        self._deadline_s = math.inf
        self._thread = threading.Thread(target=guarded(self._run, failures), name="identify", daemon=True)

    def prepare(self) -> None:
        """Takes the watchlist as it is.

        Raises:
            ConfigError: The enrolled pictures cannot be embedded.
            OutsideError: The watchlist cannot be read.
        """
        self._follow()

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
            tracklets = self._bus.receive(64, 0.0 if ending else POLL_S)
            self._follow_if_possible()
            if tracklets:
                with self._telemetry.timing("identify"):
                    self._take(self._stage.on_batch(tracklets))
            self._store()
            if ending and not tracklets and (not self._events or time.monotonic() >= self._deadline_s):
                return
            if ending and self.held:
                time.sleep(POLL_S)

    def _follow_if_possible(self) -> None:
        """Follows the watchlist; goes on with it as it was while that fails."""
        try:
            self._follow()
        except Exception as error:
            if not self._stale:
                logger.error("the watchlist stays as it was: %s", redact(str(error)))
            self._stale = True
            return
        if self._stale:
            logger.info("the watchlist is followed again")
        self._stale = False

    def _follow(self) -> None:
        snapshot = self._follower.refresh(datetime.now(UTC))
        if snapshot is None:
            return
        logger.info("watchlist version %d: %d enrolments", snapshot.version, len(snapshot))
        for enrolment in self._follower.unusable:
            logger.warning(
                "identity %s: enrolment %d cannot be used: %s",
                enrolment.identity_id, enrolment.enrolment_id, redact(enrolment.problem),
            )  # fmt: skip
        self._take(self._stage.use(snapshot))
        self._store()

    def _take(self, hits: Any) -> None:
        for hit in hits:
            self._count(hit)
            self._events.append(to_event(hit, self._site))

    def _count(self, hit: Hit) -> None:
        self.hits_opened += hit.state is HitState.OPENED
        self._telemetry.hits.labels(hit.stream_id, str(hit.state)).inc()

    def _store(self) -> None:
        if not self._events:
            return
        try:
            self._append()
        except OutsideError as error:
            if self.held is None:
                logger.error("hits are held in memory: %s", error)
            self.held = str(error)
            return
        if self.held is not None:
            logger.info("the outbox takes hits again")
        self.held = None
        self._events = []
        for relay in self._relays:
            relay.wake()

    def _append(self) -> None:
        """Puts the events into the outbox; on a full disk the oldest pictures make room for them."""
        while True:
            try:
                self._outbox.append(self._events)
                return
            except OutboxFullError:
                freed = self._evidence.make_room(ROOM_BYTES)
                if not freed:
                    raise
                logger.warning("the disk is full: %.1f MB of the oldest evidence deleted", freed / 1e6)
