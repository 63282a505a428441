"""Runs the parts of a long command on all cores, shows how far it is, and leaves out what is already done."""

import json
import multiprocessing
import os
import queue
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import Future, ProcessPoolExecutor
from pathlib import Path
from typing import Any

from pipeline.errors import InputError
from pipeline.output import say

RUN_FILE = "world.json"
Report = Callable[[int], None]
_reports: Any = None


def open_output(out: Path, run: Mapping[str, Any]) -> None:
    """Makes the folder of an output, or goes on with one that the same command began.

    Raises:
        InputError: It holds another run, or other things.
    """
    kept = out / RUN_FILE
    if kept.exists():
        try:
            begun = json.loads(kept.read_text(encoding="utf-8"))
        except (OSError, ValueError):
            begun = None
        if begun != json.loads(json.dumps(run)):
            raise InputError(
                f"{out} holds the output of another command", "give another folder, or remove it"
            )
        return
    if out.is_dir() and any(out.iterdir()):
        raise InputError(f"{out} is not empty", "give a new folder")
    try:
        out.mkdir(parents=True, exist_ok=True)
        write_whole(kept, json.dumps(run, indent=1))
    except OSError as error:
        raise InputError(f"{out} cannot be written: {error}") from None


def announce_compiling(folder: Path = Path(__file__).parent) -> None:
    """Says that the kernels of the world are compiled first, where they never were: a silent minute otherwise."""
    if not any((folder / "__pycache__").glob("*.nbi")):  # numba's indexes of what it has compiled
        say("compiling what draws the world: once, about a minute on each core")


def write_whole(path: Path, text: str) -> None:
    """A text file that is there entirely or not at all."""
    path.parent.mkdir(parents=True, exist_ok=True)
    part = path.with_name(path.name + ".part")
    part.write_text(text, encoding="utf-8")
    part.replace(path)


class Progress:
    """A line on stderr now and then: how much is done, and how much time is left.

    Args:
        what: Units, in the plural.
        total: How many there are.
        clock: Seconds, monotonic.
    """

    def __init__(self, what: str, total: int, clock: Callable[[], float] = time.monotonic) -> None:
        self._what, self._total, self._clock = what, total, clock
        self._done, self._start, self._said = 0, clock(), clock()
        self._every_s = 2.0 if sys.stderr.isatty() else 10.0

    def add(self, count: int) -> None:
        """That many more are done."""
        self._done += count
        now = self._clock()
        if now - self._said >= self._every_s or (self._done >= self._total and count):
            self._said = now
            say(self.line(now - self._start))

    def line(self, passed_s: float) -> str:
        """What there is to say after that time."""
        left = passed_s / max(self._done, 1) * (self._total - self._done)
        share = f"{self._done} of {self._total} {self._what}"
        return f"{share}, {passed_s:.0f} s" if self._done >= self._total else f"{share}, {left:.0f} s left"


def run_jobs(
    work: Callable[[Any, Report], None],
    jobs: Sequence[Any],
    what: str,
    total: int,
    workers: int | None = None,
) -> None:
    """Calls `work(job, report)` for every job, each in a process; the first error stops all.

    Args:
        work: A function of a module; calls `report` with the units it has done since.
        jobs: Its arguments, picklable.
        what: Units of the progress line, in the plural.
        total: How many there are.
        workers: Processes; None = as many as there are cores. With one, all runs in this process.
    """
    announce_compiling()
    progress = Progress(what, total)
    count = min(len(jobs), workers or len(os.sched_getaffinity(0)))
    if count <= 1:
        for job in jobs:
            work(job, progress.add)
        return
    context = multiprocessing.get_context("spawn")
    reports = context.Queue()
    with ProcessPoolExecutor(count, context, initializer=_begin, initargs=(reports,)) as pool:
        futures = [pool.submit(_call, work, job) for job in jobs]
        try:
            _follow(futures, reports, progress)
        except BaseException:
            pool.shutdown(wait=False, cancel_futures=True)
            raise


def _begin(reports: Any) -> None:
    global _reports  # noqa: PLW0603 (a worker process has one queue, given when it starts)
    _reports = reports


def _call(work: Callable[[Any, Report], None], job: Any) -> None:
    work(job, _reports.put)


def _follow(futures: Sequence[Future[None]], reports: Any, progress: Progress) -> None:
    while not all(future.done() for future in futures):
        for future in futures:
            if future.done():
                future.result()
        try:
            progress.add(reports.get(timeout=0.3))
        except queue.Empty:
            continue
    while not reports.empty():
        progress.add(reports.get())
    for future in futures:
        future.result()
