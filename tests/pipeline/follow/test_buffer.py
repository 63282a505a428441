"""What is kept of a track, when it is asked about, and which lost track a new one continues."""

from datetime import timedelta
from functools import partial

import numpy as np
import pytest

from pipeline.config import TracksConfig
from pipeline.follow.buffer import CROP_GAP_S, PASSED_S, Record, TrackBuffer, find_predecessor
from pipeline.follow.geometry import Box
from pipeline.follow.questions import MOVED_SHARE, Ripeness
from pipeline.messages import Clock, Crop, EndReason, Scene, TrackKey, Tracklet
from pipeline.testing import UNDATED

BOX = (10.0, 10.0, 50.0, 130.0)
SCENE = Scene(b"scene", (640, 480))


def key(track_id: int = 1, stream_id: str = "door") -> TrackKey:
    return TrackKey(stream_id, "e1", track_id)


def crop(pts_s: float, quality: float = 0.5, angle: float = 0.0) -> Crop:
    vector = np.array([np.cos(angle), np.sin(angle)], np.float32)
    at = UNDATED + timedelta(seconds=pts_s)
    return Crop(np.zeros((4, 2, 3), np.uint8), BOX, pts_s, at, quality, vector)


def see(buffer: TrackBuffer, pts_s: float, track_id: int = 1, stream_id: str = "door") -> Record:
    return buffer.see(key(track_id, stream_id), BOX, pts_s, Clock.FILE)


def feed(buffer: TrackBuffer, pts_s: float, quality: float = 0.5, track_id: int = 1) -> list[Tracklet]:
    record = see(buffer, pts_s, track_id)
    if buffer.wants(record, quality, pts_s):
        buffer.add(record, crop(pts_s, quality), lambda whole: SCENE)
    return buffer.due("door", pts_s)


@pytest.fixture
def buffer() -> TrackBuffer:
    config = TracksConfig(
        crops=3, ripe_crops=3, ripe_s=0.5, again_s=1.0, idle_s=1.0, relink_s=2.0, max_tracks=4, early=False
    )
    return TrackBuffer(config, {"embedder": "sha256:x"})


@pytest.fixture
def early() -> TrackBuffer:
    config = TracksConfig(crops=3, ripe_crops=3, ripe_s=0.5, again_s=1.0, idle_s=1.0, relink_s=2.0)
    return TrackBuffer(config)


def test_it_asks_when_ripe_again_when_there_is_more_and_last_when_the_track_is_over(
    buffer: TrackBuffer,
) -> None:
    asked = [feed(buffer, t / 5) for t in range(6)]
    numbers = [[q.number for q in questions] for questions in asked]
    assert numbers == [[], [], [], [1], [], []]  # three crops and 0.5 s are there at 0.6 s
    assert [q.number for q in feed(buffer, 1.8)] == [2]  # a second later, with a later sample
    assert buffer.due("door", 4.7) == []  # 1.0 + 2.0 s unseen are not over
    (last,) = buffer.due("door", 4.9)
    assert (last.number, last.end, last.last_pts_s) == (3, EndReason.TRACK_ENDED, 1.8)
    assert last.decided_pts_s == 4.9
    assert last.engines == {"embedder": "sha256:x"}
    assert len(buffer) == 0


def test_early_questions_come_with_each_of_the_first_crops(early: TrackBuffer) -> None:
    asked = [feed(early, t / 5) for t in range(8)]
    numbers = [[q.number for q in questions] for questions in asked]
    assert numbers == [[1], [2], [3], [4], [], [], [], []], "the fourth when ripe, then as usual"
    ripeness = Ripeness(3, 0.5)
    assert [ripeness.is_early(q) for questions in asked for q in questions] == [True, True, True, False]


def test_who_was_asked_about_early_is_asked_about_once_more_out_of_sight(early: TrackBuffer) -> None:
    feed(early, 0.0)
    feed(early, 0.2)
    assert early.due("door", 1.2) == []
    (asked,) = early.due("door", 1.3)
    assert (asked.number, asked.end, Ripeness(3, 0.5).is_early(asked)) == (3, None, False)
    assert early.due("door", 1.4) == []


