"""Plays one kind: so many changed inputs, each with a limit of time, and what was found."""

import random
import signal
import time
import warnings
from collections import Counter
from dataclasses import dataclass, field
from types import FrameType

from pipeline.errors import MusewatchError
from tests.fuzz.kinds import Kind

LIMIT_S = 5.0


class HangError(BaseException):
    """One input took longer than `LIMIT_S`; no `except Exception` stops it."""


@dataclass
class Outcome:
    """What came of a campaign; `findings` holds the first input of each different one."""

    inputs: int = 0
    taken: int = 0
    refused: int = 0
    slowest_s: float = 0.0
    seconds: float = 0.0
    counts: Counter[str] = field(default_factory=Counter)
    findings: dict[str, bytes] = field(default_factory=dict)


def play(kind: Kind, n: int, seed: int) -> Outcome:
    """`n` inputs of a kind, valid ones among them; warnings of libraries are findings too."""
    rng, outcome, begun_s = random.Random(seed), Outcome(), time.perf_counter()
    before = signal.signal(signal.SIGALRM, _ring)
    try:
        for data in kind.inputs:
            kind.take(data)
        with warnings.catch_warnings(action="error"):
            for _ in range(n):
                _play_one(kind, kind.change(rng, rng.choice(kind.inputs)), outcome)
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, before)
    outcome.seconds = time.perf_counter() - begun_s
    return outcome


def _play_one(kind: Kind, data: bytes, outcome: Outcome) -> None:
    start_s = time.perf_counter()
    signal.setitimer(signal.ITIMER_REAL, LIMIT_S)
    try:
        kind.take(data)
        outcome.taken += 1
    except MusewatchError:
        outcome.refused += 1
    except (Exception, HangError) as error:
        place = error.__traceback__
        while place is not None and place.tb_next is not None:
            place = place.tb_next
        where = f"{place.tb_frame.f_code.co_filename}:{place.tb_lineno}" if place else ""
        name = f"{type(error).__name__}: {str(error)[:100]} ({where})"
        outcome.counts[name] += 1
        outcome.findings.setdefault(name, data)
    signal.setitimer(signal.ITIMER_REAL, 0)
    outcome.inputs += 1
    outcome.slowest_s = max(outcome.slowest_s, time.perf_counter() - start_s)


def _ring(_: int, __: FrameType | None) -> None:
    raise HangError(f"longer than {LIMIT_S} s")
