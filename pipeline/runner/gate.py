"""Where frames of all streams wait for the detector: of live streams the newest, of recordings every one."""

import threading
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import NamedTuple

from pipeline.messages import EndReason, Frame, RawFrame, StreamEnd

RECORDED_WAITING = 2  # frames of a recording that wait before its reader has to


class Arrived(NamedTuple):
    """A frame and when it came, on the runner's clock."""

    frame: Frame | RawFrame
    at_s: float


class Inlet(NamedTuple):
    """One reader's way into the gate; shut as soon as the stream gets another, or leaves."""

    stream_id: str
    number: int


@dataclass(slots=True)
class StreamCounts:
    """What became of a stream's frames, and how it stands."""

    frames_in: int = 0
    frames_inferred: int = 0
    dropped: int = 0
    reconnects: int = 0
    up: bool = False
    last_frame_s: float | None = None
    age_s: float = 0.0

    def plus(self, later: "StreamCounts") -> "StreamCounts":
        """Both counted together; how the stream stands is how it stood later."""
        return StreamCounts(
            self.frames_in + later.frames_in,
            self.frames_inferred + later.frames_inferred,
            self.dropped + later.dropped,
            self.reconnects + later.reconnects,
            later.up,
            later.last_frame_s,
            later.age_s,
        )


@dataclass(slots=True)
class _Inbox:
    counts: StreamCounts
    waiting: deque[Arrived | StreamEnd] = field(default_factory=deque)
    begun: bool = False  # frames went in since the last end
    inlet: Inlet | None = None  # the one way in that is open

    def frames(self) -> int:
        return sum(isinstance(item, Arrived) for item in self.waiting)


class FrameGate:
    """Takes frames from the readers and gives batches to the detector, one frame of each stream in turn.

    Thread-safe. A stream's end keeps its place among its frames. Readers
    put in through the inlet that `add` gave them.

    Args:
        clock: Monotonic seconds.
    """

    def __init__(self, clock: Callable[[], float]) -> None:
        self._clock = clock
        self._changed = threading.Condition()
        self._inboxes: dict[str, _Inbox] = {}
        self._leaving: list[tuple[str, _Inbox]] = []
        self._closed = False
        self._inlets = 0

    def add(self, stream_id: str) -> Inlet:
        """Lets a stream in; one that is in already keeps its counts, and its former inlet is shut."""
        with self._changed:
            inbox = self._inboxes.setdefault(stream_id, _Inbox(StreamCounts()))
            self._inlets += 1
            inbox.inlet = Inlet(stream_id, self._inlets)
            self._changed.notify_all()
            return inbox.inlet

    def remove(self, stream_id: str) -> None:
        """Takes nothing more of a stream; what waits is still given out."""
        with self._changed:
            inbox = self._inboxes.pop(stream_id, None)
            if inbox is not None and inbox.waiting:
                self._leaving.append((stream_id, inbox))
            self._changed.notify_all()

    def counts(self) -> dict[str, StreamCounts]:
        """Counts by stream; live objects, to be read."""
        with self._changed:
            return {stream_id: inbox.counts for stream_id, inbox in self._inboxes.items()}

    def put(self, inlet: Inlet, frame: Frame | RawFrame, *, newest_only: bool) -> bool:
        """Takes a frame; False when nobody wants frames through this inlet any more.

        With `newest_only` a frame that still waits gives way; else the caller waits until there is room.
        """
        with self._changed:
            inbox = self._inbox_of(inlet)
            while inbox and not newest_only and inbox.frames() >= RECORDED_WAITING and not self._closed:
                self._changed.wait(0.5)
                inbox = self._inbox_of(inlet)
            if inbox is None or self._closed:
                return False
            now_s = self._note_frame(inbox)
            if newest_only and inbox.waiting and isinstance(inbox.waiting[-1], Arrived):
                inbox.waiting.pop()
                inbox.counts.dropped += 1
            inbox.waiting.append(Arrived(frame, now_s))
            inbox.begun = True
            self._changed.notify_all()
            return True

    def skip(self, inlet: Inlet) -> None:
        """Counts a frame that came and is not wanted."""
        with self._changed:
            inbox = self._inbox_of(inlet)
            if inbox is not None:
                self._note_frame(inbox)
                inbox.counts.dropped += 1

    def came_up(self, inlet: Inlet) -> None:
        """A stream is about to give its first frame since it was opened; counts its returns."""
        with self._changed:
            inbox = self._inbox_of(inlet)
            if inbox is not None and inbox.counts.last_frame_s is not None:
                inbox.counts.reconnects += 1

    def end_through(self, inlet: Inlet, reason: EndReason) -> None:
        """As `end`, said by a reader."""
        with self._changed:
            if self._inbox_of(inlet) is not None:
                self.end(inlet.stream_id, reason)

    def end(self, stream_id: str, reason: EndReason) -> None:
        """The stream's present epoch is over."""
        with self._changed:
            inbox = self._inboxes.get(stream_id)
            if inbox is None:
                return
            inbox.counts.up = False
            if inbox.begun:
                inbox.waiting.append(StreamEnd(stream_id, reason))
                inbox.begun = False
                self._changed.notify_all()

    def close(self, reason: EndReason | None = None) -> None:
        """Takes no more frames; with a reason, ends every stream first."""
        for stream_id in list(self.counts()) if reason else ():
            assert reason is not None
            self.end(stream_id, reason)
        with self._changed:
            self._closed = True
            self._changed.notify_all()

    def take(self, limit: int, timeout_s: float) -> list[Arrived | StreamEnd] | None:
        """At most one message of each stream, the longest waiting first; empty after `timeout_s`.

        None once the gate is closed and empty.
        """
        with self._changed:
            if not self._ready() and not self._closed:
                self._changed.wait(timeout_s)
            batch = [inbox.waiting.popleft() for inbox in self._ready()[:limit]]
            for item in batch:
                inbox = self._inboxes.get(item.frame.stream_id) if isinstance(item, Arrived) else None
                if inbox is not None and isinstance(item, Arrived):
                    inbox.counts.frames_inferred += 1
                    inbox.counts.age_s = self._clock() - item.at_s
            if batch:
                self._changed.notify_all()
            return batch if batch or not self._closed else None

    def _inbox_of(self, inlet: Inlet) -> _Inbox | None:
        inbox = self._inboxes.get(inlet.stream_id)
        return inbox if inbox is not None and inbox.inlet is inlet else None

    def _note_frame(self, inbox: _Inbox) -> float:
        now_s = self._clock()
        inbox.counts.frames_in += 1
        inbox.counts.up, inbox.counts.last_frame_s = True, now_s
        return now_s

    def _ready(self) -> list[_Inbox]:
        """Inboxes that have something to give; a stream that came back waits for what it left behind."""
        self._leaving = [(name, inbox) for name, inbox in self._leaving if inbox.waiting]
        left = dict(reversed(self._leaving))
        ready = [inbox for name, inbox in self._inboxes.items() if inbox.waiting and name not in left]
        ready += left.values()
        return sorted(ready, key=lambda inbox: _arrival(inbox.waiting[0]))


def _arrival(item: Arrived | StreamEnd) -> float:
    return item.at_s if isinstance(item, Arrived) else -1.0
