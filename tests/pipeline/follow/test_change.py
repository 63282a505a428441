"""When the looks of a track say that it follows somebody else."""

import numpy as np

from pipeline.config import TracksConfig
from pipeline.follow.buffer import CROP_GAP_S, SAMPLE_S, Record, TrackBuffer
from pipeline.follow.change import FAR_SHARE, GAP_S, MOST_DOUBTS, alike, is_far
from pipeline.messages import Clock, Crop, EndReason, Scene, TrackKey
from pipeline.testing import UNDATED

CUT = 0.5
BOX = (10.0, 10.0, 50.0, 130.0)
KEY = TrackKey("door", "e1", 1)


def crop(pts_s: float, distance: float = 0.0, quality: float = 0.5) -> Crop:
    """So far from the crops at 0, by the chord of the circle."""
    angle = 2 * np.arcsin(distance / 2)
    vector = np.array([np.cos(angle), np.sin(angle)], np.float32)
    box = (10.0 + pts_s, 10.0, 50.0 + pts_s, 130.0)
    return Crop(np.zeros((4, 2, 3), np.uint8), box, pts_s, UNDATED, quality, vector)


OTHER = 2 * FAR_SHARE * CUT  # as far as somebody else
TURNED = 1.1 * FAR_SHARE * CUT  # farther than the same person mostly is
LIKE_NOBODY = 1.9


class Track:
    """One track in a buffer that knows the cut."""

    def __init__(self, cut: float | None = CUT) -> None:
        self.buffer = TrackBuffer(TracksConfig(), cut=cut)
        self.record = self.buffer.see(KEY, BOX, 0.0, Clock.FILE)
        self.scenes = 0

    def add(self, *crops: Crop, overlaps: bool = False) -> list[bool]:
        return [self._add(each, overlaps) for each in crops]

    def _add(self, each: Crop, overlaps: bool) -> bool:
        self.buffer.see(KEY, each.box, each.pts_s, Clock.FILE, overlaps=overlaps)
        return self.buffer.add(self.record, each, self._scene)

    def _scene(self, whole: bool) -> Scene:
        del whole
        self.scenes += 1
        return Scene(b"jpeg", (640, 480))

    def times(self, record: Record | None = None) -> list[float]:
        return sorted(each.pts_s for each in (record or self.record).crops)


def test_the_limits_are_shares_of_the_cut() -> None:
    kept = [crop(0.0), crop(0.2, 0.2)]
    assert not is_far(crop(0.4, 0.2 + FAR_SHARE * CUT - 0.04), kept, CUT), "the nearest counts"
    assert is_far(crop(0.4, 1.0), kept, CUT)
    near, far = crop(0.6, 1.0 - CUT + 0.06), crop(0.8, 1.6)
    assert alike(crop(1.0, 1.0), [near, far], CUT) == [near]


def test_two_crops_in_a_row_of_somebody_else_end_the_track_at_its_last_good_one() -> None:
    t = Track()
    assert t.add(crop(0.0), crop(0.2), crop(0.4), crop(1.4, OTHER), crop(1.6, OTHER)) == [False] * 4 + [True]
    fresh = t.buffer.split(t.record, 9)
    assert (t.times(), t.times(fresh)) == ([0.0, 0.2, 0.4], [1.4, 1.6])
    np.testing.assert_allclose(t.record.embedding, crop(0).embedding, atol=1e-6)
    np.testing.assert_allclose(fresh.embedding, crop(0, OTHER).embedding, atol=1e-6)
    assert (t.record.last_pts_s, t.record.last_box) == (0.4, crop(0.4).box), "lost since its last crop"
    assert (fresh.key.track_id, fresh.first_pts_s, fresh.last_pts_s) == (9, 1.4, 1.6)
    assert all(each.scene for each in fresh.crops)
    assert t.buffer.track_ids("door") == {1, 9}
    assert (t.record in t.buffer, Track().record in t.buffer) == (True, False)


def test_somebody_who_turns_in_full_view_is_still_the_same() -> None:
    t = Track()
    assert t.add(crop(0.0), crop(0.2), crop(0.4), crop(0.7, TURNED), crop(0.9, TURNED)) == [False] * 5
    assert (t.times(), t.record.doubts) == ([0.0, 0.2, 0.4, 0.7, 0.9], [])
    assert t.add(crop(1.1, LIKE_NOBODY), crop(1.3, LIKE_NOBODY)) == [False, True]


def test_who_was_in_another_s_way_or_out_of_sight_may_be_somebody_else() -> None:
    behind = Track()
    behind.add(crop(0.0), crop(0.2), crop(0.4))
    behind.add(crop(0.5, quality=0.1), overlaps=True)
    assert behind.add(crop(0.7, TURNED), crop(0.9, TURNED)) == [False, True]
    gone = Track()
    gone.add(crop(0.0), crop(0.2), crop(0.4))
    late = 0.4 + 1.1 * GAP_S
    assert gone.add(crop(late, TURNED), crop(late + 0.2, TURNED)) == [False, True]
    past = Track()
    past.add(crop(0.0), overlaps=True)
    assert past.add(crop(0.2), crop(0.4), crop(0.6, TURNED), crop(0.8, TURNED)) == [False] * 4, "known since"


