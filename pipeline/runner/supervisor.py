"""Cameras in several processes under one: each takes a group of streams to tracklets, which come here."""

import logging
import time
from collections.abc import Callable, Iterable, Mapping
from contextlib import ExitStack
from itertools import zip_longest

from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, Metric
from prometheus_client.registry import Collector

from pipeline import build
from pipeline.config import Config
from pipeline.protocols import Bus
from pipeline.runner.assembly import Cameras, open_cameras
from pipeline.runner.front import FrontPart, StreamSummary
from pipeline.runner.gate import StreamCounts
from pipeline.runner.group import Group
from pipeline.runner.groups import grouped, groups_of, most_groups
from pipeline.runner.process import Failures
from pipeline.runner.telemetry import Telemetry
from pipeline.secrets import redact

logger = logging.getLogger("musewatch.runner")


class Supervisor(FrontPart):
    """Has every group of streams in a process of its own; starts it again when it dies.

    A process that cannot hand on its tracklets waits, and its frames are dropped in front.

    Args:
        config: Names the streams.
        bus: Inside this process; takes the tracklets.

    Attributes:
        telemetry: Of all processes together.
        survived: Failures of the parts behind.
    """

    def __init__(self, config: Config, bus: Bus) -> None:
        self.telemetry = Telemetry(self.counts)
        self.survived = Failures(self.telemetry)
        self._config, self._bus = config, bus
        self._most = most_groups(config.processes)
        self._inferred = 0
        self._leaving: list[Group] = []
        self._groups: list[Group] = []
        self.telemetry.registry.register(_Processes(lambda: self._groups))
        self.telemetry.join(lambda: [group.metrics() for group in self._groups])

    def open(self) -> tuple[str, ...]:
        """Starts the processes and waits until all are ready; what their parts say of themselves, each thing once.

        Raises:
            ConfigError: A part of them cannot start.
            OutsideError: A process has died meanwhile.
        """
        for ids in groups_of(self._config):
            self._groups.append(self._new_group(self._config, ids))
        notes = [note for group in self._groups for note in group.wait_until_ready()]
        return tuple(dict.fromkeys(notes))

    def close(self) -> None:
        """Ends every process that is still there, at once."""
        for group in self._all:
            group.kill()

    def start(self) -> None:
        """Begins."""
        for group in self._groups:
            group.start()

    def look(self) -> bool:
        """Starts anew what has died; False when all streams have ended, or nothing can go on."""
        now_s = time.monotonic()
        for group in self._all:
            group.look(now_s)
        self._leaving = [group for group in self._leaving if not group.done]
        self.telemetry.note("streams", [note for group in self._groups for note in group.notes()])
        inferred = sum(counts.frames_inferred for counts in self.counts().values())
        if inferred > self._inferred:
            self.survived.worked()
        self._inferred = inferred
        return not all(group.done for group in self._groups) and not any(
            group.fatal for group in self._groups
        )

    def problems(self) -> list[str]:
        """Of all groups."""
        now_s = time.monotonic()
        return [problem for group in self._groups for problem in group.problems(now_s)]

    def finish(self, deadline_s: float) -> bool:
        """Stops the streams, and waits until everything that was taken of them has reached the bus."""
        for group in self._all:
            group.finish()
        return all([group.join(deadline_s) for group in self._all])

    def failures(self) -> list[Exception]:
        """Why streams have ended for good before their time."""
        return [group.failure for group in self._groups if group.failure is not None]

    def counts(self) -> Mapping[str, StreamCounts]:
        """What became of the frames so far, by stream."""
        counts = {name: found for group in self._groups for name, found in group.counts().items()}
        return {stream.id: counts[stream.id] for stream in self._config.streams if stream.id in counts}

    def summary(self) -> tuple[StreamSummary, ...]:
        """The same, with why none ever came."""
        found = {name: told for group in self._groups for name, told in group.summary().items()}
        return tuple(found[stream.id] for stream in self._config.streams if stream.id in found)

    def reload(self, config: Config) -> None:
        """Takes the streams of another config; those that stay keep their process."""
        if not config.streams:
            logger.error("the config was not reloaded: it has no streams; a signal ends the run")
            return
        known = self._config.streams
        try:
            for stream in config.streams:
                if stream not in known:
                    build.source_factory(config, stream)
        except Exception as error:
            logger.error("the config was not reloaded: %s", redact(str(error)))
            return
        self._config = self._config.model_copy(update={"streams": config.streams})
        names = [stream.id for stream in config.streams]
        before = [group.stream_ids for group in self._groups]
        groups, self._groups = self._groups, []
        for group, ids in zip_longest(groups, grouped(names, self._most, before)):
            self._change(group, ids)

    def _change(self, group: Group | None, ids: tuple[str, ...]) -> None:
        if group is None:
            group = self._new_group(self._config, ids)
            group.start()
        elif not ids:
            group.finish()
            self._leaving.append(group)
            return
        else:
            group.change(_part(self._config, ids))
        self._groups.append(group)

    def _new_group(self, config: Config, ids: tuple[str, ...]) -> Group:
        taken = {group.number for group in self._all}
        number = next(n for n in range(1, len(taken) + 2) if n not in taken)
        return Group(number, _part(config, ids), self._bus)

    @property
    def _all(self) -> list[Group]:
        return [*self._groups, *self._leaving]


class _Processes(Collector):
    """Whether the processes are there, read when somebody asks."""

    def __init__(self, groups: Callable[[], Iterable[Group]]) -> None:
        self._groups = groups

    def collect(self) -> Iterable[Metric]:
        up = GaugeMetricFamily(
            "musewatch_process_up", "1 while the process of a group of streams is there.", labels=["group"]
        )
        restarts = CounterMetricFamily(
            "musewatch_process_restarts", "How often it had to be started again.", labels=["group"]
        )
        for group in self._groups():
            up.add_metric([str(group.number)], float(group.up))
            restarts.add_metric([str(group.number)], group.restarts)
        return [up, restarts]


def open_front(config: Config, bus: Bus, opened: ExitStack) -> Cameras:
    """Puts together what takes streams to tracklets: in this process, or in as many as the config says.

    Args:
        config: What to run.
        bus: Inside this process; takes the tracklets.
        opened: Closes what is opened.

    Raises:
        ConfigError: A part cannot start.
        OutsideError: A process has died while it started.
    """
    if len(groups_of(config)) < 2:
        return open_cameras(config, bus, opened)
    supervisor = Supervisor(config, bus)
    opened.callback(supervisor.close)
    notes = supervisor.open()
    guests = build.guests(config)
    supervisor.telemetry.watch(guests)
    looks = build.open_looks(config, opened, guests)
    return Cameras(supervisor.telemetry, supervisor.survived, looks, supervisor, notes)


def _part(config: Config, ids: tuple[str, ...]) -> Config:
    """The same for some of the streams alone."""
    streams = tuple(stream for stream in config.streams if stream.id in ids)
    return config.model_copy(update={"streams": streams})
