"""What everything promises that finds people, follows them and tells them apart."""

import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from pipeline.errors import InputError
from pipeline.messages import Detections, Frame
from pipeline.protocols import Detector, Embedder, TextEmbedder, Tracker
from pipeline.testing.contracts.wanted import wanted
from pipeline.testing.drawing import BLUE, GREEN, RED, person
from pipeline.testing.fakes import frame

DIGEST = re.compile("sha256:[0-9a-f]{64}")


class DetectorContract:
    """Give `detector`, and `frames` of pictures in which it finds somebody."""

    @pytest.fixture
    def detector(self) -> Any:
        """The one under test."""
        wanted("detector")

    @pytest.fixture
    def frames(self) -> Sequence[Frame]:
        """Three frames of different sizes, in each of which the detector finds at least one person."""
        wanted("frames, three frames of different sizes with people whom the detector finds")

    def test_it_is_a_detector(self, detector: Any) -> None:
        """All methods are there."""
        assert isinstance(detector, Detector)

    def test_people_are_boxes_inside_the_frame_with_scores(
        self, detector: Any, frames: Sequence[Frame]
    ) -> None:
        """float32 boxes xyxy in pixels, scores in [0, 1]."""
        for one, found in zip(frames, detector.detect(frames), strict=True):
            width, height = one.size
            assert len(found) > 0
            assert found.xyxy.dtype == found.score.dtype == np.float32
            assert (found.xyxy[:, 2:] > found.xyxy[:, :2]).all()
            assert (found.xyxy >= 0).all()
            assert (found.xyxy <= [width, height, width, height]).all()
            assert (found.score >= 0).all()
            assert (found.score <= 1).all()

    def test_company_changes_nothing(self, detector: Any, frames: Sequence[Frame]) -> None:
        """Frames of several streams go together, in any order, and each gets its own people."""
        mixed = [frames[i] for i in (2, 0, 1, 0)]
        for one, found in zip(mixed, detector.detect(mixed), strict=True):
            (alone,) = detector.detect([one])
            assert found.xyxy == pytest.approx(alone.xyxy, abs=0.01)
            assert found.score == pytest.approx(alone.score, abs=1e-4)

    def test_nobody_in_the_dark(self, detector: Any, frames: Sequence[Frame]) -> None:
        """A black frame among others has nobody in it, and takes nobody from them."""
        dark = replace(frames[0], image=np.zeros_like(frames[0].image))
        counts = [len(found) for found in detector.detect([frames[0], dark, frames[0]])]
        assert counts[1] == 0
        assert counts[0] == counts[2] > 0

    def test_a_tiny_frame_is_nobody_and_no_error(self, detector: Any, frames: Sequence[Frame]) -> None:
        """However small a picture is."""
        (found,) = detector.detect([replace(frames[0], image=frames[0].image[:17, :9])])
        assert len(found) == 0

    def test_no_frames_no_results(self, detector: Any) -> None:
        """An empty batch is no error."""
        assert detector.detect([]) == []

    def test_the_digest_names_the_engine(self, detector: Any) -> None:
        """Where there is one, it is a SHA-256."""
        digest = getattr(detector, "engine_digest", None)
        assert digest is None or DIGEST.fullmatch(digest)


class EmbedderContract:
    """Give `embedder`; `looks` where drawn people are not what it tells apart."""

    @pytest.fixture
    def embedder(self) -> Any:
        """The one under test."""
        wanted("embedder")

    @pytest.fixture
    def looks(self) -> Mapping[Any, Sequence[NDArray[np.uint8]]]:
        """Crops of a few people, by person: of several sizes, two at least of each."""
        return {name: [person(size, shirt) for size in (120, 160, 97)]
                for name, shirt in (("red", RED), ("green", GREEN), ("blue", BLUE))}  # fmt: skip

    def test_it_is_an_embedder(self, embedder: Any) -> None:
        """All attributes are there."""
        assert isinstance(embedder, Embedder)

    def test_rows_are_unit_vectors(self, embedder: Any, looks: Mapping[Any, Any]) -> None:
        """float32, one row a crop, of the length that it states."""
        crops = [crop for seen in looks.values() for crop in seen]
        rows = embedder.embed(crops)
        assert rows.shape == (len(crops), embedder.dimension)
        assert rows.dtype == np.float32
        assert np.linalg.norm(rows, axis=1) == pytest.approx(1, abs=1e-5)

    def test_company_changes_nothing(self, embedder: Any, looks: Mapping[Any, Any]) -> None:
        """A crop's row does not depend on the others of its batch."""
        crops = [crop for seen in looks.values() for crop in seen]
        together = embedder.embed(crops)
        for crop, row in zip(crops, together, strict=True):
            assert embedder.embed([crop])[0] == pytest.approx(row, abs=1e-5)

    def test_one_person_is_nearer_than_another(self, embedder: Any, looks: Mapping[Any, Any]) -> None:
        """That is what it is for."""
        rows = {who: embedder.embed(seen) for who, seen in looks.items()}
        for who, own in rows.items():
            same = np.linalg.norm(own[0] - own[1])
            others = np.concatenate([found for other, found in rows.items() if other != who])
            assert same < np.linalg.norm(others - own[0], axis=1).min()

    def test_no_crops_no_rows(self, embedder: Any) -> None:
        """An empty batch keeps the length of a row."""
        assert embedder.embed([]).shape == (0, embedder.dimension)

    def test_what_it_says_of_itself(self, embedder: Any) -> None:
        """Digest, cut and least height, where it states them."""
        digest = getattr(embedder, "engine_digest", None)
        assert digest is None or DIGEST.fullmatch(digest)
        cut = getattr(embedder, "max_distance", None)
        assert cut is None or 0 < cut <= 2
        assert getattr(embedder, "min_height_px", 1) >= 1


