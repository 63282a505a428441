"""From frames to tracklets, with fakes for everything that looks."""

from collections.abc import Sequence
from dataclasses import replace

import numpy as np
import pytest
from numpy.typing import NDArray

from pipeline.config import TracksConfig
from pipeline.follow.buffer import TrackBuffer
from pipeline.follow.detect import DetectStage
from pipeline.follow.follow import StreamTracks, TrackStage
from pipeline.messages import (
    Clock,
    Detected,
    Detections,
    EndReason,
    Frame,
    RawFrame,
    Seen,
    StreamEnd,
    Tracklet,
)
from pipeline.plugged import PluggedTracker
from pipeline.testing import FakeCodec, FakeDetector, FakeEmbedder, frame
from plugins.codec_opencv import OpenCVCodec

LEFT, RIGHT = (10.0, 10.0, 40.0, 90.0), (60.0, 10.0, 90.0, 90.0)
CONFIG = TracksConfig(ripe_crops=2, ripe_s=0.0, min_quality=0.0, early=False)


class RowTracker:
    """The row is the id."""

    needs_embeddings = False

    def __init__(self) -> None:
        self.resets = 0
        self.vectors: list[NDArray[np.float32] | None] = []

    def update(
        self, frame: Frame, detections: Detections, embeddings: NDArray[np.float32] | None
    ) -> NDArray[np.int64]:
        self.vectors.append(embeddings)
        return np.arange(len(detections))

    def reset(self) -> None:
        self.resets += 1


class LookingTracker(RowTracker):
    needs_embeddings = True


class AskingTracker(RowTracker):
    """Asks for the vectors of people on the left."""

    asks = True

    def wanted(self, frame: Frame, detections: Detections) -> NDArray[np.int64]:
        return np.flatnonzero(detections.xyxy[:, 0] < 50)


class CountingEmbedder(FakeEmbedder):
    def __init__(self) -> None:
        super().__init__()
        self.calls = 0

    def embed(self, crops: Sequence[NDArray[np.uint8]]) -> NDArray[np.float32]:
        self.calls += 1
        return super().embed(crops)


class Fixture:
    """A track stage and what it was made of."""

    def __init__(
        self,
        tracker: type[RowTracker] = RowTracker,
        zones: dict | None = None,
        relink: float | None = None,
        cut: float | None = None,
    ):
        self.errors: list[tuple[str, str]] = []
        self.trackers: list[RowTracker] = []
        self.embedder = CountingEmbedder()
        self.buffer = TrackBuffer(CONFIG, cut=cut)

        def make() -> PluggedTracker:
            self.trackers.append(tracker())
            return PluggedTracker.of(self.trackers[-1])

        self.stage = TrackStage(
            make, self.embedder, FakeCodec(), self.buffer, zones or {}, relink,
            lambda stream, error: self.errors.append((stream, str(error))), min_height_px=40,
        )  # fmt: skip

    def watch(self) -> list[Seen]:
        """What observers are told from now on."""
        told: list[Seen] = []
        self.stage.observe(told.append)
        return told

    def feed(self, *items: Detected | StreamEnd) -> list[Tracklet]:
        return list(self.stage.on_batch(items))


def picture(size: tuple[int, int] = (100, 100), seed: int = 0) -> NDArray[np.uint8]:
    return np.random.default_rng(seed).integers(0, 255, (size[1], size[0], 3), np.uint8)


def seen(
    index: int, *boxes: tuple, stream: str = "door", epoch: str = "e1", size: tuple = (100, 100)
) -> Detected:
    shot = replace(frame(index, picture(size), fps=5.0, stream_id=stream), epoch=epoch)
    return Detected(shot, FakeDetector(*boxes).detect([shot])[0])


def test_who_is_seen_after_a_long_gap_has_a_number_at_first_sight() -> None:
    stream = StreamTracks(PluggedTracker.of(RowTracker()))
    ids = np.array([7, -1, -1], np.int64)
    told = [stream.with_lone(ids, pts_s).tolist() for pts_s in (0.0, 0.4, 1.4, 2.4)]
    assert told[:2] == [ids.tolist()] * 2, "a second sight will come"
    assert [row[0] for row in told] == [7] * 4
    assert len({number for row in told[2:] for number in row[1:]} - {-1}) == 4


def test_people_become_tracklets_with_crop_scene_and_vector() -> None:
    f = Fixture()
    assert f.feed(seen(0, LEFT, RIGHT)) == []
    one, two = f.feed(seen(1, LEFT, RIGHT))
    assert (one.key.track_id, two.key.track_id) == (1, 2)
    assert one.best.image.shape == (80, 30, 3)
    assert FakeCodec().decode(one.scene.jpeg).shape == (100, 100, 3)
    assert one.scene.size == (100, 100)
    assert (one.clock, one.best.captured_at) == (Clock.FILE, seen(0).frame.captured_at)
    assert np.linalg.norm(one.embedding) == pytest.approx(1.0)


