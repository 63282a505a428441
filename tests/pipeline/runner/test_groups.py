from collections.abc import Sequence
from dataclasses import replace

import pytest
from prometheus_client import CollectorRegistry, Counter, Gauge

from pipeline.messages import Clock, EndReason, TrackKey, Tracklet
from pipeline.runner.group import Handover
from pipeline.runner.groups import grouped, most_groups
from pipeline.runner.summed import lasting, summed
from pipeline.testing import tracklet


@pytest.mark.parametrize(
    ("names", "most", "before", "expected"),
    [
        ("abc", 8, [], ["a", "b", "c"]),
        ("abcde", 2, [], ["ace", "bd"]),
        ("bcde", 2, ["abc", "d"], ["bc", "de"]),
        ("bx", 2, ["a", "b"], ["x", "b"]),
        ("b", 2, ["a", "b"], ["", "b"]),
        ("abcd", 3, ["ab", "c"], ["ab", "c", "d"]),
        ("dcba", 3, ["ab", "cd"], ["ab", "cd"]),
    ],
)
def test_streams_keep_their_group_and_new_ones_go_where_fewest_are(
    names: str, most: int, before: list[str], expected: list[str]
) -> None:
    assert grouped(list(names), most, [list(group) for group in before]) == tuple(map(tuple, expected))


def test_auto_leaves_a_core_to_the_process_that_holds_the_others(monkeypatch: pytest.MonkeyPatch) -> None:
    for cores, expected in ((1, 1), (2, 1), (16, 15)):
        monkeypatch.setattr("os.sched_getaffinity", lambda pid, cores=cores: set(range(cores)))
        assert most_groups("auto") == expected
    assert most_groups(5) == 5


def _page(count: int, depth: float) -> CollectorRegistry:
    registry = CollectorRegistry()
    Counter("frames", "Frames.", ["stream"], registry=registry).labels("door").inc(count)
    Gauge("depth", "Waiting.", registry=registry).set(depth)
    return registry


def test_metrics_of_processes_add_up_and_counters_outlive_them() -> None:
    pages = [_page(3, 2.0), _page(4, 1.0)]
    page = summed([registry.collect() for registry in pages])
    values = {sample.name: sample.value for family in page for sample in family.samples}
    assert (values["frames_total"], values["depth"]) == (7, 3.0)
    first = pages[0].get_sample_value("frames_created", {"stream": "door"})
    assert values["frames_created"] == first
    assert [family.name for family in lasting(page)] == ["frames"]


class _ListBus:
    def __init__(self) -> None:
        self.taken: list[Tracklet] = []

    def publish(self, tracklets: Sequence[Tracklet]) -> None:
        self.taken += tracklets

    @property
    def story(self) -> list[tuple[int, int, EndReason | None]]:
        return [(one.key.track_id, one.number, one.end) for one in self.taken]


def _live(track_id: int, number: int, end: EndReason | None = None) -> Tracklet:
    made = tracklet(TrackKey("door", "e1", track_id), number, end=end)
    return replace(made, clock=Clock.ARRIVAL)


def test_open_tracks_of_a_lost_camera_are_ended_and_ended_ones_are_not() -> None:
    bus = _ListBus()
    handover = Handover(bus)
    for one in (_live(1, 1), _live(2, 1), _live(2, 2, EndReason.TRACK_ENDED), _live(1, 2)):
        handover.take(one)
    handover.close(recordings=False)
    handover.close(recordings=False)
    assert bus.story[4:] == [(1, 3, EndReason.STREAM_LOST)]


def test_a_recording_that_is_played_again_goes_on_where_it_was() -> None:
    bus = _ListBus()
    handover = Handover(bus)
    key = TrackKey("clip", "e1", 1)
    for number in (1, 2):
        handover.take(tracklet(key, number))
    handover.close(recordings=False)
    for number in (1, 2, 3):
        handover.take(tracklet(key, number))
    assert bus.story == [(1, 1, None), (1, 2, None), (1, 3, None)]
    handover.close(recordings=True)
    assert bus.story[3:] == [(1, 4, EndReason.STREAM_LOST)]
