"""What every process has: parts that start, are watched and end in order, and the failures that it survives."""

import logging
import threading
import time
from abc import ABC, abstractmethod
from collections import Counter
from collections.abc import Callable, Iterable, Sequence

from pipeline.calls import Guests
from pipeline.errors import OutsideError, words_of
from pipeline.runner.telemetry import Telemetry
from pipeline.secrets import redact

logger = logging.getLogger("musewatch.runner")

TICK_S = 0.1
FAILURES_IN_A_ROW = 50
LOG_EVERY_S = 10.0


class Part(ABC):
    """A piece of a process with threads of its own; work goes from one part to the next."""

    def prepare(self) -> None:
        """Does what has to be done before anything starts; what it raises stops the start."""
        return

    @abstractmethod
    def start(self) -> None:
        """Begins; returns at once."""

    def look(self) -> bool:
        """Called ten times a second; whether the part goes on."""
        return True

    def problems(self) -> list[str]:
        """Reasons not to be ready."""
        return []

    @abstractmethod
    def finish(self, deadline_s: float) -> bool:
        """Ends what is in hand; called when nothing comes from the part before any more.

        Args:
            deadline_s: Of the monotonic clock.

        Returns:
            False when it was not done by then.
        """

    def failures(self) -> list[Exception]:
        """Why not all was done that should have been; asked at the end."""
        return []


class Failures:
    """Counts what stages survived; the log hears of it at most every `LOG_EVERY_S` per stream.

    Attributes:
        fatal: Why a thread has died; the process ends.
    """

    def __init__(self, telemetry: Telemetry) -> None:
        self.fatal: Exception | None = None
        self._last: Exception | None = None
        self._worked = False
        self._telemetry = telemetry
        self._counts: Counter[str] = Counter()
        self._in_a_row = 0
        self._logged: dict[str, float] = {}

    def report(self, stream_id: str, error: Exception, what: str = "a frame was lost") -> None:
        """A stage could not deal with a frame of a stream, or with `what` else."""
        self._telemetry.errors.labels(stream_id).inc()
        self._counts[stream_id] += 1
        self._in_a_row += 1
        self._last = error
        now_s = time.monotonic()
        if now_s - self._logged.get(stream_id, -LOG_EVERY_S) >= LOG_EVERY_S:
            self._logged[stream_id] = now_s
            logger.error("stream %s: %s: %s", stream_id, what, redact(words_of(error)))

    def counts(self, stream_ids: Iterable[str]) -> dict[str, int]:
        """Failures so far of each of these streams."""
        return {stream_id: self._counts[stream_id] for stream_id in stream_ids}

    def worked(self) -> None:
        """A frame went through."""
        self._in_a_row, self._worked = 0, True

    @property
    def lasting(self) -> Exception | None:
        """The last failure, when nothing has worked yet, or not for `FAILURES_IN_A_ROW` frames; it may pass."""
        many = self._in_a_row >= FAILURES_IN_A_ROW
        return self._last if many or not self._worked else None

    def guard(self, work: Callable[[], None]) -> Callable[[], None]:
        """The work of a thread, whose unforeseen end stops the process instead of passing unseen."""

        def run() -> None:
            try:
                work()
            except BaseException as error:  # sys.exit() of a plugin, too
                self.fatal = error if isinstance(error, Exception) else RuntimeError(repr(error))
                logger.error("a stage has died: %s", redact(words_of(error)), exc_info=True)

        return run


def _nothing() -> None:
    """What a process does besides, unless it says so."""


class Process:
    """Runs parts until one of them is over, somebody asks for the end, or nothing works any more.

    Args:
        parts: In the order in which work goes through them.
        failures: What they survive.
        guests: The plugins that they ask.
        drain_s: Longest time that they have to end.
    """

    def __init__(self, parts: Sequence[Part], failures: Failures, guests: Guests, drain_s: float) -> None:
        self._parts, self._failures, self._guests, self._drain_s = parts, failures, guests, drain_s
        self._stopping = False  # no Event: a signal may come while this very thread holds its lock
        self._all_finished = True

    def stop(self) -> None:
        """Asks for the end: what is in hand is finished."""
        self._stopping = True

    @property
    def stopped(self) -> bool:
        """Whether somebody asked for the end."""
        return self._stopping

    def problems(self) -> list[str]:
        """Reasons not to be ready, of all parts and plugins."""
        return [problem for part in self._parts for problem in part.problems()] + self._guests.problems()

    def run(self, duration_s: float | None, on_tick: Callable[[], None] = _nothing) -> None:
        """Prepares, starts from the last part to the first, watches, and ends from the first to the last.

        Args:
            duration_s: Longest time; None = no limit.
            on_tick: Called ten times a second.

        Raises:
            Exception: What a part raises when it prepares, then nothing has been started; or when it starts, then
                what had been started is ended.
        """
        for part in self._parts:
            part.prepare()
        started: list[Part] = []
        try:
            for part in reversed(self._parts):
                part.start()
                started.insert(0, part)
            self._watch(duration_s, on_tick)
        finally:
            deadline_s = time.monotonic() + self._drain_s
            self._all_finished = all([part.finish(deadline_s) for part in started])

    @property
    def failure(self) -> Exception | None:
        """Why it ended early, or left something undone; None when all went well."""
        found = [failure for part in self._parts for failure in part.failures()]
        if not self._all_finished:
            found.append(OutsideError("the last frames were not finished in time", "raise outbox.drain_s"))
        found += self._guests.failures()
        return self._failures.fatal or next(iter(found), self._failures.lasting)

    def _watch(self, duration_s: float | None, on_tick: Callable[[], None]) -> None:
        start_s = time.monotonic()
        tick = threading.Event()  # never set; unlike sleep its wait bears a clock that jumps
        while not self._stopping:
            tick.wait(TICK_S)
            if duration_s is not None and time.monotonic() - start_s >= duration_s:
                return
            if self._failures.fatal or not all([part.look() for part in self._parts]):
                return
            on_tick()
