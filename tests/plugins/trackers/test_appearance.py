"""What our tracker does beyond the suite of its role: who is who after a crossing, by looks."""

import subprocess
import sys
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime

import cv2
import numpy as np
import pytest
from numpy.typing import NDArray

from pipeline.messages import Clock, Detections, Frame
from plugins.trackers.appearance import MAX_TRACKS, AppearanceTracker
from plugins.trackers.camera_motion import STILL, CameraMotion

IMAGE = np.zeros((360, 640, 3), np.uint8)
NOW = datetime(2026, 1, 1, tzinfo=UTC)
LOOKS = np.eye(4, 16, dtype=np.float32)  # of four people in very different clothes
Box = tuple[float, float, float, float]


def standing(x: float, high: float = 160, feet: float = 300) -> Box:
    return x - 0.2 * high, feet - high, x + 0.2 * high, feet


def follow(
    tracker: AppearanceTracker,
    frames: Sequence[tuple[float, Mapping[int, Box]]],
    looks: NDArray[np.float32] | None = LOOKS,
    score: float = 0.9,
) -> tuple[list[dict[int, int]], int]:
    """The id of each person in each frame, and how many were looked at."""
    answers, asked = [], 0
    for index, (pts_s, people) in enumerate(frames):
        frame = Frame("door", index, IMAGE, pts_s, NOW, Clock.FILE)
        boxes = np.array(list(people.values()), np.float32).reshape(-1, 4)
        found = Detections(boxes, np.full(len(boxes), score, np.float32))
        rows, vectors = tracker.wanted(frame, found), None
        if looks is not None:
            vectors = np.full((len(boxes), looks.shape[1]), np.nan, np.float32)
            vectors[rows] = looks[np.array(list(people), int)[rows]]
        asked += len(rows)
        ids = tracker.update(frame, found, vectors)
        answers.append(dict(zip(people, ids.tolist(), strict=True)))
    return answers, asked


def crossing(fps: float, turns_back: bool) -> list[tuple[float, dict[int, Box]]]:
    """Two meet at 320 px; the one behind, 1, is not seen for a second; then they go on, or back."""
    frames = []
    for n in range(round(6 * fps)):
        t = n / fps
        off = 100 * (2.5 - t) if t < 2.5 else 0 if t < 3.5 else 100 * (t - 3.5) * (1 if turns_back else -1)
        people = {0: standing(320 - off)}
        if abs(off) > 35:
            people[1] = standing(320 + off, feet=290)
        frames.append((t, people))
    return frames


def ids_of(answers: Sequence[Mapping[int, int]], who: int) -> set[int]:
    return {answer[who] for answer in answers if answer.get(who, -1) >= 0}


@pytest.fixture
def tracker() -> AppearanceTracker:
    return AppearanceTracker(AppearanceTracker.Config())


@pytest.mark.parametrize("turns_back", [False, True])
@pytest.mark.parametrize("fps", [30, 10, 4])
def test_after_a_crossing_ids_go_with_the_looks(tracker, fps, turns_back):
    frames = crossing(fps, turns_back)
    answers, asked = follow(tracker, frames)
    boxes = sum(len(people) for _, people in frames)
    before, after = answers[: round(2 * fps)], answers[-round(1.5 * fps) :]
    for who in (0, 1):
        assert len(ids_of(before, who)) == 1
        assert ids_of(after, who) == ids_of(before, who)
    assert asked <= boxes / (2 if fps > 4 else 1)


def test_a_lone_walker_is_seldom_looked_at(tracker):
    frames = [(n / 30, {0: standing(40 + 2 * n)}) for n in range(240)]
    answers, asked = follow(tracker, frames)
    assert ids_of(answers, 0) == {0}
    assert asked < len(frames) / 8


def test_who_comes_back_soon_is_known_and_somebody_else_is_not(tracker):
    there = [(n / 10, {0: standing(320)}) for n in range(20)]
    away = [(2 + n / 10, {}) for n in range(20)]
    back = [(4 + n / 10, {0: standing(360)}) for n in range(20)]
    other = [(4 + n / 10, {2: standing(360)}) for n in range(20)]
    answers, _ = follow(tracker, there + away + back)
    assert ids_of(answers, 0) == {0}
    tracker.reset()
    answers, _ = follow(tracker, there + away + other)
    assert ids_of(answers, 0) == {0}
    assert len(ids_of(answers, 2)) == 1
    assert not ids_of(answers, 2) & {0}


def test_a_second_box_of_a_person_gets_no_track(tracker):
    frames = [(n / 10, {0: standing(200 + 5 * n), 1: standing(204 + 5 * n, high=150)}) for n in range(20)]
    answers, _ = follow(tracker, frames, LOOKS[[0, 0]])
    assert len({i for answer in answers for i in answer.values() if i >= 0}) == 1


def test_a_doubtful_box_goes_on_with_a_track_but_starts_none(tracker):
    answers, _ = follow(tracker, [(n / 10, {0: standing(200)}) for n in range(5)], score=0.4)
    assert ids_of(answers, 0) == set()
    follow(tracker, [(1 + n / 10, {0: standing(200)}) for n in range(5)])
    answers, _ = follow(tracker, [(1.5 + n / 10, {0: standing(200)}) for n in range(5)], score=0.4)
    assert [answer[0] for answer in answers] == [0] * 5