def test_one_far_crop_is_held_back_and_forgotten_when_the_person_is_there_again() -> None:
    t = Track()
    assert t.add(crop(0.0), crop(0.2), crop(0.4, OTHER), crop(0.6), crop(0.8, OTHER)) == [False] * 5
    assert t.times() == [0.0, 0.2, 0.6]
    assert t.record.weight == 3 * 0.5**2


def test_far_crops_that_are_not_alike_are_mishaps() -> None:
    t = Track()
    odd = [crop(0.4 + i / 5, distance) for i, distance in enumerate((0.8, 1.4, 1.9))]
    assert len(odd) == MOST_DOUBTS
    assert t.add(crop(0.0), crop(0.2), *odd) == [False] * 5
    assert (t.times(), t.record.doubts) == ([0.0, 0.2], [])
    assert not t.buffer.wants(t.record, 0.5, 0.8 + SAMPLE_S / 2), "nobody looks again at once"
    assert t.add(crop(2.0, OTHER), crop(2.2, OTHER)) == [False, True], "it is begun anew"


def test_a_doubt_is_looked_into_soon_and_something_poor_never_again_and_again() -> None:
    t = Track()
    t.add(*(crop(i / 5) for i in range(5)), crop(2.0, OTHER))
    assert not t.buffer.wants(t.record, 0.5, 2.0 + CROP_GAP_S / 2)
    assert t.buffer.wants(t.record, 0.3, 2.0 + CROP_GAP_S), "no better than the others, and soon"
    assert not t.buffer.wants(t.record, 0.2, 2.0 + CROP_GAP_S), "too poor to say"
    poor = Track()
    poor.add(crop(0.0), crop(0.2), crop(0.4, OTHER, quality=0.2))
    assert (poor.record.doubts, poor.scenes) == ([], 2)
    assert not poor.buffer.wants(poor.record, 0.5, 0.4 + SAMPLE_S / 2)
    assert poor.buffer.wants(poor.record, 0.5, 0.4 + SAMPLE_S)


def test_a_first_look_that_all_others_belie_is_dropped() -> None:
    """Somebody in front, or half a person at the edge of the picture: the track is of whom it shows from then on."""
    t = Track()
    assert t.add(crop(0.0, OTHER), crop(0.2), crop(0.4)) == [False] * 3
    assert (t.times(), t.record.weight) == ([0.2, 0.4], 2 * 0.5**2)


def test_a_poor_first_look_does_not_silence_those_who_look_different_with_each_step() -> None:
    t = Track()
    better = [crop(0.4 + i / 5, distance, 0.6) for i, distance in enumerate((0.8, 1.4, 1.9))]
    assert t.add(crop(0.0, quality=0.2), *better) == [False] * 4
    assert t.times() == [each.pts_s for each in better]
    assert t.buffer.wants(t.record, 0.6, 1.0)


def test_a_first_look_that_was_asked_about_is_not_dropped() -> None:
    t = Track()
    t.add(crop(0.0, OTHER))
    t.record.questions = 1
    assert t.add(crop(0.2), crop(0.4)) == [False, True]


def test_the_old_part_goes_on_when_its_person_is_found_again() -> None:
    t = Track()
    t.add(crop(0.0), crop(0.2), crop(0.4), crop(1.4, OTHER), crop(1.6, OTHER))
    t.buffer.split(t.record, 9)
    found = t.buffer.see(KEY._replace(track_id=2), crop(2.0).box, 2.0, Clock.FILE)
    t.buffer.add(found, crop(2.0), t._scene)
    assert t.buffer.relink(found, 0.75 * CUT) is t.record
    assert t.times() == [0.0, 0.2, 0.4, 2.0]
    ended = t.buffer.end_stream("door", EndReason.TRACK_ENDED)
    assert [(q.key.track_id, len(q.crops)) for q in ended] == [(1, 4), (9, 2)]


def test_a_question_names_the_tracks_that_were_lost_before_its_own_began() -> None:
    t = Track()
    t.add(crop(0.0), crop(0.2), crop(0.4), crop(1.4, OTHER), crop(1.6, OTHER))
    t.record.questions = 1
    in_view = t.buffer.see(KEY._replace(track_id=2), BOX, 0.0, Clock.FILE)
    t.buffer.add(in_view, crop(0.0), t._scene)
    in_view.questions = 1
    t.buffer.split(t.record, 9)
    t.buffer.see(in_view.key, BOX, 3.2, Clock.FILE)
    assert {q.key.track_id: q.lost for q in t.buffer.due("door", 3.2)} == {1: (), 2: (), 9: (1,)}


def test_young_tracks_are_those_that_began_since_and_were_not_asked_about() -> None:
    t = Track()
    t.add(crop(0.0), crop(0.2))
    assert t.buffer.unasked("door", -0.1) == [t.record]
    assert t.buffer.unasked("door", 0.0) == []
    t.record.questions = 1
    assert t.buffer.unasked("door", -0.1) == []


def test_without_a_cut_nobody_is_somebody_else() -> None:
    t = Track(cut=None)
    assert t.add(crop(0.0), crop(0.2), crop(0.4, OTHER), crop(0.6, OTHER)) == [False] * 4
    assert t.times() == [0.0, 0.2, 0.4, 0.6]
