"""What a member of the group still needs of a partition, and from where its successor has to read again.

The committed offset of a partition is that of the oldest tracklet of a track that is not over: whoever takes
over reads those again, and so knows of every open track what the member before it knew. A track is over with its
last tracklet; when its stream has begun a newer epoch; or when the partition has gone on for `forget_s` without
a word of it, so that a sender that died holds nothing up for ever. An offset is committed as soon as nothing would be
gone with it.
"""

from collections import OrderedDict
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from datetime import datetime

from pipeline.deliver.outbox import Progress
from pipeline.messages import TrackKey, Tracklet
from pipeline.remote_bus import BusMessage

REMEMBERED = 4096  # tracks of a partition that are over: their tracklets may come again
EVERY_S = 0.5
STALLED_S = 30.0


@dataclass(slots=True)
class _Track:
    first_offset: int
    number: int
    at_s: float


@dataclass(slots=True)
class _Partition:
    next_offset: int
    clock_s: float = 0.0
    tracks: dict[TrackKey, _Track] = field(default_factory=dict)
    over: "OrderedDict[TrackKey, None]" = field(default_factory=OrderedDict)
    epochs: dict[str, tuple[str, datetime]] = field(default_factory=dict)


class Positions:
    """Keeps the books of all partitions held; state ends with `drop`.

    Args:
        forget_s: How long a partition goes on without a word of a track before that is over; by the topic's clock.
    """

    def __init__(self, forget_s: float) -> None:
        self._forget_s = forget_s
        self._partitions: dict[int, _Partition] = {}

    def note(self, message: BusMessage) -> None:
        """The message was received; to be called for each, in order, before `take`."""
        partition = self._partitions.setdefault(message.partition, _Partition(message.offset))
        partition.next_offset = message.offset + 1
        partition.clock_s = max(partition.clock_s, message.at_s)

    def is_new(self, partition: int, key: TrackKey) -> bool:
        """Whether nothing was heard of the track yet."""
        held = self._partitions[partition]
        return key not in held.tracks and key not in held.over

    def take(self, message: BusMessage, tracklet: Tracklet) -> bool:
        """Whether the tracklet is to be asked about; False for a repeat, and for a track that is over."""
        held, key = self._partitions[message.partition], tracklet.key
        track = held.tracks.get(key)
        if key in held.over or (track is not None and tracklet.number <= track.number):
            return False
        if track is None:
            track = held.tracks[key] = _Track(message.offset, tracklet.number, message.at_s)
        track.number, track.at_s = tracklet.number, message.at_s
        if tracklet.end is not None:
            self.finish(message.partition, [key])
        return True

    def give_back(self, message: BusMessage, key: TrackKey) -> None:
        """The tracklet taken of this message was not asked about: alone, it holds the partition up no longer."""
        held = self._partitions[message.partition]
        track = held.tracks.get(key)
        if track is not None and track.first_offset == message.offset:
            del held.tracks[key]

    def superseded(self, partition: int, key: TrackKey, asked_at: datetime) -> list[TrackKey]:
        """Open tracks of the same stream in an older epoch; empty when that of `key` is the older one."""
        held = self._partitions[partition]
        epoch, since = held.epochs.get(key.stream_id, (key.epoch, asked_at))
        if epoch != key.epoch and asked_at < since:
            return []
        held.epochs[key.stream_id] = (key.epoch, asked_at)
        return (
            []
            if epoch == key.epoch
            else [
                other
                for other in held.tracks
                if other.stream_id == key.stream_id and other.epoch != key.epoch
            ]
        )

    def finish(self, partition: int, keys: Iterable[TrackKey]) -> None:
        """These tracks are over: tracklets of theirs that still come are not asked about."""
        held = self._partitions[partition]
        for key in keys:
            held.tracks.pop(key, None)
            held.over[key] = None
        while len(held.over) > REMEMBERED:
            held.over.popitem(last=False)

    def forgotten(self, now_s: float, read_up: Iterable[int]) -> list[tuple[int, TrackKey]]:
        """Tracks, with their partition, that nobody has spoken of for too long.

        Args:
            now_s: Seconds since 1970.
            read_up: Partitions with nothing left to receive; their clock is `now_s`.
        """
        read_up = set(read_up)
        return [
            (number, key)
            for number, held in self._partitions.items()
            for key, track in held.tracks.items()
            if (now_s if number in read_up else held.clock_s) - track.at_s > self._forget_s
        ]

    def drop(self, partition: int) -> list[TrackKey]:
        """Somebody else has the partition now; the tracks that were open on it."""
        held = self._partitions.pop(partition, None)
        return list(held.tracks) if held else []

    def to_commit(self) -> dict[int, int]:
        """By partition, the offset of the oldest tracklet that is still needed."""
        return {
            number: min((track.first_offset for track in held.tracks.values()), default=held.next_offset)
            for number, held in self._partitions.items()
        }


@dataclass(frozen=True, slots=True)
class _Mark:
    taken: int
    offsets: Mapping[int, int]
    at_s: float


class Commits:
    """Holds offsets back until the sinks have what came of the tracklets before them, at most `STALLED_S`.

    In the outbox the hits are safe from a crash of the process, not from the loss of its machine: what no sink has
    yet, a successor makes again from the same tracklets, under the same ids. A sink that takes nothing must not hold
    the group's books up for ever, so after `STALLED_S` the outbox alone has to do.

    Args:
        progress: How far the outbox and its sinks are.
        now_s: Monotonic seconds at the start.
    """

    def __init__(self, progress: Callable[[], Progress], now_s: float) -> None:
        self._progress = progress
        self._mark: _Mark | None = None
        self._done_s = now_s

    def due(self, offsets: Mapping[int, int], now_s: float) -> dict[int, int]:
        """What to commit now, by partition.

        Args:
            offsets: Up to which everything is in the outbox now.
            now_s: Monotonic seconds.

        Raises:
            OutboxError: The outbox cannot be read.
        """
        if now_s - self._done_s < EVERY_S:
            return {}
        progress = self._progress()
        mark = self._mark = self._mark or _Mark(progress.taken, dict(offsets), now_s)
        if progress.confirmed < mark.taken and now_s - mark.at_s < STALLED_S:
            return {}
        self._mark, self._done_s = None, now_s
        return {partition: offset for partition, offset in mark.offsets.items() if partition in offsets}