def test_a_track_ends_by_seconds_whatever_the_rate():
    for step_s in (0.04, 0.4):
        tracker = AppearanceTracker(AppearanceTracker.Config(lost_s=2.0))
        times = [n * step_s for n in range(10)]
        follow(tracker, [(t, {0: standing(200)}) for t in times])
        follow(tracker, [(times[-1] + 1.9, {})])
        assert ids_of(follow(tracker, [(times[-1] + 1.95, {0: standing(200)})])[0], 0) == {0}
        follow(tracker, [(times[-1] + 4.0, {})])
        assert ids_of(follow(tracker, [(times[-1] + 4.1, {0: standing(200)})])[0], 0) == {1}


def test_bad_vectors_and_a_clock_that_steps_back_cost_nothing(tracker):
    bad = LOOKS.copy()
    bad[0, 3] = np.nan
    bad[1] = np.inf
    frames = [
        (n / 10 if n != 7 else -5.0, {0: standing(100 + 4 * n), 1: standing(500 - 4 * n)}) for n in range(20)
    ]
    answers, _ = follow(tracker, frames, bad)
    assert ids_of(answers, 0) == {0}
    assert ids_of(answers, 1) == {1}
    assert follow(AppearanceTracker(AppearanceTracker.Config()), frames, None)[0] == answers


def test_boxes_that_are_none_are_nobody(tracker):
    odd = {0: standing(100), 1: (300.0, 200.0, 300.0, 200.0), 2: (500.0, 300.0, 400.0, 100.0)}
    answers, _ = follow(tracker, [(n / 10, odd) for n in range(5)])
    assert ids_of(answers, 0) == {0}
    assert ids_of(answers, 1) == ids_of(answers, 2) == set()


def test_memory_is_bounded(tracker):
    rng = np.random.default_rng(0)
    for second in range(6):
        people = {0: standing(100)} | {}
        crowd = {
            n: standing(float(x), high=12, feet=float(y))
            for n, (x, y) in enumerate(rng.uniform(20, 340, (300, 2)))
        }
        follow(tracker, [(float(second), crowd | people)], None)
        assert len(tracker._tracks.by_number) <= MAX_TRACKS
    follow(tracker, [(60.0, {})])
    assert not tracker._tracks.by_number


def test_a_camera_that_turns_is_followed():
    """25 px a frame to the left and back at random; two people alike stand side by side, 40 px apart."""
    rng = np.random.default_rng(3)
    hall = cv2.GaussianBlur(rng.integers(0, 255, (360, 1400, 3), dtype=np.uint8), (0, 0), 3)
    lefts = 300 + np.cumsum(rng.choice([-25, 25], 30))
    ids = {}
    for steady in (True, False):
        tracker = AppearanceTracker(AppearanceTracker.Config(camera_motion=steady))
        answers = []
        for index, left in enumerate(lefts):
            image = np.ascontiguousarray(hall[:, left : left + 640])
            boxes = np.array([standing(600 + 40 * who - left, high=90) for who in range(2)], np.float32)
            frame = Frame("door", index, image, index / 30, NOW, Clock.FILE)
            people = Detections(boxes, np.full(2, 0.9, np.float32))
            tracker.wanted(frame, people)
            answers.append(tracker.update(frame, people, None).tolist())
        ids[steady] = answers
    assert all(answer == [0, 1] for answer in ids[True])
    assert any(answer != [0, 1] for answer in ids[False])


def test_how_the_camera_turned_and_that_people_do_not_count():
    rng = np.random.default_rng(0)
    hall = cv2.GaussianBlur(rng.integers(0, 255, (400, 700, 3), dtype=np.uint8), (0, 0), 2)
    camera, nobody = CameraMotion(), np.zeros((0, 4), np.float32)
    assert camera.step(hall[20:380, 20:660], nobody).tolist() == STILL.tolist()
    turned = cv2.warpAffine(hall, cv2.getRotationMatrix2D((350, 200), 2.0, 1.05), (700, 400))
    by = camera.step(turned[20:380, 20:660], nobody)
    assert np.hypot(by[0, 0], by[1, 0]) == pytest.approx(1.05, abs=0.005)
    assert by[:, :2] @ [330, 180] + by[:, 2] == pytest.approx([330, 180], abs=1)
    assert camera.step(np.zeros((360, 640, 3), np.uint8), nobody).tolist() == STILL.tolist()
    assert camera.step(np.zeros((20, 20, 3), np.uint8), nobody).tolist() == STILL.tolist()


def test_no_tracking_library_is_loaded_for_it() -> None:
    code = (
        "import sys; from pathlib import Path\n"
        "from pipeline.config import parse_config; from pipeline.registry import build\n"
        "config = parse_config({'version': 1, 'streams': []}, Path())\n"
        "tracker = build('tracker', config.tracker, Path(), 'tracker')\n"
        "print(type(tracker).__name__, sorted({'trackers', 'supervision', 'boxmot', 'torch'} & set(sys.modules)))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout == "AppearanceTracker []\n"