def test_a_frame_is_kept_at_a_lower_quality_than_crops_are() -> None:
    f, codec = Fixture(), OpenCVCodec(OpenCVCodec.Config())
    f.stage._codec = codec
    (one,) = f.feed(seen(0, LEFT), seen(1, LEFT))
    assert len(one.scene.jpeg) < len(codec.encode(picture()))


def test_the_frame_of_the_best_crop_alone_is_whole() -> None:
    f, codec = Fixture(), FakeCodec()
    wide = np.zeros((360, 1280, 3), np.uint8)
    wide[:100, :100] = picture()
    shots = [replace(each.frame, image=wide) for each in (seen(i, LEFT) for i in range(5))]
    asked = f.feed(*(Detected(shot, FakeDetector(LEFT).detect([shot])[0]) for shot in shots))
    best, *others = [crop.scene for crop in asked[-1].crops if crop.scene is not None]
    assert codec.decode(best.jpeg).shape[:2] == (360, 1280)
    assert [codec.decode(other.jpeg).shape[:2] for other in others] == [(180, 640)] * len(others)
    assert others
    assert {scene.size for scene in (best, *others)} == {(1280, 360)}


def test_two_whose_boxes_change_places_are_split_from_each_other_and_taken_up_again() -> None:
    """The tracker keeps its ids on the boxes; the people behind them are swapped from the fourth frame on."""
    f = Fixture(relink=0.15, cut=0.2)
    told = f.watch()
    red, blue = (40, 40, 220), (220, 40, 40)
    for index in range(8):
        there, other = (red, blue) if index < 3 else (blue, red)
        image = picture(seed=index) // 8
        image[:, :50] += np.array(there, np.uint8)
        image[:, 50:] += np.array(other, np.uint8)
        shot = replace(seen(index, LEFT, RIGHT).frame, image=image)
        f.feed(Detected(shot, FakeDetector(LEFT, RIGHT).detect([shot])[0]))
    ids = [tuple(int(own) for own in one.track_ids) for one in told]
    assert (ids[2], ids[-1]) == ((1, 2), (2, 1)), "the numbers go with the people"
    for own in f.feed(StreamEnd("door", EndReason.TRACK_ENDED)):
        is_red = [crop.image[..., 2].mean() > 150 for crop in own.crops]
        assert is_red == [own.key.track_id == 1] * len(own.crops)
        assert len({crop.box for crop in own.crops}) == 2, "of both boxes"
        np.testing.assert_allclose(own.embedding, f.embedder.embed([own.best.image])[0], atol=0.05)
    assert f.errors == []


@pytest.mark.parametrize(("left_px", "covered"), [(10.0, True), (31.0, False)])
def test_a_person_whom_another_covers_is_no_evidence(left_px: float, covered: bool) -> None:
    f, in_front = Fixture(), (left_px, 15.0, left_px + 30, 95.0)
    told = f.feed(seen(0, LEFT, in_front), seen(1, LEFT, in_front))
    assert [one.best.box for one in told] == ([in_front] if covered else [LEFT, in_front])
    assert f.embedder.embedded == (2 if covered else 4), "nobody looks at what is not taken"


def test_crops_of_all_streams_are_embedded_together() -> None:
    f = Fixture()
    f.feed(seen(0, LEFT, RIGHT), seen(0, LEFT, stream="yard"))
    assert (f.embedder.calls, f.embedder.embedded) == (1, 3)
    assert len(f.trackers) == 2


def test_several_frames_of_one_stream_in_a_batch_keep_their_order() -> None:
    f = Fixture()
    assert [t.key.track_id for t in f.feed(seen(0, LEFT), seen(1, LEFT))] == [1]


def test_a_tracker_that_looks_gets_vectors_which_are_used_again() -> None:
    f = Fixture(LookingTracker)
    f.feed(seen(0, LEFT, RIGHT))
    (tracklet, _) = f.feed(seen(1, LEFT, RIGHT))
    assert (f.embedder.calls, f.embedder.embedded) == (2, 4)  # each detection once
    vectors = f.trackers[0].vectors[0]
    assert vectors is not None
    assert vectors.shape == (2, 4)
    np.testing.assert_allclose(tracklet.best.embedding, vectors[0])


