"""Calls into a plugin: one at a time, each for so long at most, counted; one that hangs is left behind."""

import logging
import threading
import time
import weakref
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from queue import SimpleQueue
from typing import Any, TypeVar

from pipeline.errors import HangingError, InputError, words_of
from pipeline.secrets import redact

logger = logging.getLogger("musewatch.plugin")

MOST_LEFT = 3  # calls of one plugin that hang at the same time: each keeps a thread
TRY_AGAIN_S = 60.0  # after which a plugin whose call never came back is asked again, in a new thread
LOG_EVERY_S = 10.0
ROLES = ("detector", "tracker", "embedder", "codec", "index", "verifier", "masker")
SPARE = ("index", "verifier", "masker")  # hits are made without them
PICTURES = 8  # in a call that has no longer than its limit
FIRST_TIMES = 5  # a network may be made ready by its first call
TOLD_S = 60.0  # for so long a failure is a reason not to be ready, unless a call works before

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Limits:
    """How long a call may take.

    Attributes:
        call_s: Then it is given up.
        first_s: The same until the first answer came: a network may be made ready by its first call.
        told_s: After so long it is a reason not to be ready, given up or not.
    """

    call_s: float
    first_s: float
    told_s: float


@dataclass(slots=True)
class CallCounts:
    """What became of the calls so far."""

    calls: int = 0
    failures: int = 0
    timeouts: int = 0


class _Job:
    """A call, carried out by one thread and awaited by another."""

    __slots__ = ("_args", "_call", "_pending", "answer", "asked_s", "error")

    def __init__(self, call: Callable[..., Any], args: tuple[Any, ...], asked_s: float) -> None:
        self._call, self._args, self.asked_s = call, args, asked_s
        self.answer: Any = None
        self.error: BaseException | None = None
        self._pending = threading.Lock()  # held until it is done; half as dear as an Event
        self._pending.acquire()

    @property
    def done(self) -> bool:
        return not self._pending.locked()

    def wait(self, timeout_s: float) -> bool:
        """Whether it is done in time; once."""
        in_time = self._pending.acquire(timeout=min(timeout_s, threading.TIMEOUT_MAX))
        if in_time:
            self._pending.release()
        return in_time

    def carry_out(self) -> None:
        try:
            self.answer = self._call(*self._args)
        except BaseException as error:  # even sys.exit() of a plugin ends its call only
            self.error = error
        self._pending.release()


def _work(jobs: "SimpleQueue[_Job | None]") -> None:
    while (job := jobs.get()) is not None:
        job.carry_out()
        del job  # its pictures need not wait for the next one


