"""What every tracker promises, on walks drawn by hand: boxes whose identity is known."""

from collections.abc import Iterator, Sequence
from datetime import UTC, datetime

import numpy as np
import pytest

from pipeline.messages import Clock, Detections, Frame
from pipeline.protocols import Tracker
from pipeline.registry import build, known
from pipeline.settings import choose

IMAGE = np.zeros((540, 960, 3), np.uint8)
LOOKS = np.eye(4, 32, dtype=np.float32)  # what an embedder would say of four people in very different clothes
TORCH = {"boxmot"}


def make(name, folder):
    return build("tracker", choose(name), folder, "tracker")


@pytest.fixture(
    params=[
        pytest.param(name, marks=[pytest.mark.torch] if name in TORCH else []) for name in known("tracker")
    ]
)
def new_tracker(request, tmp_path):
    """Makes trackers of the kind under test."""
    if request.param in TORCH:
        pytest.importorskip(request.param)
    return lambda: make(request.param, tmp_path)


def walker(left: float, speed_px_s: float, top: float = 200, height: float = 200):
    """Where somebody is at a time: xyxy."""

    def at(pts_s: float) -> list[float]:
        x = left + speed_px_s * pts_s
        return [x, top, x + 0.4 * height, top + height]

    return at


Sight = tuple[float, dict[int, list[float]]]
"""A time, and the box of each person seen then."""


def sights(walkers: Sequence, times: Sequence[float]) -> list[Sight]:
    return [(pts_s, {who: at(pts_s) for who, at in enumerate(walkers)}) for pts_s in times]


def every(step_s: float, seconds: float) -> list[float]:
    return [round(step * step_s, 3) for step in range(round(seconds / step_s))]


def track(tracker, seen: Sequence[Sight], score: float = 0.9) -> Iterator[dict[int, int]]:
    """The id given to each person, frame by frame."""
    for index, (pts_s, boxes) in enumerate(seen):
        frame = Frame("door", index, IMAGE, pts_s, datetime(2026, 1, 1, tzinfo=UTC), Clock.FILE)
        people = Detections(
            np.array(list(boxes.values()), np.float32).reshape(-1, 4), np.full(len(boxes), score, np.float32)
        )
        vectors = LOOKS[list(boxes)] if tracker.needs_embeddings else None
        ids = tracker.update(frame, people, vectors)
        assert ids.shape == (len(boxes),)
        assert ids.dtype == np.int64
        yield dict(zip(boxes, ids.tolist(), strict=True))


def ids_of(who: int, answers: Sequence[dict[int, int]]) -> list[int]:
    """The ids a person had, in order, each once."""
    ids = [ids[who] for ids in answers if ids.get(who, -1) >= 0]
    return list(dict.fromkeys(ids))


def test_it_is_a_tracker(new_tracker) -> None:
    tracker = new_tracker()
    assert isinstance(tracker, Tracker)
    assert tracker.needs_embeddings in {True, False}


@pytest.mark.parametrize("step_s", [0.04, 0.1, 0.2, 0.33])
def test_a_walking_person_keeps_one_id(new_tracker, step_s: float) -> None:
    seen = list(track(new_tracker(), sights([walker(50, 90)], every(step_s, 5))))
    assert len(ids_of(0, seen)) == 1
    assert seen[-1][0] >= 0


def test_an_uneven_rate_is_no_trouble(new_tracker) -> None:
    times = np.cumsum([0.1, 0.3, 0.1, 0.1, 0.5, 0.1, 0.2, 0.4, 0.1, 0.1, 0.3]).tolist()
    assert len(ids_of(0, list(track(new_tracker(), sights([walker(50, 90)], times))))) == 1


def test_two_people_who_pass_each_other_stay_two(new_tracker) -> None:
    there, back = walker(100, 100, top=180, height=200), walker(700, -100, top=200, height=240)
    seen = list(track(new_tracker(), sights([there, back], every(0.1, 6))))
    assert len(ids_of(0, seen)) == len(ids_of(1, seen)) == 1
    assert ids_of(0, seen) != ids_of(1, seen)


def test_nobody_shares_an_id_in_a_frame(new_tracker) -> None:
    crowd = [walker(100 + 30 * who, 40 - 20 * who) for who in range(4)]
    for ids in track(new_tracker(), sights(crowd, every(0.1, 4))):
        given = [number for number in ids.values() if number >= 0]
        assert len(given) == len(set(given))


def test_a_short_gap_does_not_end_a_track(new_tracker) -> None:
    times = [*every(0.1, 2), *(2.4 + pts_s for pts_s in every(0.1, 2))]
    seen = sights([walker(50, 60)], times)
    unseen = [(2.0 + pts_s, {}) for pts_s in every(0.1, 0.4)]
    assert len(ids_of(0, list(track(new_tracker(), seen[:20] + unseen + seen[20:])))) == 1


def test_who_comes_back_much_later_has_a_new_id(new_tracker) -> None:
    tracker = new_tracker()
    first = list(track(tracker, sights([walker(50, 60)], every(0.1, 2))))
    away = [(2 + pts_s, {}) for pts_s in every(0.1, 60)]
    again = sights([walker(50 - 60 * 62, 60)], [62 + pts_s for pts_s in every(0.1, 2)])
    later = list(track(tracker, away + again))
    assert len(ids_of(0, first)) == len(ids_of(0, later)) == 1
    assert ids_of(0, first) != ids_of(0, later)


def test_ids_follow_the_order_of_the_detections(new_tracker) -> None:
    seen = sights([walker(50, 60), walker(400, -30), walker(700, 0)], every(0.1, 3))
    turned = [(pts_s, dict(reversed(boxes.items()))) for pts_s, boxes in seen]
    alternating = [pair[index % 2] for index, pair in enumerate(zip(seen, turned, strict=True))]
    answers = list(track(new_tracker(), alternating))
    assert [len(ids_of(who, answers)) for who in range(3)] == [1, 1, 1]
    assert len({answers[-1][who] for who in range(3)}) == 3


def test_instances_share_nothing(new_tracker) -> None:
    seen = sights([walker(50, 60), walker(400, -30)], every(0.1, 2))
    alone = list(track(new_tracker(), seen))
    side_by_side = list(zip(track(new_tracker(), seen), track(new_tracker(), seen), strict=True))
    assert side_by_side == [(ids, ids) for ids in alone]
    assert alone[-1][0] >= 0


def test_reset_forgets_everything(new_tracker) -> None:
    tracker = new_tracker()
    seen = sights([walker(50, 60), walker(400, -30)], every(0.1, 2))
    first = list(track(tracker, seen))
    tracker.reset()
    assert list(track(tracker, seen)) == first


def test_nobody_is_a_normal_answer(new_tracker) -> None:
    assert list(track(new_tracker(), [(0.0, {}), (0.1, {})])) == [{}, {}]


def test_a_clock_that_stands_or_steps_back_is_no_error(new_tracker) -> None:
    times = [0.0, 0.1, 0.2, 0.2, 0.15, 0.3, 0.4]
    at = walker(50, 0)
    seen = list(track(new_tracker(), [(pts_s, {0: at(0)}) for pts_s in times]))
    assert len(ids_of(0, seen)) == 1