class TextEmbedderContract:
    """Give `embedder`; `texts` where it knows other words."""

    @pytest.fixture
    def embedder(self) -> Any:
        """The one under test."""
        wanted("embedder, one that reads texts")

    @pytest.fixture
    def texts(self) -> Sequence[str]:
        """Two descriptions that it can read."""
        return ["a woman in red", "a man with a green coat"]

    def test_it_reads(self, embedder: Any) -> None:
        """All attributes are there."""
        assert isinstance(embedder, TextEmbedder)
        assert embedder.reads_text is True

    def test_texts_stand_beside_crops(self, embedder: Any, texts: Sequence[str]) -> None:
        """Unit rows of the same length, alone as in company."""
        rows = embedder.embed_text(texts)
        assert (rows.shape, rows.dtype) == ((2, embedder.dimension), np.float32)
        assert np.linalg.norm(rows, axis=1) == pytest.approx(1, abs=1e-5)
        assert embedder.embed_text(texts[1:])[0] == pytest.approx(rows[1], abs=1e-5)

    def test_a_text_that_is_too_long_is_refused(self, embedder: Any, texts: Sequence[str]) -> None:
        """It is said, never cut off in silence."""
        with pytest.raises(InputError):
            embedder.embed_text([" ".join([*texts] * 5000)])


Sight = tuple[float, dict[int, list[float]]]
"""A time, and the box of each person seen then."""

Walker = Callable[[float], list[float]]
"""Where somebody is at a time: xyxy."""

LOOKS = np.eye(4, 32, dtype=np.float32)  # what an embedder would say of four people in very different clothes
IMAGE = np.zeros((540, 960, 3), np.uint8)


def walker(left: float, speed_px_s: float, top: float = 200, height: float = 200) -> Walker:
    """Somebody who walks along a line."""

    def at(pts_s: float) -> list[float]:
        x = left + speed_px_s * pts_s
        return [x, top, x + 0.4 * height, top + height]

    return at


def sights(walkers: Sequence[Walker], times: Sequence[float]) -> list[Sight]:
    """All of them at all times."""
    return [(pts_s, {who: at(pts_s) for who, at in enumerate(walkers)}) for pts_s in times]


def every(step_s: float, seconds: float) -> list[float]:
    """Times from 0."""
    return [round(step * step_s, 3) for step in range(round(seconds / step_s))]


def track(tracker: Any, seen: Sequence[Sight], score: float = 0.9) -> Iterator[dict[int, int]]:
    """The id given to each person, frame by frame."""
    for index, (pts_s, boxes) in enumerate(seen):
        people = Detections(
            np.array(list(boxes.values()), np.float32).reshape(-1, 4), np.full(len(boxes), score, np.float32)
        )
        vectors = LOOKS[list(boxes)] if tracker.needs_embeddings else None
        shown = replace(frame(index, IMAGE, stream_id="door"), pts_s=pts_s)
        ids = tracker.update(shown, people, vectors)
        assert ids.shape == (len(boxes),)
        assert ids.dtype == np.int64
        yield dict(zip(boxes, ids.tolist(), strict=True))


def ids_of(who: int, answers: Sequence[Mapping[int, int]]) -> list[int]:
    """The ids a person had, in order, each once."""
    ids = [answer[who] for answer in answers if answer.get(who, -1) >= 0]
    return list(dict.fromkeys(ids))


