"""From the outbox to one sink: what to publish, when to try again, what to say about it; and the thread for it."""

import logging
import random
import threading
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any

from pipeline.deliver.outbox import Outbox, Waiting
from pipeline.errors import (
    BackpressureError,
    OutboxError,
    OutsideError,
    RefusedError,
    UnsayableError,
    words_of,
)
from pipeline.facts import SinkFacts, close_quietly, closing_of, facts
from pipeline.protocols import DeadLetters, Sink
from pipeline.secrets import redact

logger = logging.getLogger(__name__)

IDLE_S = 0.5
ANSWER_S = 60.0
LONG_S = 5.0  # for one batch: then the next is smaller
FIRST_BATCH = 10
FIRST_PAUSE_S, LONGEST_PAUSE_S = 0.5, 15.0
LONGEST_WISH_S = 300.0  # of a sink that asks for a pause
REFUSALS = 5  # of one event by itself, with growing pauses, before it is set aside


class Relay:
    """Publishes what waits for a sink, oldest first, one batch a step.

    After a failure it goes on with one event, then two, four...: a sink that takes some and refuses one gets
    few repeats. One that is refused by itself `REFUSALS` times is marked in the outbox, where it stays, and the
    events behind it go on in their order. Batches are so small that a sink which works says so every few seconds.

    Args:
        outbox: Where events wait.
        sink: Where they go.
        name: The sink's name in the outbox.
        batch: Most events published at once.
        answer_s: A sink that does not come back for so long hangs.
        rng: For the jitter of the pauses.
        clock: Monotonic seconds, by which the sink is timed.

    Attributes:
        failing: What the sink said at the last failure; None while it takes events.
        idle: The last step left nothing waiting.
    """

    def __init__(
        self,
        outbox: Outbox,
        sink: Sink,
        name: str,
        batch: int = 100,
        answer_s: float = ANSWER_S,
        rng: random.Random | None = None,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self.name = name
        self.failing: str | None = None
        self.idle = False
        self._outbox = outbox
        self._sink = sink
        self._batch = batch
        self._size = min(batch, FIRST_BATCH)
        self._answer_s = answer_s
        self._rng = rng or random.Random()
        self._clock = clock
        self._asked_s: float | None = None
        self._long = False
        self._told = False
        self._failures = 0
        self._due_s = float("-inf")
        self._refusals = (0, 0)  # of which event, and how many

    def step(self, now_s: float) -> float:
        """Publishes one batch if it is time; never raises.

        Returns:
            When to call again, on the clock of `now_s`; sooner is harmless.
        """
        if now_s < self._due_s:
            return self._due_s
        rows: Sequence[Waiting] = ()
        try:
            rows = self._outbox.take(self.name, self._size)
            if rows:
                self._publish(rows)
        except UnsayableError as error:
            if len(rows) == 1:
                return now_s if self._set_aside(rows[0], words_of(error), 1) else self._failed(error, now_s)
            self._size = 1  # the next step finds the one, and nothing was published
            return now_s
        except Exception as error:
            if (
                isinstance(error, RefusedError)
                and len(rows) == 1
                and self._set_aside(rows[0], words_of(error))
            ):
                return now_s
            return self._failed(error, now_s)
        return self._worked(rows, now_s)

    @property
    def problem(self) -> str | None:
        """Why the sink is no good at present, or None; for any thread, since the relay's own may be held up by it."""
        since_s = self._waits_s()
        if since_s >= self._answer_s:
            return f"sink {self.name}: it has not answered for {since_s:.0f} s"
        return f"sink {self.name}: {self.failing}" if self.failing else None

    def look(self) -> None:
        """Tells the log, once, that the sink hangs; to be called now and then by another thread."""
        hangs = self._waits_s() >= self._answer_s
        if hangs and not self._told:
            logger.error(
                "sink %s has not answered for %g s, events wait in the outbox", self.name, self._answer_s
            )
        elif self._told and not hangs:
            logger.info("sink %s answers again", self.name)
        self._told = hangs

    def start(self) -> None:
        """Tells the sink that a run begins, where it wants to know; never raises."""
        try:
            begin = facts(SinkFacts, self._sink, f"sink {self.name}").start
            if begin is not None:
                with self._asking():
                    begin()
        except Exception as error:
            logger.warning("sink %s does not start: %s", self.name, redact(words_of(error)))

    def hurry(self) -> None:
        """Lets the next step try at once, whatever pause was due."""
        self._due_s = float("-inf")
        self._failures = 0

    def close(self) -> None:
        """Closes the sink; never raises."""
        close = closing_of(self._sink)
        if close is not None:
            try:
                with self._asking():
                    close()
            except Exception as error:
                logger.warning("sink %s does not close: %s", self.name, redact(words_of(error)))

    def _waits_s(self) -> float:
        """How long the sink has been asked without an answer."""
        asked_s = self._asked_s
        return 0.0 if asked_s is None else self._clock() - asked_s

    @contextmanager
    def _asking(self) -> Iterator[None]:
        """Around every call into the sink, by which `problem` sees that it hangs; what it raises is an Exception."""
        self._asked_s = self._clock()
        try:
            yield
        except Exception:
            raise
        except BaseException as error:  # sys.exit() of a sink ends its call, not the thread
            raise _exit_of(error) from error
        finally:
            self._long = self._waits_s() > LONG_S
            self._asked_s = None

    def _publish(self, rows: Sequence[Waiting]) -> None:
        with self._asking():
            self._sink.publish([row.event for row in rows])
        self._outbox.done(self.name, [row.seq for row in rows])

    def _worked(self, rows: Sequence[Waiting], now_s: float) -> float:
        self._failures = 0
        self.idle = len(rows) < self._size
        self._size = max(1, self._size // 2) if self._long else min(self._batch, self._size * 2)
        if self.failing and (self.idle or self._long or self._size == self._batch):
            self.failing = None
            logger.info("sink %s takes events again", self.name)
        return now_s + IDLE_S if self.idle else now_s

    def _failed(self, error: Exception, now_s: float) -> float:
        problem = redact(words_of(error))
        if self.failing is None:
            logger.warning("sink %s does not take events, they wait in the outbox: %s", self.name, problem)
        self.failing = problem
        self.idle = False
        self._size = 1
        self._due_s = now_s + self._pause_s(error)
        return self._due_s

    def _set_aside(self, row: Waiting, said: str, refusals: int = REFUSALS) -> bool:
        """Whether it was refused often enough, and is marked now."""
        seq, times = self._refusals
        times = times + 1 if seq == row.seq else 1
        self._refusals = row.seq, times
        if times < refusals:
            return False
        reason = redact(said)
        try:
            self._outbox.refuse(self.name, row.seq, reason)
        except OutboxError:
            return False
        self._write_dead_letter(row, reason)
        logger.error(
            "sink %s refused event %s for good, see musewatch hits refused: %s",
            self.name, row.event["id"], reason,
        )  # fmt: skip
        self.failing, self._failures = None, 0
        return True

    def _write_dead_letter(self, row: Waiting, reason: str) -> None:
        if isinstance(self._sink, DeadLetters):
            try:
                with self._asking():
                    self._sink.set_aside(row.event, reason)
            except Exception as error:
                logger.warning("sink %s: no dead letter: %s", self.name, redact(words_of(error)))

    def _pause_s(self, error: Exception) -> float:
        if isinstance(error, BackpressureError):
            return _wish_s(error.retry_after_s)
        pause_s: float = min(LONGEST_PAUSE_S, FIRST_PAUSE_S * 2.0 ** min(self._failures, 10))
        self._failures += 1
        return max(FIRST_PAUSE_S, pause_s * self._rng.uniform(0.5, 1.0))


def _wish_s(retry_after_s: object) -> float:
    """A sink may say anything: what is no number is no wish."""
    wish_s = retry_after_s if isinstance(retry_after_s, float | int) else 0.0
    return min(LONGEST_WISH_S, max(FIRST_PAUSE_S, wish_s))


def _exit_of(error: BaseException) -> OutsideError:
    return OutsideError(f"it raised {type(error).__name__}", "a plugin must not end the process")


class RelayThread:
    """Steps a relay until it is told to stop; a sink that blocks holds up nobody else.

    Args:
        relay: What to step.
        clock: Seconds that never go back.
    """

    def __init__(self, relay: Relay, clock: Callable[[], float] = time.monotonic) -> None:
        self._relay = relay
        self._clock = clock
        self._woken = threading.Event()
        self._until_s: float | None = None
        self._thread = threading.Thread(target=self._run, name=f"relay-{relay.name}", daemon=True)

    def start(self) -> None:
        """Begins to publish."""
        self._thread.start()

    def wake(self) -> None:
        """Something new waits in the outbox."""
        self._woken.set()

    def stop(self, deadline_s: float) -> None:
        """Tries at once, whatever pause was due, and ends when nothing waits or at `deadline_s` of the clock.

        There is one try even when that has passed. Returns at once; `join` waits.
        """
        self._until_s = deadline_s
        self._woken.set()

    def join(self) -> bool:
        """Waits for the end that `stop` asked for; False when a call into the sink outlasts it."""
        until_s = self._clock() if self._until_s is None else self._until_s
        self._thread.join(max(0.0, until_s - self._clock()) + 1.0)
        return not self._thread.is_alive()

    def _run(self) -> None:
        self._relay.start()
        while self._until_s is None:
            self._woken.clear()
            self._pause(self._relay.step(self._clock()))
        self._relay.hurry()
        while True:
            due_s = self._relay.step(self._clock())
            if self._relay.idle or self._clock() >= self._until_s:
                break
            self._woken.clear()
            self._pause(min(due_s, self._until_s))
        self._relay.close()

    def _pause(self, until_s: float) -> None:
        self._woken.wait(max(0.0, until_s - self._clock()))


def publish_once(
    sink: Sink, events: Sequence[Mapping[str, Any]], answer_s: float, *, close: bool = True
) -> None:
    """Publishes without an outbox; for trials.

    Args:
        sink: Where to.
        events: What; none = it only reaches for the other side.
        answer_s: A sink that does not come back for so long is left to itself.
        close: Closes it then, if it came back.

    Raises:
        OutsideError: It does not come back.
        Exception: Whatever the sink raises.
    """
    failures: list[Exception] = []

    def publish() -> None:
        try:
            try:
                sink.publish(events)
            finally:
                if close:
                    close_quietly(sink)
        except Exception as error:
            failures.append(error)
        except BaseException as error:
            failures.append(_exit_of(error))

    thread = threading.Thread(target=publish, name="trial", daemon=True)
    thread.start()
    thread.join(answer_s)
    if thread.is_alive():
        raise OutsideError(f"it has not answered for {answer_s:.0f} s", "see outbox.answer_s")
    if failures:
        raise failures[0]