def test_a_single_sight_is_a_question_at_once_and_an_early_one_to_its_end(early: TrackBuffer) -> None:
    (asked,) = feed(early, 0.0)
    assert early.due("door", 1.3) == []
    (last,) = early.due("door", 10.0)
    assert (last.number, last.end) == (2, EndReason.TRACK_ENDED)
    assert Ripeness(3, 0.5).is_early(asked)
    assert Ripeness(3, 0.5).is_early(last)
    assert not Ripeness(1, 0.0).is_early(asked), "one crop is enough where the config says so"


def test_a_poor_first_look_is_not_asked_about_and_may_yet_be_dropped() -> None:
    buffer = TrackBuffer(TracksConfig(min_quality=0.1))
    assert feed(buffer, 0.0, quality=0.2) == []
    assert [len(q.crops) for q in feed(buffer, 0.2, quality=0.3)] == [2]


def test_the_older_a_track_the_seldomer_it_is_asked_about(buffer: TrackBuffer) -> None:
    asked = [t / 5 for t in range(30) if feed(buffer, t / 5, quality=0.2 + t / 50)]
    gaps_s = np.diff(asked)
    assert asked[0] == 0.6
    assert gaps_s.min() >= 0.5
    assert (np.diff(gaps_s) >= -0.01).all()


def test_the_same_question_is_asked_anew_as_soon_as_its_evidence_has_moved() -> None:
    """Before, the crop at 0.8 s waited for 1.1 s, when half a second had passed."""

    def asked(turned: float) -> list[int]:
        buffer = TrackBuffer(TracksConfig(early=False, again_s=9.0), cut=0.85)
        numbers = []
        for i, angle in enumerate((0.0, 0.0, 0.0, 0.0, turned, turned)):
            record = see(buffer, i / 5)
            buffer.add(record, crop(i / 5, 0.5, angle), lambda whole: SCENE)
            numbers += [len(buffer.due("door", i / 5))]
        return numbers

    step = 2 * np.arcsin(MOVED_SHARE * 0.85 / 2)  # of the mean, by a fifth of the crop's own
    assert asked(4.5 * step) == [0, 0, 0, 1, 0, 1]
    assert asked(5.5 * step) == [0, 0, 0, 1, 1, 0]
    assert asked(0.0) == [0, 0, 0, 1, 0, 0]


def test_a_question_without_news_is_not_asked_again(buffer: TrackBuffer) -> None:
    for t in range(4):
        feed(buffer, t / 5)
    for t in range(4, 40):
        see(buffer, t / 5)
        assert buffer.due("door", t / 5) == []


def test_it_keeps_the_best_crops_apart_in_time_and_the_mean_of_all(buffer: TrackBuffer) -> None:
    record = see(buffer, 0.0)
    for pts_s, quality, angle in [
        (0.0, 0.3, 0.0),
        (0.2, 0.9, 0.2),
        (0.25, 0.91, 9.0),
        (0.4, 0.5, 0.4),
        (0.6, 0.6, 0.6),
    ]:
        if buffer.wants(record, quality, pts_s):
            buffer.add(record, crop(pts_s, quality, angle), lambda whole: SCENE)
    assert [(c.pts_s, c.quality) for c in record.crops] == [(0.2, 0.9), (0.6, 0.6), (0.4, 0.5)]
    taken = [(0.3, 0.0), (0.9, 0.2), (0.5, 0.4), (0.6, 0.6)]
    mean = sum(quality**2 * np.array([np.cos(angle), np.sin(angle)]) for quality, angle in taken)
    np.testing.assert_allclose(record.embedding, mean / np.linalg.norm(mean), atol=1e-6)


def test_crops_as_far_apart_as_the_gap_are_two(buffer: TrackBuffer) -> None:
    record = see(buffer, 0.0)
    buffer.add(record, crop(0.0, 0.5), lambda whole: SCENE)
    assert not buffer.wants(record, 0.5, 0.1)
    assert buffer.wants(record, 0.5, CROP_GAP_S)
    buffer.add(record, crop(CROP_GAP_S, 0.5), lambda whole: SCENE)
    assert [c.pts_s for c in record.crops] == [0.0, CROP_GAP_S]