class TrackerContract:
    """Give `new_tracker`."""

    @pytest.fixture
    def new_tracker(self) -> Callable[[], Any]:
        """Makes trackers of the kind under test."""
        wanted("new_tracker, a callable that makes one")

    def test_it_is_a_tracker(self, new_tracker: Callable[[], Any]) -> None:
        """All attributes are there."""
        tracker = new_tracker()
        assert isinstance(tracker, Tracker)
        assert tracker.needs_embeddings in {True, False}

    @pytest.mark.parametrize("step_s", [0.04, 0.1, 0.2, 0.33])
    def test_a_walking_person_keeps_one_id(self, new_tracker: Callable[[], Any], step_s: float) -> None:
        """At any usual rate."""
        seen = list(track(new_tracker(), sights([walker(50, 90)], every(step_s, 5))))
        assert len(ids_of(0, seen)) == 1
        assert seen[-1][0] >= 0

    def test_an_uneven_rate_is_no_trouble(self, new_tracker: Callable[[], Any]) -> None:
        """Times count, not frames."""
        times = np.cumsum([0.1, 0.3, 0.1, 0.1, 0.5, 0.1, 0.2, 0.4, 0.1, 0.1, 0.3]).tolist()
        assert len(ids_of(0, list(track(new_tracker(), sights([walker(50, 90)], times))))) == 1

    def test_two_people_who_pass_each_other_stay_two(self, new_tracker: Callable[[], Any]) -> None:
        """And keep their ids."""
        there, back = walker(100, 100, top=180, height=200), walker(700, -100, top=200, height=240)
        seen = list(track(new_tracker(), sights([there, back], every(0.1, 6))))
        assert len(ids_of(0, seen)) == len(ids_of(1, seen)) == 1
        assert ids_of(0, seen) != ids_of(1, seen)

    def test_nobody_shares_an_id_in_a_frame(self, new_tracker: Callable[[], Any]) -> None:
        """Not even in a crowd."""
        crowd = [walker(100 + 30 * who, 40 - 20 * who) for who in range(4)]
        for ids in track(new_tracker(), sights(crowd, every(0.1, 4))):
            given = [number for number in ids.values() if number >= 0]
            assert len(given) == len(set(given))

    def test_a_short_gap_does_not_end_a_track(self, new_tracker: Callable[[], Any]) -> None:
        """0.4 s unseen."""
        times = [*every(0.1, 2), *(2.4 + pts_s for pts_s in every(0.1, 2))]
        seen = sights([walker(50, 60)], times)
        unseen: list[Sight] = [(2.0 + pts_s, {}) for pts_s in every(0.1, 0.4)]
        assert len(ids_of(0, list(track(new_tracker(), seen[:20] + unseen + seen[20:])))) == 1

    def test_who_comes_back_much_later_has_a_new_id(self, new_tracker: Callable[[], Any]) -> None:
        """A minute later."""
        tracker = new_tracker()
        first = list(track(tracker, sights([walker(50, 60)], every(0.1, 2))))
        away: list[Sight] = [(2 + pts_s, {}) for pts_s in every(0.1, 60)]
        again = sights([walker(50 - 60 * 62, 60)], [62 + pts_s for pts_s in every(0.1, 2)])
        later = list(track(tracker, away + again))
        assert len(ids_of(0, first)) == len(ids_of(0, later)) == 1
        assert ids_of(0, first) != ids_of(0, later)

    def test_ids_follow_the_order_of_the_detections(self, new_tracker: Callable[[], Any]) -> None:
        """The n-th id belongs to the n-th box, whatever their order."""
        seen = sights([walker(50, 60), walker(400, -30), walker(700, 0)], every(0.1, 3))
        turned = [(pts_s, dict(reversed(boxes.items()))) for pts_s, boxes in seen]
        alternating = [pair[index % 2] for index, pair in enumerate(zip(seen, turned, strict=True))]
        answers = list(track(new_tracker(), alternating))
        assert [len(ids_of(who, answers)) for who in range(3)] == [1, 1, 1]
        assert len({answers[-1][who] for who in range(3)}) == 3

    def test_instances_share_nothing(self, new_tracker: Callable[[], Any]) -> None:
        """One a stream."""
        seen = sights([walker(50, 60), walker(400, -30)], every(0.1, 2))
        alone = list(track(new_tracker(), seen))
        side_by_side = list(zip(track(new_tracker(), seen), track(new_tracker(), seen), strict=True))
        assert side_by_side == [(ids, ids) for ids in alone]
        assert alone[-1][0] >= 0

    def test_reset_forgets_everything(self, new_tracker: Callable[[], Any]) -> None:
        """As if it were new."""
        tracker = new_tracker()
        seen = sights([walker(50, 60), walker(400, -30)], every(0.1, 2))
        first = list(track(tracker, seen))
        tracker.reset()
        assert list(track(tracker, seen)) == first

    def test_nobody_is_a_normal_answer(self, new_tracker: Callable[[], Any]) -> None:
        """Frames without people are no error."""
        assert list(track(new_tracker(), [(0.0, {}), (0.1, {})])) == [{}, {}]

    def test_a_clock_that_stands_or_steps_back_is_no_error(self, new_tracker: Callable[[], Any]) -> None:
        """Cameras do that."""
        times = [0.0, 0.1, 0.2, 0.2, 0.15, 0.3, 0.4]
        at = walker(50, 0)
        seen = list(track(new_tracker(), [(pts_s, {0: at(0)}) for pts_s in times]))
        assert len(ids_of(0, seen)) == 1
