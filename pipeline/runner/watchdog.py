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


class Watchdog:
    """Looks at every live stream's last frame.

    A stream without a frame for `silent_s` is lost: its epoch ends and its source is closed. A reader that is
    still in the same call after another `silent_s` is stuck.

    Args:
        gate: Knows when frames came.
        silent_s: Longest silence.
    """

    def __init__(self, gate: FrameGate, silent_s: float) -> None:
        self._gate = gate
        self._silent_s = silent_s
        self._woken: dict[str, _Woken] = {}

    def look(self, readers: Mapping[str, StreamReader], now_s: float) -> list[str]:
        """Wakes silent streams; returns those whose reader is stuck and has to be replaced."""
        for stream_id, counts in self._gate.counts().items():
            reader = readers[stream_id]
            since_s = now_s - (now_s if counts.last_frame_s is None else counts.last_frame_s)
            if reader.live and counts.up and since_s > self._silent_s:
                logger.warning("stream %s: no frame for %.0f s", stream_id, self._silent_s)
                self._gate.end(stream_id, EndReason.STREAM_LOST)
                self._woken[stream_id] = _Woken(reader, reader.reading, now_s)
                reader.interrupt()
        self._woken = {
            name: woken for name, woken in self._woken.items() if _blocks(woken, readers.get(name))
        }
        return [name for name, woken in self._woken.items() if now_s - woken.at_s > self._silent_s]


def _blocks(woken: _Woken, reader: StreamReader | None) -> bool:
    return reader is woken.reader and reader.alive and reader.reading == woken.opening