def test_each_of_the_best_crops_keeps_its_frame_and_no_other() -> None:
    buffer = TrackBuffer(TracksConfig(crops=5))
    record, made, whole_ones = see(buffer, 0.0), [], []

    def scene(of_s: float, whole: bool) -> Scene:
        made.append(of_s)
        whole_ones.extend([of_s] * whole)
        return Scene(b"%f" % of_s, (640, 480))

    for pts_s, quality in [
        (0.0, 0.5),
        (0.3, 0.51),
        (0.6, 0.6),
        (0.9, 0.2),
        (1.2, 0.7),
        (1.5, 0.65),
        (1.8, 0.1),
    ]:
        buffer.add(record, crop(pts_s, quality), partial(scene, pts_s))
    assert made == [0.0, 0.3, 0.6, 1.2, 1.5], "the frames of poorer crops are never encoded"
    assert whole_ones == [0.0, 0.3, 0.6, 1.2], "the best at their time"
    kept = [(c.pts_s, c.scene and float(c.scene.jpeg)) for c in record.crops]
    assert kept == [(1.2, 1.2), (1.5, 1.5), (0.6, 0.6), (0.3, None), (0.0, None)]


def test_a_frame_that_cannot_be_kept_leaves_the_track_as_it_was(buffer: TrackBuffer) -> None:
    def fail(whole: bool) -> Scene:
        del whole
        raise ValueError("too large for a JPEG")

    record = see(buffer, 0.0)
    buffer.add(record, crop(0.0, 0.5), lambda whole: SCENE)
    before = (list(record.crops), record.weight, record.taken_pts_s)
    with pytest.raises(ValueError, match="too large"):
        buffer.add(record, crop(1.0, 0.9), fail)
    assert (record.crops, record.weight, record.taken_pts_s) == before


def test_who_has_crops_enough_is_not_looked_at_again_at_once(buffer: TrackBuffer) -> None:
    record = see(buffer, 0.0)
    for i in range(3):
        assert buffer.wants(record, 0.6, i / 5)
        buffer.pass_over(record, i / 5)
        assert buffer.wants(record, 0.6, i / 5), "more are wanted"
        buffer.add(record, crop(i / 5, 0.5), lambda whole: SCENE)
    buffer.pass_over(record, 1.0)
    assert not buffer.wants(record, 0.9, 1.0 + PASSED_S / 2)
    assert buffer.wants(record, 0.9, 1.0 + PASSED_S)


def test_poor_crops_are_no_evidence(buffer: TrackBuffer) -> None:
    record = see(buffer, 0.0)
    assert not buffer.wants(record, 0.1, 0.0)
    assert buffer.wants(record, 0.15, 0.0)
    buffer.add(record, crop(0.0, 0.9), lambda whole: SCENE)
    assert buffer.wants(record, 0.45, 1.0), "a later sample, at half the quality of the best"
    assert buffer.track_ids("nowhere") == set()


def test_a_short_track_is_asked_about_as_soon_as_it_is_out_of_sight(buffer: TrackBuffer) -> None:
    feed(buffer, 0.0)
    feed(buffer, 0.2)
    assert buffer.due("door", 1.2) == []
    (asked,) = buffer.due("door", 1.3)
    assert (asked.number, asked.end) == (1, None)
    assert buffer.due("door", 1.4) == []


def test_a_track_seen_too_little_is_never_asked_about(buffer: TrackBuffer) -> None:
    feed(buffer, 0.0)
    assert buffer.due("door", 10.0) == []
    assert len(buffer) == 0


def test_the_end_of_a_stream_ends_its_tracks_and_no_others(buffer: TrackBuffer) -> None:
    for t in range(4):
        feed(buffer, t / 5, track_id=1)
        feed(buffer, t / 5, track_id=2)
    see(buffer, 0.0, stream_id="yard")
    last = buffer.end_stream("door", EndReason.STREAM_LOST)
    assert [(q.key.track_id, q.end) for q in last] == [(1, EndReason.STREAM_LOST), (2, EndReason.STREAM_LOST)]
    assert len(buffer) == 1
    assert (buffer.track_ids("door"), buffer.track_ids("yard")) == (set(), {1})
    assert list(buffer._streams) == ["yard"], "nothing is kept of a stream that is over"


def test_the_end_of_a_stream_asks_about_who_was_seen_for_a_moment(buffer: TrackBuffer) -> None:
    for pts_s, track_id in [(0.0, 1), (0.2, 1), (0.2, 2)]:
        assert feed(buffer, pts_s, track_id=track_id) == []
    (last,) = buffer.end_stream("door", EndReason.STOPPED)
    assert (last.key.track_id, last.number, last.decided_pts_s, len(last.crops)) == (1, 1, 0.2, 2)


