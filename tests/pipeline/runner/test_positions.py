"""From where a successor has to read again, and when that is committed."""

from datetime import UTC, datetime, timedelta

from pipeline.deliver.outbox import Progress
from pipeline.messages import EndReason, TrackKey
from pipeline.remote_bus import BusMessage
from pipeline.runner.positions import EVERY_S, REMEMBERED, STALLED_S, Commits, Positions
from pipeline.testing import tracklet

NOW = datetime(2026, 11, 21, tzinfo=UTC)


def key(track: int, stream: str = "door", epoch: str = "e1") -> TrackKey:
    return TrackKey(stream, epoch, track)


class Member:
    """Receives tracklets, one offset each."""

    def __init__(self, forget_s: float = 60.0) -> None:
        self.positions = Positions(forget_s)
        self.offset = 0

    def hear(
        self, of: TrackKey, number: int = 1, *, end: bool = False, partition: int = 0, at_s: float = 0.0
    ) -> bool:
        message = BusMessage("t", partition, self.offset, None, None, at_s)
        self.offset += 1
        self.positions.note(message)
        reason = EndReason.TRACK_ENDED if end else None
        return self.positions.take(message, tracklet(of, number, end=reason))


def test_the_oldest_open_track_holds_the_offset_and_its_end_releases_it() -> None:
    member = Member()
    member.hear(key(1))
    member.hear(key(2))
    member.hear(key(1), 2)
    assert member.positions.to_commit() == {0: 0}
    member.hear(key(1), 3, end=True)
    assert member.positions.to_commit() == {0: 1}
    member.hear(key(2), 2, end=True)
    assert member.positions.to_commit() == {0: 5}


def test_what_cannot_be_read_is_passed() -> None:
    positions = Positions(60.0)
    positions.note(BusMessage("t", 3, 17, None, b"garbage", 0.0))
    assert positions.to_commit() == {3: 18}


def test_repeats_are_not_asked_again_while_the_track_is_open_and_after() -> None:
    member = Member()
    assert member.hear(key(1), 1)
    assert not member.hear(key(1), 1)
    assert member.hear(key(1), 2, end=True)
    assert not member.hear(key(1), 2, end=True)
    assert not member.hear(key(1), 1)
    assert member.positions.to_commit() == {0: 5}


def test_partitions_are_held_apart() -> None:
    member = Member()
    member.hear(key(1), partition=0)
    member.hear(key(1, "yard"), partition=1)
    member.hear(key(1, "yard"), 2, partition=1, end=True)
    assert member.positions.to_commit() == {0: 0, 1: 3}
    assert member.positions.drop(0) == [key(1)]
    assert member.positions.drop(7) == []
    assert member.positions.to_commit() == {1: 3}


def test_a_partitions_clock_does_not_go_back_with_a_message_that_came_late() -> None:
    member = Member(forget_s=60)
    member.hear(key(1), at_s=100)
    member.hear(key(2), at_s=161)
    member.hear(key(2), 2, at_s=120)
    assert member.positions.forgotten(10_000, ()) == [(0, key(1))]


def test_a_track_that_nobody_speaks_of_is_forgotten_by_the_topics_own_clock() -> None:
    member = Member(forget_s=60)
    member.hear(key(1), at_s=100)
    member.hear(key(2), at_s=150)
    assert member.positions.forgotten(10_000, ()) == [], "hours late, but the next may be about it"
    member.hear(key(2), 2, at_s=161)
    assert member.positions.forgotten(10_000, ()) == [(0, key(1))]
    assert member.positions.forgotten(10_000, [0]) == [(0, key(1)), (0, key(2))]
    member.positions.finish(0, [key(1)])
    assert member.positions.to_commit() == {0: 1}
    assert not member.hear(key(1), 2), "what was closed stays closed"


def test_a_newer_epoch_of_a_stream_ends_the_older_ones_tracks() -> None:
    member = Member()
    positions = member.positions
    member.hear(key(1))
    member.hear(key(1, "yard"))
    assert positions.superseded(0, key(1), NOW) == []
    member.hear(key(1, epoch="e2"))
    later = NOW + timedelta(seconds=1)
    assert positions.superseded(0, key(1, epoch="e2"), later) == [key(1)]
    assert positions.superseded(0, key(2, epoch="e1"), NOW) == [], "a repeat of the older"


def test_memory_is_bounded() -> None:
    member = Member()
    for track in range(REMEMBERED + 5):
        member.hear(key(track), end=True)
    assert member.hear(key(0))
    assert not member.hear(key(REMEMBERED))


class Books:
    """An outbox by its two numbers."""

    def __init__(self) -> None:
        self.taken = self.confirmed = 0
        self.commits = Commits(lambda: Progress(self.taken, self.confirmed), 0.0)


def test_offsets_are_committed_at_once_where_nothing_came_of_the_tracklets() -> None:
    books = Books()
    assert books.commits.due({0: 7}, EVERY_S) == {0: 7}
    assert books.commits.due({0: 9}, EVERY_S * 1.5) == {}
    assert books.commits.due({0: 9}, EVERY_S * 2) == {0: 9}


def test_offsets_are_committed_as_soon_as_the_sinks_have_what_was_there_though_more_comes_all_the_time() -> (
    None
):
    books = Books()
    books.taken = 3
    assert books.commits.due({0: 7}, 1.0) == {}
    books.taken, books.confirmed = 8, 2
    assert books.commits.due({0: 20}, 2.0) == {}
    books.taken, books.confirmed = 12, 5
    assert books.commits.due({0: 30}, 3.0) == {0: 7}, "what the sinks have, and no more"
    assert books.commits.due({0: 31}, 4.0) == {}
    books.confirmed = 12
    assert books.commits.due({0: 32}, 5.0) == {0: 31}


def test_a_sink_that_takes_nothing_holds_them_up_for_a_while_only() -> None:
    books = Books()
    books.taken = 3
    assert books.commits.due({0: 7}, 1.0) == {}
    assert books.commits.due({0: 8}, STALLED_S) == {}
    assert books.commits.due({0: 9}, STALLED_S + 1.0) == {0: 7}


def test_a_partition_that_went_to_somebody_else_is_passed_over() -> None:
    books = Books()
    books.taken = 3
    assert books.commits.due({0: 7, 1: 5}, 1.0) == {}
    books.confirmed = 3
    assert books.commits.due({1: 6}, 2.0) == {1: 5}
