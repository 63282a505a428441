"""One group of streams: the process that has them, and the next one when it dies."""

import logging
import multiprocessing
import signal
import threading
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import replace
from multiprocessing.connection import Connection
from typing import Any

from prometheus_client.core import Metric

from pipeline.bounds import MAX_COUNT
from pipeline.config import Config, StreamConfig
from pipeline.errors import OutsideError
from pipeline.messages import Clock, EndReason, TrackKey, Tracklet
from pipeline.runner.child import BEAT_S, SIGNALS, Beat, Change, Ended, Finish, Ready, Said, Start, work
from pipeline.runner.front import Outlet, StreamSummary
from pipeline.runner.gate import StreamCounts
from pipeline.runner.summed import lasting, summed
from pipeline.secrets import redact, remembered

logger = logging.getLogger("musewatch.runner")

SILENT_S = 10 * BEAT_S
REMEMBERED = 100_000  # tracks of recordings whose last number is kept
_SHOWN = 4  # streams of a group that are named


class Handover:
    """Passes the tracklets of a group on, each once, whichever of its processes they come from.

    A process that takes the place of a dead one plays recordings from their start, with the same tracks: what has been
    handed over of them is not handed over again. A live stream is a new one to it.

    Args:
        bus: Takes them.
    """

    def __init__(self, bus: Outlet) -> None:
        self._bus = bus
        self._open: dict[TrackKey, Tracklet] = {}
        self._numbers: dict[TrackKey, int] = {}

    def take(self, tracklet: Tracklet) -> None:
        """Passes one on, unless it has been before; waits while the bus is full."""
        key = tracklet.key
        if tracklet.number <= self._numbers.get(key, 0):
            return
        if tracklet.clock is Clock.FILE:
            self._numbers[key] = tracklet.number
            if len(self._numbers) > REMEMBERED:
                del self._numbers[next(iter(self._numbers))]
        self._open.pop(key, None)
        if tracklet.end is None:
            self._open[key] = tracklet
        self._bus.publish([tracklet])

    def close(self, *, recordings: bool) -> None:
        """Ends the tracks of streams that are lost; those of recordings only when these are not played again."""
        for key, tracklet in list(self._open.items()):
            if recordings or tracklet.clock is not Clock.FILE:
                del self._open[key]
                number = min(tracklet.number + 1, MAX_COUNT)
                self._bus.publish([replace(tracklet, number=number, end=EndReason.STREAM_LOST)])

    def __len__(self) -> int:
        """Tracks that are open."""
        return len(self._open)


class Child:
    """A process of `child.work`, from its start to its end.

    Args:
        config: Of its streams alone.
        name: Of the process.
        handover: Takes its tracklets; open tracks of live streams are ended when it dies.

    Attributes:
        ready: What it said when all its parts were there.
        beat: How it stood last.
        beat_s: When that was, on the monotonic clock.
        ended: What it said at its end; None where it has not come to that.
        answered: Set once it is ready, or over.
    """

    def __init__(self, config: Config, name: str, handover: Handover) -> None:
        self.ready: Ready | None = None
        self.beat: Beat | None = None
        self.beat_s = time.monotonic()
        self.ended: Ended | None = None
        self.answered = threading.Event()
        self._handover, self._turn = handover, threading.Lock()
        spawning = multiprocessing.get_context(
            "spawn"
        )  # a fork would copy threads in the middle of their work
        self._talk, talk = spawning.Pipe()
        self._tracklets, tracklets = spawning.Pipe(duplex=False)
        level = logging.getLogger("musewatch").getEffectiveLevel()
        self._process = spawning.Process(
            target=work, args=(config, talk, tracklets, remembered(), level), name=name
        )
        with _signals_held():
            self._process.start()
        talk.close()
        tracklets.close()
        self._listening = threading.Thread(target=self._listen, name=f"{name} says", daemon=True)
        self._receiving = threading.Thread(target=self._receive, name=f"{name} tracklets", daemon=True)
        self._listening.start()
        self._receiving.start()

    @property
    def over(self) -> bool:
        """Whether it is gone, and all that it gave has been passed on."""
        return not self._receiving.is_alive()

    @property
    def how_it_died(self) -> str:
        """In words."""
        code = self._process.exitcode
        if code is not None and code < 0:
            return f"was killed by {signal.Signals(-code).name}"
        return f"ended with exit status {code}"

    def order(self, what: Start | Finish | Change) -> None:
        """Tells it to do something; in vain where it is gone."""
        with self._turn:
            try:
                self._talk.send(what)
            except OSError:
                logger.debug("%s is gone", self._process.name)

    def join(self, timeout_s: float) -> None:
        """Waits until it is over."""
        self._receiving.join(timeout_s)

    def kill(self) -> None:
        """Ends it at once, where it has not ended."""
        self._process.kill()
        self._process.join()
        self._listening.join()
        with self._turn:
            self._talk.close()

    def _listen(self) -> None:
        for said in _messages(self._talk):
            if isinstance(said, Said):
                logging.getLogger(said.logger).log(said.level, "%s", redact(said.text))
            elif isinstance(said, Beat):
                self.beat, self.beat_s = said, time.monotonic()
            elif isinstance(said, Ended):
                self.ended = said
            elif isinstance(said, Ready):
                self.ready = said
                self.answered.set()
        self._process.join()
        self.answered.set()

    def _receive(self) -> None:
        for tracklet in _messages(self._tracklets):
            self._handover.take(tracklet)
        self._tracklets.close()
        self._listening.join()
        if self.ended is None:
            self._handover.close(recordings=False)