def test_a_tracker_that_asks_gets_those_vectors_which_are_used_again() -> None:
    f = Fixture(AskingTracker)
    f.feed(seen(0, LEFT, RIGHT))
    left, right = f.feed(seen(1, LEFT, RIGHT))
    assert f.embedder.embedded == 4, "each person once a frame: asked for, or for their track"
    vectors = f.trackers[0].vectors[0]
    assert vectors is not None
    assert np.isnan(vectors).all(axis=1).tolist() == [False, True]
    np.testing.assert_allclose(left.best.embedding, vectors[0])
    assert np.isfinite(right.best.embedding).all()
    f.feed(seen(2, RIGHT), seen(3))
    assert [len(v) for v in f.trackers[0].vectors[2:] if v is not None] == [1, 0]


def test_a_frame_is_lost_when_a_tracker_that_asks_asks_for_nobody_there(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    f = Fixture(AskingTracker)
    f.feed(seen(0, LEFT))
    with monkeypatch.context() as patched:
        patched.setattr(AskingTracker, "wanted", lambda *_: np.array([7]))
        f.feed(seen(1, LEFT))
    assert [stream for stream, _ in f.errors] == ["door"]
    assert len(f.trackers[0].vectors) == 1, "it is not asked without what it wants"
    f.feed(seen(2, LEFT))
    assert len(f.trackers[0].vectors) == 2


@pytest.mark.parametrize("change", [{"size": (120, 100)}, {"epoch": "e2"}])
def test_another_size_or_epoch_ends_all_tracks_and_resets_the_tracker(change: dict) -> None:
    f = Fixture()
    f.feed(seen(0, LEFT), seen(1, LEFT))
    (last,) = f.feed(seen(2, LEFT, **change))
    assert last.end is EndReason.TRACK_ENDED
    assert f.trackers[0].resets == 2  # at the first frame and here
    ids = {t.key.track_id for t in f.feed(seen(3, LEFT, **change))}
    assert ids == ({2} if "size" in change else {1})  # ids never come twice in an epoch


def test_the_end_of_a_stream_ends_its_tracks_in_its_place() -> None:
    f = Fixture()
    told = f.feed(
        *(seen(index, LEFT) for index in range(3)),
        StreamEnd("door", EndReason.STREAM_LOST),
        seen(3, LEFT, epoch="e2"),
    )
    assert [(t.number, t.end) for t in told] == [(1, None), (2, EndReason.STREAM_LOST)]
    assert f.buffer.track_ids("door") == {1}


def test_evidence_counts_only_with_the_feet_in_a_zone() -> None:
    right_half = np.array([[0.5, 0], [1, 0], [1, 1], [0.5, 1]], np.float32)
    f = Fixture(zones={"door": [right_half]})
    f.feed(seen(0, LEFT, RIGHT))
    assert [t.key.track_id for t in f.feed(seen(1, LEFT, RIGHT))] == [2]


def test_feet_on_the_lower_border_are_in_a_zone_that_reaches_it() -> None:
    whole = np.array([[0, 0], [1, 0], [1, 1], [0, 1]], np.float32)
    f = Fixture(zones={"door": [whole]})
    cut_off = (10.0, 20.0, 40.0, 100.0)
    assert [t.key.track_id for t in f.feed(seen(0, cut_off), seen(1, cut_off))] == [1]


def test_feet_are_the_middle_of_the_lower_edge() -> None:
    stripe = np.array([[0.7, 0.8], [0.8, 0.8], [0.8, 1], [0.7, 1]], np.float32)
    f = Fixture(zones={"door": [stripe]})
    higher, left_of_it, wider = (60.0, 10.0, 90.0, 75.0), (50.0, 10.0, 78.0, 90.0), (55.0, 30.0, 97.0, 95.0)
    people = (LEFT, higher, left_of_it, wider)
    assert [t.key.track_id for t in f.feed(seen(0, *people), seen(1, *people))] == [4]


def test_small_people_are_no_evidence() -> None:
    f = Fixture()
    small = (10.0, 10.0, 30.0, 49.0)
    assert f.feed(seen(0, small), seen(1, small), seen(2, small)) == []
    assert f.embedder.calls == 0


def test_a_new_track_that_continues_a_lost_one_keeps_its_id() -> None:
    f = Fixture(relink=0.3)
    f.feed(seen(0, LEFT), seen(1, LEFT))
    nobody_then_again = [seen(2), seen(3)]
    f.feed(*nobody_then_again)
    f.trackers[0].update = lambda frame, found, _: np.full(len(found), 77)  # type: ignore[method-assign, assignment]
    told = f.watch()
    f.feed(seen(4, LEFT))
    assert f.buffer.track_ids("door") == {1}
    assert told[0].track_ids.tolist() == [1], "the first frame shows the old id already"


def test_a_lost_track_that_is_continued_leaves_the_others_their_ids() -> None:
    f = Fixture(relink=0.3)
    f.feed(seen(0, LEFT, RIGHT), seen(1, LEFT, RIGHT))
    f.trackers[0].update = lambda frame, found, _: np.array([77, 1][-len(found) :])  # type: ignore[method-assign, assignment]
    f.feed(seen(2, RIGHT), seen(3, RIGHT))
    told = f.watch()
    f.feed(seen(4, LEFT, RIGHT))
    assert told[0].track_ids.tolist() == [1, 2]


def test_a_lost_track_is_continued_at_the_first_look_or_never() -> None:
    f = Fixture(relink=2.0)
    wide, far = (600, 100), (500.0, 10.0, 530.0, 90.0)
    f.feed(seen(0, LEFT, size=wide), seen(1, LEFT, size=wide), seen(2, size=wide))
    f.trackers[0].update = lambda frame, found, _: np.full(len(found), 77)  # type: ignore[method-assign, assignment]
    f.feed(seen(3, far, size=wide), seen(4, LEFT, size=wide))
    assert f.buffer.track_ids("door") == {1, 2}


def test_an_id_that_the_tracker_gives_again_after_a_while_is_somebody_new() -> None:
    f = Fixture()
    f.feed(seen(0, LEFT), seen(1, LEFT))
    f.feed(seen(1000))
    told = f.watch()
    f.feed(seen(1001, LEFT))
    assert told[0].track_ids.tolist() == [2]


def test_an_observer_is_told_who_was_where_in_every_frame() -> None:
    f = Fixture()
    told = f.watch()
    f.feed(seen(0, LEFT, RIGHT), seen(0, RIGHT, stream="yard"), seen(1))
    f.trackers[0].update = lambda frame, found, _: np.array([-1, 5])  # type: ignore[method-assign, assignment]
    f.feed(seen(2, LEFT, RIGHT))
    assert [(s.frame.stream_id, s.frame.index, s.track_ids.tolist()) for s in told] == [
        ("door", 0, [1, 2]), ("yard", 0, [1]), ("door", 1, []), ("door", 2, [-1, 3]),
    ]  # fmt: skip
    assert told[0].detections.xyxy.tolist() == [list(LEFT), list(RIGHT)]


def test_every_observer_is_told() -> None:
    f = Fixture()
    first, second = f.watch(), f.watch()
    f.feed(seen(0, LEFT))
    assert len(first) == len(second) == 1


def test_without_a_relink_distance_a_new_track_is_a_new_person() -> None:
    f = Fixture()
    f.feed(seen(0, LEFT), seen(1, LEFT), seen(2), seen(3))
    f.trackers[0].update = lambda frame, found, _: np.full(len(found), 77)  # type: ignore[method-assign, assignment]
    f.feed(seen(4, LEFT))
    assert (f.buffer.track_ids("door"), f.errors) == ({1, 2}, [])


def test_an_observer_that_fails_is_heard_no_more_and_costs_nobody_a_frame(
    caplog: pytest.LogCaptureFixture,
) -> None:
    f, calls = Fixture(), []

    def fail(what: Seen) -> None:
        calls.append(what)
        raise OSError("the page was closed")

    f.stage.observe(fail)
    told = f.watch()
    assert [t.number for t in f.feed(seen(0, LEFT), seen(1, LEFT))] == [1]
    assert (len(calls), len(told), f.errors) == (1, 2, [])
    assert "the page was closed" in caplog.text


def test_a_crop_that_cannot_be_embedded_costs_itself_only() -> None:
    f = Fixture()
    embed = f.embedder.embed

    def refuse_wide(crops: Sequence[NDArray[np.uint8]]) -> NDArray[np.float32]:
        if any(c.shape[1] > 30 for c in crops):
            raise ValueError("not a unit vector")
        return embed(crops)

    f.embedder.embed = refuse_wide  # type: ignore[method-assign]
    wide = (60.0, 10.0, 95.0, 90.0)
    told = f.feed(seen(0, LEFT, wide), seen(1, LEFT, wide))
    assert [t.key.track_id for t in told] == [1]
    assert f.errors == [("door", "not a unit vector")] * 2
    told = f.feed(seen(2, wide, LEFT, epoch="e2"), seen(3, wide, LEFT, epoch="e2"))
    assert [(t.key.epoch, t.key.track_id) for t in told if t.end is None] == [("e2", 2)]


def test_a_person_whom_the_tracker_cannot_look_at_costs_that_stream_the_frame() -> None:
    f = Fixture(LookingTracker)
    embed = f.embedder.embed

    def refuse_wide(crops: Sequence[NDArray[np.uint8]]) -> NDArray[np.float32]:
        if any(c.shape[1] > 30 for c in crops):
            raise ValueError("out of memory")
        return embed(crops)

    f.embedder.embed = refuse_wide  # type: ignore[method-assign]
    wide = (60.0, 10.0, 95.0, 90.0)
    told = [
        tracklet
        for index in range(3)
        for tracklet in f.feed(seen(index, LEFT), seen(index, *([wide] * (index == 1)), LEFT, stream="yard"))
    ]
    assert [(t.key.stream_id, t.decided_pts_s) for t in told] == [("door", 0.2), ("yard", 0.4)]
    assert f.errors == [("yard", "out of memory")]


def test_a_tracker_that_fails_costs_its_stream_that_frame() -> None:
    f = Fixture()
    f.feed(seen(0, LEFT), seen(0, LEFT, stream="yard"))

    def fail(*_: object) -> NDArray[np.int64]:
        raise RuntimeError("lost count")

    f.trackers[0].update = fail  # type: ignore[method-assign]
    told = f.feed(seen(1, LEFT), seen(1, LEFT, stream="yard"))
    assert [t.key.stream_id for t in told] == ["yard"]
    assert f.errors == [("door", "lost count")]


def test_one_bad_frame_costs_itself_only_in_the_detector() -> None:
    class Picky(FakeDetector):
        def detect(self, frames: Sequence[Frame]) -> list[Detections]:
            if any(f.index == 1 for f in frames):
                raise ValueError("cannot look at this")
            return super().detect(frames)

    errors: list[str] = []
    stage = DetectStage(Picky(LEFT), lambda stream, error: errors.append(stream), FakeCodec().resize)
    frames = [frame(i, stream_id=name) for i, name in enumerate(("a", "b", "c"))]
    end = StreamEnd("a", EndReason.STOPPED)
    done = list(stage.on_batch([frames[0], frames[1], end, frames[2]]))
    assert [d.frame.stream_id if isinstance(d, Detected) else d for d in done] == ["a", end, "c"]
    assert errors == ["b"]


def test_a_picture_that_cannot_be_converted_costs_that_frame() -> None:
    def broken() -> NDArray[np.uint8]:
        raise ValueError("no such pixel format")

    errors: list[str] = []
    stage = DetectStage(
        FakeDetector(LEFT), lambda stream, error: errors.append(f"{stream}: {error}"), FakeCodec().resize
    )
    good, bad = (
        RawFrame(name, 0, picture, 0.0, frame(0).captured_at, Clock.FILE)
        for name, picture in (("a", lambda: frame(0).image), ("b", broken))
    )
    done = list(stage.on_batch([bad, good]))
    assert [item.frame.stream_id for item in done if isinstance(item, Detected)] == ["a"]
    assert errors == ["b: no such pixel format"]


def test_a_detector_that_says_too_little_costs_those_frames() -> None:
    class Mute(FakeDetector):
        def detect(self, frames: Sequence[Frame]) -> list[Detections]:
            return []

    errors: list[str] = []
    stage = DetectStage(Mute(), lambda stream, error: errors.append(stream), FakeCodec().resize)
    assert list(stage.on_batch([frame(0, stream_id="a"), frame(0, stream_id="b")])) == []
    assert errors == ["a", "b"]


def test_networks_see_square_pixels_and_boxes_stay_as_stored() -> None:
    """A recorder that keeps half of the columns: pixels twice as wide as high."""
    sizes: list[tuple[int, int]] = []

    class Noting(FakeDetector):
        def detect(self, frames: Sequence[Frame]) -> list[Detections]:
            sizes.extend(frame.size for frame in frames)
            return super().detect(frames)

    wide = (20.0, 10.0, 80.0, 90.0)
    stage = DetectStage(Noting(wide), lambda *_: None, FakeCodec().resize)
    f = Fixture()
    for index in range(2):
        squeezed = replace(seen(index).frame, pixel_aspect=2.0)
        (detected,) = stage.on_batch([squeezed])
        assert isinstance(detected, Detected)
        assert detected.detections.xyxy.tolist() == [[10.0, 10.0, 40.0, 90.0]]
        assert detected.detections.xyxy.dtype == np.float32
        told = f.feed(detected)
    assert sizes == [(200, 100)] * 2
    assert told[0].best.box == LEFT
    assert told[0].best.image.shape == (80, 60, 3)
    assert told[0].scene.size == (100, 100)