class Calls:
    """The calls into one plugin, carried out by a thread of its own.

    A call beyond its limit is left behind in its thread. Until it comes back the plugin is not asked, but for one
    more try every `TRY_AGAIN_S`, while fewer than `MOST_LEFT` calls hang.

    Args:
        role: Of the plugin.
        name: The plugin in the words of the log: verifier 'lmm'.
        limits: How long a call may take.
        counts: Shared by all plugins of a role.
        clock: Monotonic seconds.
    """

    def __init__(
        self,
        role: str,
        name: str,
        limits: Limits,
        counts: CallCounts,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self.role = role
        self._name, self._limits, self._counts, self._clock = name, limits, counts, clock
        self._turn = threading.Lock()
        self._jobs: SimpleQueue[_Job | None] | None = None
        self._thread: threading.Thread | None = None
        self._end_thread: Callable[[], object] | None = None
        self._running: _Job | None = None
        self._left: list[_Job] = []
        self._ask_again_s = 0.0
        self._answered = False
        self._failing: str | None = None
        self._failed_s = self._logged_s = -max(LOG_EVERY_S, TOLD_S)

    def ask(self, check: Callable[[Any], T], call: Callable[..., Any], *args: Any, pictures: int = 1) -> T:
        """The answer of a call, as `check` gives it.

        Args:
            check: Makes the answer of what the plugin gave.
            call: Its method.
            args: What it is asked.
            pictures: How many it is to look at: more than `PICTURES` have longer, in proportion.

        Raises:
            HangingError: It was given up, or an earlier one still hangs.
            Exception: Whatever the plugin or `check` raises.
        """
        with self._turn:
            job = self._carried_out(call, args, max(1.0, pictures / PICTURES))
            if job.error is not None:
                raise self._failed(job.error)
            try:
                answer = check(job.answer)
            except Exception as error:
                raise self._failed(error) from None
            if self._failing is not None:
                self._failing = None
                logger.info("the %s works again", self._name)
            return answer

    @property
    def hangs(self) -> bool:
        """Whether a call that was given up has not come back; for any thread."""
        return any(not job.done for job in self._left)

    @property
    def problem(self) -> str | None:
        """Why this plugin is no good at present, or None; for any thread."""
        now_s = self._clock()
        running = self._running
        slow = running is not None and now_s - running.asked_s > self._limits.told_s
        waiting = [job.asked_s for job in self._left if not job.done]
        waiting += [running.asked_s] if slow and running is not None else []
        if waiting:
            return f"the {self._name} has not answered for {now_s - min(waiting):.0f} s"
        failing = self._failing
        return failing if now_s - self._failed_s < TOLD_S else None

    def close(self, last: Callable[[], object] | None) -> None:
        """Ends the thread behind a last call; never raises, and waits no longer than for any call."""
        if last is not None:
            try:
                self.ask(lambda _: None, last)
            except Exception as error:
                logger.warning("the %s does not close: %s", self._name, redact(words_of(error)))
        with self._turn:
            self._leave_thread()

    def _carried_out(self, call: Callable[..., Any], args: tuple[Any, ...], patience: float) -> _Job:
        self._need_answering()
        self._counts.calls += 1
        job = _Job(call, args, self._clock())
        limit_s = patience * (self._limits.call_s if self._answered else self._limits.first_s)
        self._queue().put(job)
        self._running = job
        in_time = job.wait(limit_s)
        self._running = None
        if not in_time:
            raise self._give_up(job, limit_s)
        self._answered = True
        return job

    def _queue(self) -> "SimpleQueue[_Job | None]":
        """Of the present thread; begun when there is none."""
        if self._jobs is None or self._thread is None or not self._thread.is_alive():  # as behind a fork
            self._jobs = jobs = SimpleQueue[_Job | None]()
            self._thread = threading.Thread(target=_work, args=(jobs,), name=self._name, daemon=True)
            self._thread.start()
            self._end_thread = weakref.finalize(self, jobs.put, None)
        return self._jobs

    def _leave_thread(self) -> None:
        """The present thread ends as soon as it can."""
        if self._end_thread is not None:
            self._end_thread()
        self._jobs = self._thread = self._end_thread = None

    def _need_answering(self) -> None:
        hanging = [job for job in self._left if not job.done]
        if self._left and not hanging:
            logger.info("the %s answers again", self._name)
        self._left = hanging
        if hanging and (self._clock() < self._ask_again_s or len(hanging) >= MOST_LEFT):
            since_s = self._clock() - hanging[0].asked_s
            raise HangingError(f"the {self._name} has not answered for {since_s:.0f} s")

    def _give_up(self, job: _Job, limit_s: float) -> HangingError:
        self._counts.timeouts += 1
        self._left.append(job)
        self._ask_again_s = self._clock() + TRY_AGAIN_S
        self._leave_thread()
        logger.error("the %s did not answer within %.1f s; going on without it", self._name, limit_s)
        return HangingError(f"the {self._name} did not answer within {limit_s:g} s")

    def _failed(self, error: BaseException) -> Exception:
        """What to raise for it; a refused input is no failure of the plugin."""
        if isinstance(error, InputError):
            return error
        self._counts.failures += 1
        now_s = self._clock()
        text = redact(words_of(error))
        if now_s - self._logged_s >= LOG_EVERY_S:
            self._logged_s = now_s
            logger.error("the %s failed: %s", self._name, text)
        self._failing, self._failed_s = f"the {self._name} failed: {text}", now_s
        return error if isinstance(error, Exception) else RuntimeError(f"it raised {type(error).__name__}")


class Guests:
    """All plugins of a process that are asked through `Calls`: their limits, and how they are.

    Args:
        call_s: Longest call of a plugin without which nothing goes on; `FIRST_TIMES` as long until its first answer.
        spare_call_s: The same of a plugin that can be done without, at once.
    """

    def __init__(self, call_s: float = 60.0, spare_call_s: float = 10.0) -> None:
        told_s = min(call_s, spare_call_s) / 2
        spare = Limits(spare_call_s, spare_call_s, told_s)
        needed = Limits(call_s, FIRST_TIMES * call_s, told_s)
        self._limits = {role: spare if role in SPARE else needed for role in ROLES}
        self._counts: dict[str, CallCounts] = {role: CallCounts() for role in ROLES}
        self._calls: weakref.WeakSet[Calls] = weakref.WeakSet()
        self._changing = threading.Lock()

    def calls(self, role: str, name: str) -> Calls:
        """The calls into one more plugin."""
        made = Calls(role, f"{role} {name!r}", self._limits[role], self._counts[role])
        with self._changing:
            self._calls.add(made)
        return made

    def problems(self) -> list[str]:
        """Why some of them are no good at present; for any thread."""
        return sorted({problem for calls in self._all() if (problem := calls.problem)})

    def failures(self) -> list[Exception]:
        """Plugins that hang and could not be done without: what they were asked about is lost."""
        return [
            HangingError(
                f"{problem}, and what it was asked about is lost", "see its own log, and runner.call_s"
            )
            for calls in self._all()
            if calls.role not in SPARE and calls.hangs and (problem := calls.problem)
        ]

    def counts(self) -> Mapping[str, CallCounts]:
        """By role; live objects, to be read."""
        return self._counts

    def _all(self) -> list[Calls]:
        with self._changing:
            return list(self._calls)
