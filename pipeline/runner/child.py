"""A process that takes a group of streams to tracklets, and what it says to the one that started it.

It is begun by `work`. Tracklets leave by a pipe of their own, so that a full one holds up nothing but frames; all else
is said on a second one, which ends the process when its other end is closed.
"""

import logging
import os
import pickle
import signal
import threading
import time
from collections.abc import Mapping, Sequence
from contextlib import ExitStack, suppress
from dataclasses import dataclass
from multiprocessing.connection import Connection
from typing import Any

from prometheus_client.core import Metric

from pipeline.config import Config, StreamConfig
from pipeline.errors import words_of
from pipeline.messages import Tracklet
from pipeline.runner.assembly import Cameras, open_cameras
from pipeline.runner.gate import StreamCounts
from pipeline.runner.process import Process
from pipeline.secrets import remember

BEAT_S = 1.0
LEFT_ALONE = 1  # exit status: whoever started it is gone
SIGNALS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)
"""They go to every process of a terminal or a service; only the one that started the others acts on them."""


@dataclass(frozen=True, slots=True)
class Ready:
    """All parts are there; `notes` is what the first run on a site says of them."""

    notes: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Beat:
    """How the group stands, said every `BEAT_S`.

    Attributes:
        counts: Of its frames, by stream.
        unreached: By stream, why none ever came of a live one.
        problems: Reasons not to be ready.
        notes: What somebody should look at.
        metrics: All others.
    """

    counts: Mapping[str, StreamCounts]
    unreached: Mapping[str, str]
    problems: tuple[str, ...]
    notes: tuple[str, ...]
    metrics: tuple[Metric, ...]


@dataclass(frozen=True, slots=True)
class Ended:
    """The process is over, in order.

    Attributes:
        failure: Why it ended early or could not start; None when all went well.
        streams: Those that it had last.
        fatal: Whether a thread has died, which ends the whole run.
    """

    failure: Exception | None
    streams: tuple[StreamConfig, ...] = ()
    fatal: bool = False


@dataclass(frozen=True, slots=True)
class Said:
    """A line for the log."""

    logger: str
    level: int
    text: str


@dataclass(frozen=True, slots=True)
class Start:
    """Order: the streams may be opened."""


@dataclass(frozen=True, slots=True)
class Finish:
    """Order: the streams are stopped, what was taken of them is followed to its tracklets, and the process ends."""


@dataclass(frozen=True, slots=True)
class Change:
    """Order: the streams are those of this config from now on; `secrets` are not to be printed."""

    config: Config
    secrets: frozenset[str]


def work(
    config: Config, talk: Connection, tracklets: Connection, secrets: frozenset[str], level: int
) -> None:
    """The whole life of the process.

    Args:
        config: Of its streams alone.
        talk: Both ways: orders come, all but tracklets goes.
        tracklets: They go.
        secrets: Not to be printed.
        level: From which on lines go to the log.
    """
    for number in SIGNALS:
        signal.signal(number, _leave_to_parent)
    signal.pthread_sigmask(signal.SIG_UNBLOCK, SIGNALS)
    _remember(secrets)
    line = _Line(talk)
    _send_log(line, level)
    try:
        with ExitStack() as opened:
            cameras = open_cameras(config, _Outlet(tracklets), opened)
            ended = _Camera(cameras, config, line).run()
    except Exception as error:
        ended = Ended(_portable(error))
    line.say(ended)


class _Outlet:
    """Where tracklets leave the process; waits while nobody takes them."""

    def __init__(self, pipe: Connection) -> None:
        self._pipe = pipe

    def publish(self, tracklets: Sequence[Tracklet]) -> None:
        for tracklet in tracklets:
            self._pipe.send(tracklet)


class _Line:
    """Says things, from any thread; once nobody listens it is of no use, and no harm."""

    def __init__(self, pipe: Connection) -> None:
        self._pipe = pipe
        self._turn = threading.Lock()

    def say(self, what: object) -> None:
        with self._turn, suppress(OSError):
            self._pipe.send(what)

    def hear(self) -> Any:
        """The next order.

        Raises:
            EOFError: Nobody is there any more.
            OSError: The same.
        """
        return self._pipe.recv()


class _Camera:
    """Obeys orders, and says how the streams stand."""

    def __init__(self, cameras: Cameras, config: Config, line: _Line) -> None:
        self._front, self._telemetry, self._failures = cameras.front, cameras.telemetry, cameras.failures
        self._notes, self._line, self._streams = cameras.notes, line, config.streams
        self._process = Process(
            [cameras.front], cameras.failures, cameras.looks.guests, config.outbox.drain_s
        )
        self._may_start = threading.Event()
        self._change: Config | None = None
        self._said_s = 0.0

    def run(self) -> Ended:
        threading.Thread(target=self._obey, name="orders", daemon=True).start()
        self._line.say(Ready(self._notes))
        self._may_start.wait()
        self._process.run(None, self._tick)
        self._say_how()
        failure = self._process.failure
        fatal = self._failures.fatal is not None
        return Ended(failure and _portable(failure), self._streams, fatal)

    def _obey(self) -> None:
        try:
            while True:
                order = self._line.hear()
                if isinstance(order, Change):
                    _remember(order.secrets)
                    self._change = order.config
                    continue
                if isinstance(order, Finish):
                    self._process.stop()
                self._may_start.set()
        except (EOFError, OSError):
            os._exit(LEFT_ALONE)

    def _tick(self) -> None:
        if self._change is not None:
            changed, self._change = self._change, None
            self._front.reload(changed)
            self._streams = changed.streams
        if time.monotonic() - self._said_s >= BEAT_S:
            self._say_how()

    def _say_how(self) -> None:
        self._said_s = time.monotonic()
        unreached = {stream.id: stream.problem for stream in self._front.summary() if stream.problem}
        self._line.say(
            Beat(
                self._front.counts(),
                unreached,
                tuple(self._process.problems()),
                tuple(self._telemetry.notes()),
                tuple(self._telemetry.apart_from_frames()),
            )
        )


class _LogToParent(logging.Handler):
    def __init__(self, line: _Line) -> None:
        super().__init__()
        self._line = line

    def emit(self, record: logging.LogRecord) -> None:
        self._line.say(Said(record.name, record.levelno, record.getMessage()))


def _send_log(line: _Line, level: int) -> None:
    """What is logged here appears in the log of the one that started it; libraries' own lines go nowhere."""
    logging.getLogger().handlers = [logging.NullHandler()]
    for name in ("musewatch", "pipeline", "plugins", "engines"):
        own = logging.getLogger(name)
        own.handlers, own.propagate = [_LogToParent(line)], False
        own.setLevel(level)


def _leave_to_parent(signum: int, _: object) -> None:
    """Nothing; unlike an ignored signal this is not handed down to programs that a plugin starts."""


def _remember(secrets: frozenset[str]) -> None:
    for secret in secrets:
        remember(secret)


def _portable(error: Exception) -> Exception:
    """The error, or its words where it cannot leave the process."""
    try:
        pickle.loads(pickle.dumps(error))
    except Exception:  # somebody else's, which takes other arguments than it keeps
        return RuntimeError(f"{type(error).__name__}: {words_of(error)}")
    return error
