import subprocess
import sys
from datetime import UTC, datetime

import numpy as np

from pipeline.messages import Clock, Detections, Frame
from plugins.trackers.bytetrack import ByteTracker

IMAGE = np.zeros((540, 960, 3), np.uint8)


def follow(tracker: ByteTracker, sights: list[tuple[float, float, float]]) -> list[int]:
    """Ids of one person of 80x200 px, seen at (time, left edge, score)."""
    ids = []
    for index, (pts_s, left, score) in enumerate(sights):
        frame = Frame("door", index, IMAGE, pts_s, datetime(2026, 1, 1, tzinfo=UTC), Clock.FILE)
        people = Detections(
            np.array([[left, 200, left + 80, 400]], np.float32), np.array([score], np.float32)
        )
        ids.extend(tracker.update(frame, people, None).tolist())
    return ids


def test_a_doubtful_detection_goes_on_with_a_track_but_starts_none() -> None:
    config = ByteTracker.Config(start_score=0.5, sure_score=0.5)
    assert follow(ByteTracker(config), [(0.1 * n, 10, 0.4) for n in range(5)]) == [-1] * 5
    scores = [0.9, 0.9, 0.4, 0.4, 0.9]
    assert follow(ByteTracker(config), [(0.1 * n, 10, score) for n, score in enumerate(scores)]) == [
        -1,
        0,
        0,
        0,
        0,
    ]


def test_a_track_is_lost_after_seconds_not_after_frames() -> None:
    for step_s in (0.05, 0.25):
        sights = [(0.0, 10.0, 0.9), (step_s, 10.0, 0.9)]
        tracker = ByteTracker(ByteTracker.Config(lost_s=1.0))
        assert follow(tracker, [*sights, (step_s + 0.9, 10, 0.9)]) == [-1, 0, 0]
        tracker = ByteTracker(ByteTracker.Config(lost_s=1.0))
        late = [(step_s + 1.1, 10.0, 0.9), (2 * step_s + 1.1, 10.0, 0.9)]
        assert follow(tracker, [*sights, *late]) == [-1, 0, -1, 1]


def test_a_fast_walker_at_three_frames_a_second_is_followed_by_prediction() -> None:
    """160 px/s, 53 px a frame: two thirds of the width; from the second step on the speed is known."""
    ids = follow(ByteTracker(ByteTracker.Config()), [(n / 3, 10 + 160 * n / 3, 0.9) for n in range(12)])
    assert ids == [-1] + [0] * 11


def test_min_sights_delays_the_id() -> None:
    ids = follow(ByteTracker(ByteTracker.Config(min_sights=3)), [(0.1 * n, 10, 0.9) for n in range(5)])
    assert ids == [-1, -1, 0, 0, 0]


def test_the_library_is_silent_and_leaves_the_home_folder_alone(tmp_path) -> None:
    code = "from plugins.trackers.bytetrack import ByteTracker as B; B(B.Config()).reset()"
    done = subprocess.run(
        [sys.executable, "-W", "error", "-c", code],
        env={"HOME": str(tmp_path), "PATH": "/usr/bin:/bin", "PYTHONDONTWRITEBYTECODE": "1"},
        capture_output=True,
        text=True,
        check=False,
    )
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")
    assert list(tmp_path.iterdir()) == []