def test_memory_is_bounded_by_tracks_and_crops(buffer: TrackBuffer) -> None:
    for track_id in range(50):
        for t in range(10):
            feed(buffer, track_id + t / 10, quality=0.5 + t / 100, track_id=track_id)
            assert len(buffer) <= 4
            assert len(see(buffer, track_id + t / 10, track_id).crops) <= 3


def test_of_too_many_tracks_the_one_unseen_for_longest_goes(buffer: TrackBuffer) -> None:
    for track_id in range(5):
        see(buffer, track_id / 10, track_id)
    see(buffer, 0.5, 0)
    buffer.due("door", 0.5)
    assert buffer.track_ids("door") == {0, 2, 3, 4}


def test_a_lost_track_that_is_continued_goes_on_under_its_id(buffer: TrackBuffer) -> None:
    old = see(buffer, 0.0)
    for t in range(4):
        feed(buffer, t / 5)
    new, later = see(buffer, 2.0, track_id=2), Scene(b"later", (640, 480))
    buffer.add(new, crop(2.0, 0.9), lambda whole: later)
    assert buffer.relink(new, max_distance=0.1) is old
    assert buffer.track_ids("door") == {1}
    assert (old.last_pts_s, old.crops[0].pts_s, old.crops[0].scene) == (2.0, 2.0, later)


def test_a_track_that_was_still_seen_is_not_continued(buffer: TrackBuffer) -> None:
    feed(buffer, 2.0)
    new = see(buffer, 2.0, track_id=2)
    buffer.add(new, crop(2.0, 0.9), lambda whole: SCENE)
    assert buffer.relink(new, max_distance=2.0) is None
    assert buffer.track_ids("door") == {1, 2}


def lone(pts_s: float, box: Box, angle: float = 0.0, track_id: int = 1) -> Record:
    buffer = TrackBuffer(TracksConfig())
    made = buffer.see(TrackKey("door", "e1", track_id), box, pts_s, Clock.FILE)
    vector = np.array([np.cos(angle), np.sin(angle)], np.float32)
    taken = Crop(np.zeros((4, 2, 3), np.uint8), box, pts_s, UNDATED, 0.5, vector)
    buffer.add(made, taken, lambda whole: SCENE)
    return made


def at(x: float, height: float = 100.0) -> Box:
    return (x, 100.0, x + 40.0, 100.0 + height)


@pytest.mark.parametrize(
    ("new", "continues"),
    [
        # The same place, a second later, alike.
        (lone(2.0, at(0)), True),
        # As far as one may walk in a second: 0.75 + 1.5 heights; and a little farther.
        (lone(2.0, at(224)), True),
        (lone(2.0, at(226)), False),
        # More time allows more way.
        (lone(4.0, at(400)), True),
        # Somebody else's appearance: 2 sin(angle / 2) apart.
        (lone(2.0, at(0), angle=0.51), True),
        (lone(2.0, at(0), angle=0.53), False),
        (lone(2.0, at(225)), True),
        # Suddenly much taller, or much smaller.
        (lone(2.0, at(0, height=160)), True),
        (lone(2.0, at(0, height=170)), False),
        (lone(2.0, at(0, height=60)), False),
        # Already there while the other was still seen.
        (lone(0.9, at(0)), False),
    ],
)
def test_near_in_appearance_place_and_time(new: Record, continues: bool) -> None:
    old = lone(1.0, at(0))
    assert (find_predecessor(new, [old], max_distance=0.51) is old) == continues


def test_boxes_without_height_are_compared_too() -> None:
    old, new = lone(1.0, at(0, height=0)), lone(2.0, at(0, height=0))
    assert find_predecessor(new, [old], 0.5) is old
    assert find_predecessor(lone(2.0, at(0)), [old], 0.5) is None
    assert find_predecessor(new, [lone(1.0, at(0))], 0.5) is None


def test_the_nearest_in_appearance_wins() -> None:
    old = [lone(1.0, at(0), angle=0.3, track_id=1), lone(1.0, at(50), angle=0.1, track_id=2)]
    assert find_predecessor(lone(2.0, at(20)), old, 0.5) is old[1]
    assert find_predecessor(lone(2.0, at(20)), [], 0.5) is None
