"""Notices streams that fell silent, and readers that never come back from them."""

import logging
from collections.abc import Mapping
from typing import NamedTuple

from pipeline.messages import EndReason
from pipeline.runner.gate import FrameGate
from pipeline.runner.reader import StreamReader

logger = logging.getLogger("musewatch.stream")


class _Woken(NamedTuple):
    reader: StreamReader
    opening: int
    at_s: float


MOST_STUCK = 4  # readers of one stream that were given up and have not come back: each keeps a thread


class Watchdog:
    """Looks at every live stream's last frame.

    A stream without a frame for `silent_s` is lost: its epoch ends and its source is closed. So is one that was
    opened and has given none, once its source has had its own `opening_s`. A reader that is still in the same
    call after another `silent_s` is stuck.

    Args:
        gate: Knows when frames came.
        silent_s: Longest silence.
    """

    def __init__(self, gate: FrameGate, silent_s: float) -> None:
        self._gate = gate
        self._silent_s = silent_s
        self._woken: dict[str, _Woken] = {}
        self._given_up: list[StreamReader] = []

    def look(self, readers: Mapping[str, StreamReader], now_s: float) -> list[str]:
        """Wakes silent streams; returns those whose reader is stuck and has to be replaced.

        None is replaced while `MOST_STUCK` former readers of its stream are stuck too.
        """
        self._woken = {
            name: woken for name, woken in self._woken.items() if _blocks(woken, readers.get(name))
        }
        for stream_id, counts in self._gate.counts().items():
            reader = readers[stream_id]
            since_s = counts.last_frame_s if counts.up else reader.silent_since_s
            silent = since_s is not None and now_s - since_s > self._silent_s
            if silent and reader.live and reader.alive and stream_id not in self._woken:
                logger.warning("stream %s: no frame for %.0f s", stream_id, self._silent_s)
                self._gate.end(stream_id, EndReason.STREAM_LOST)
                self._woken[stream_id] = _Woken(reader, reader.reading, now_s)
                reader.interrupt()
        self._given_up = [reader for reader in self._given_up if reader.alive]
        stuck = [name for name, woken in self._woken.items() if now_s - woken.at_s > self._silent_s]
        replaced = [name for name in stuck if self._stuck_before(name) < MOST_STUCK]
        self._given_up += [readers[name] for name in replaced]
        for name in replaced:
            if self._stuck_before(name) == MOST_STUCK:
                logger.error(
                    "stream %s: %d sources hang; one more, then none until one returns", name, MOST_STUCK
                )
        return replaced

    def _stuck_before(self, stream_id: str) -> int:
        return sum(reader.stream_id == stream_id for reader in self._given_up)


def _blocks(woken: _Woken, reader: StreamReader | None) -> bool:
    return reader is woken.reader and reader.alive and reader.reading == woken.opening