class Group:
    """Streams that share a process, which is started again when it dies.

    Args:
        number: From 1.
        config: Of its streams alone.
        bus: Takes the tracklets.

    Attributes:
        number: From 1.
        restarts: How often its process had to be started again.
        failure: Why its process ended early though in order; None otherwise.
        fatal: Whether that ends the whole run.
    """

    def __init__(self, number: int, config: Config, bus: Outlet) -> None:
        self.number, self.restarts = number, 0
        self.failure: Exception | None = None
        self.fatal = False
        self._config, self._handover = config, Handover(bus)
        self._finished: tuple[StreamConfig, ...] = ()
        self._finishing = False
        self._counts: dict[str, StreamCounts] = {}
        self._unreached: Mapping[str, str] = {}
        self._metrics: list[Metric] = []
        self._trouble: str | None = None
        self._failed = 0
        self._again_s: float | None = None
        self._started = False
        self._child: Child | None = self._new_child()

    @property
    def stream_ids(self) -> tuple[str, ...]:
        """Its streams."""
        return tuple(stream.id for stream in self._config.streams)

    @property
    def up(self) -> bool:
        """Whether its process is there and at work."""
        return self._child is not None and self._started

    @property
    def done(self) -> bool:
        """Whether all its streams have ended for good."""
        return self._child is None and self._again_s is None

    def wait_until_ready(self) -> tuple[str, ...]:
        """What its parts say of themselves.

        Raises:
            Exception: Why its process could not start.
        """
        assert self._child is not None
        self._child.answered.wait()
        if self._child.ready is not None:
            return self._child.ready.notes
        if self._child.ended is not None and self._child.ended.failure is not None:
            raise self._child.ended.failure
        raise OutsideError(f"the process of {self._name} {self._child.how_it_died} while it started")

    def start(self) -> None:
        """Lets it open its streams, as soon as it is ready."""
        self._started = True
        if self._child is not None:
            self._child.order(Start())

    def look(self, now_s: float) -> None:
        """Sees whether its process has ended, and starts it again where it has died and the pause is over."""
        if self._child is not None and self._child.over:
            self._take_leave(self._child, now_s)
        if self._again_s is not None and now_s >= self._again_s and not self._finishing:
            self._again_s = None
            self.restarts += 1
            self._child = self._new_child()
            self.start()

    def change(self, config: Config) -> None:
        """Takes other streams; nothing happens where they are the same."""
        if config.streams == self._config.streams:
            return
        self._config = config
        for gone in self._counts.keys() - {stream.id for stream in config.streams}:
            del self._counts[gone]
        if self._child is not None:
            self._child.order(Change(self._unfinished, remembered()))
        elif self._again_s is None and self._unfinished.streams:
            self._child = self._new_child()
            self.start()

    def finish(self) -> None:
        """Asks its process to end."""
        self._finishing = True
        self._again_s = None
        if self._child is not None and self._child.ready is None:
            self._child.kill()  # it has nothing to hand over yet
        elif self._child is not None:
            self._child.order(Finish())

    def join(self, deadline_s: float) -> bool:
        """Waits for that; whether it has come to its end by the deadline, of the monotonic clock."""
        if self._child is not None:
            self._child.join(max(1.0, deadline_s - time.monotonic()))
            if not self._child.over:
                return False
            self._take_leave(self._child, time.monotonic())
        closing = threading.Thread(
            target=self._handover.close, kwargs={"recordings": True}, name=f"end {self.number}", daemon=True
        )
        closing.start()
        closing.join(max(1.0, deadline_s - time.monotonic()))
        return not closing.is_alive()

    def kill(self) -> None:
        """Ends its process at once, where there is one."""
        if self._child is not None:
            self._child.kill()

    def counts(self) -> dict[str, StreamCounts]:
        """Of the frames of its streams, in all its processes."""
        now = self._beat.counts if self._beat else {}
        nothing = StreamCounts()
        return {
            name: self._counts.get(name, nothing).plus(now.get(name, nothing)) for name in self.stream_ids
        }

    def summary(self) -> dict[str, StreamSummary]:
        """By stream."""
        unreached = self._beat.unreached if self._beat else self._unreached
        return {
            name: StreamSummary(
                name, c.frames_in, c.frames_inferred, c.dropped, c.reconnects,
                None if c.frames_in else unreached.get(name),
            )
            for name, c in self.counts().items()
        }  # fmt: skip

    def metrics(self) -> list[Metric]:
        """All but those of the frames, of all its processes."""
        return summed([self._metrics, self._beat.metrics if self._beat else ()])

    def notes(self) -> Sequence[str]:
        """What somebody should look at though the work goes on."""
        return self._beat.notes if self._beat else ()

    def problems(self, now_s: float) -> list[str]:
        """Reasons not to be ready."""
        if self.done or self._finishing:
            return []
        if self._child is None or not self._child.beat:
            trouble = [f"the process of {self._name} {self._trouble}"] if self._trouble else []
            return trouble + [f"stream {name} is down" for name in self.stream_ids]
        if now_s - self._child.beat_s > SILENT_S:
            silent = f"has said nothing for {now_s - self._child.beat_s:.0f} s"
            return [f"the process of {self._name} {silent}", *self._child.beat.problems]
        return [redact(problem) for problem in self._child.beat.problems]

    @property
    def _beat(self) -> Beat | None:
        return self._child.beat if self._child is not None else None

    @property
    def _name(self) -> str:
        names = list(self.stream_ids)
        more = [f"{len(names) - _SHOWN} more"] if len(names) > _SHOWN else []
        return f"group {self.number} ({', '.join(names[:_SHOWN] + more)})"

    @property
    def _unfinished(self) -> Config:
        streams = tuple(stream for stream in self._config.streams if stream not in self._finished)
        return self._config.model_copy(update={"streams": streams})

    def _new_child(self) -> Child:
        return Child(self._unfinished, f"musewatch group {self.number}", self._handover)

    def _take_leave(self, child: Child, now_s: float) -> None:
        """Keeps what its process has counted, and sees to what comes next."""
        child.kill()
        if child.beat is not None:
            self._keep(child.beat)
        self._child = None
        if child.ended is None or child.ready is None:
            if not self._finishing:
                self._start_again(child, now_s)
            return
        self.failure, self.fatal = child.ended.failure, child.ended.fatal
        self._finished = child.ended.streams
        if self._unfinished.streams and not self._finishing:  # it ended before it heard of them
            self._child = self._new_child()
            self.start()

    def _keep(self, beat: Beat) -> None:
        self._unreached = beat.unreached
        self._metrics = summed([self._metrics, lasting(beat.metrics)])
        for name, counts in beat.counts.items():
            self._counts[name] = self._counts.get(name, StreamCounts()).plus(replace(counts, up=False))

    def _start_again(self, child: Child, now_s: float) -> None:
        worked = child.beat is not None and any(counts.frames_in for counts in child.beat.counts.values())
        self._failed = 1 if worked else self._failed + 1
        first_s, longest_s = self._config.runner.backoff_s
        pause_s = min(longest_s, first_s * 2.0 ** min(self._failed - 1, 16))
        self._again_s = now_s + pause_s
        failure = child.ended.failure if child.ended is not None else None
        self._trouble = f"cannot start: {redact(str(failure))}" if failure else child.how_it_died
        logger.error("the process of %s %s; starting it again in %.1f s", self._name, self._trouble, pause_s)


def _messages(pipe: Connection) -> Iterator[Any]:
    """What comes through a pipe until its other end is closed, maybe in the middle of a message."""
    while True:
        try:
            yield pipe.recv()
        except (EOFError, OSError):
            return


@contextmanager
def _signals_held() -> Iterator[None]:
    """A process started meanwhile gets none of them before it has said what to do with them."""
    before = signal.pthread_sigmask(signal.SIG_BLOCK, SIGNALS)
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)
