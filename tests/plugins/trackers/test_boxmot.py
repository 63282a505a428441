import subprocess
import sys
from datetime import UTC, datetime

import numpy as np
import pytest

from pipeline.errors import ConfigError
from pipeline.messages import Clock, Detections, Frame

pytestmark = pytest.mark.torch
pytest.importorskip("boxmot")

from plugins.trackers.boxmot import BoxmotTracker  # noqa: E402

METHODS = {
    "boosttrack": True, "botsort": True, "bytetrack": False, "deepocsort": True, "hybridsort": True,
    "occluboost": True, "ocsort": False, "sfsort": False, "strongsort": True,
}  # fmt: skip
VECTORS = np.eye(2, 16, dtype=np.float32)


def frame(index: int) -> Frame:
    image = np.zeros((540, 960, 3), np.uint8)
    return Frame("door", index, image, 0.1 * index, datetime(2026, 1, 1, tzinfo=UTC), Clock.FILE)


def two_people(index: int) -> Detections:
    boxes = [[50 + 8 * index, 200, 130 + 8 * index, 400], [700 - 8 * index, 180, 790 - 8 * index, 420]]
    return Detections(np.array(boxes, np.float32), np.array([0.9, 0.8], np.float32))


@pytest.mark.parametrize(("method", "needs_embeddings"), METHODS.items())
def test_every_method_follows_two_people(method: str, needs_embeddings: bool) -> None:
    tracker = BoxmotTracker(BoxmotTracker.Config(method=method))
    assert tracker.needs_embeddings is needs_embeddings
    ids = [tracker.update(frame(n), two_people(n), VECTORS if needs_embeddings else None) for n in range(20)]
    assert len({tuple(row) for row in ids[-10:]}) == 1
    assert len(set(ids[-1])) == 2
    assert (ids[-1] >= 0).all()


def test_appearance_can_be_turned_off() -> None:
    tracker = BoxmotTracker(BoxmotTracker.Config(method="botsort", options={"use_embeddings": False}))
    assert not tracker.needs_embeddings
    for index in range(3):
        ids = tracker.update(frame(index), two_people(index), None)
    assert (ids >= 0).all()


def test_without_the_vectors_it_needs_it_fetches_no_network() -> None:
    tracker = BoxmotTracker(BoxmotTracker.Config(method="botsort"))
    with pytest.raises(ValueError, match="needs the embedding"):
        tracker.update(frame(0), two_people(0), None)


@pytest.mark.parametrize(
    ("settings", "problem"),
    [
        ({"method": "sort"}, "no tracker 'sort'.*botsort"),
        ({"method": "sam2mot"}, "no tracker 'sam2mot'"),
        ({"method": "botsort", "options": {"bogus": 1}}, "bogus"),
        ({"method": "botsort", "options": {"weights": "osnet.pt"}}, "weights"),
    ],
)
def test_a_wrong_choice_says_what_is_wrong(settings: dict[str, object], problem: str) -> None:
    with pytest.raises(ConfigError, match=problem):
        BoxmotTracker(BoxmotTracker.Config.model_validate(settings))


def test_it_installs_nothing() -> None:
    from boxmot.utils.checks import RequirementsChecker

    with pytest.raises(ConfigError, match="wants to install"):
        RequirementsChecker().check_packages(["a-package-nobody-has==1"])


def test_it_is_silent_and_leaves_the_home_folder_alone(tmp_path) -> None:
    code = (
        "from plugins.trackers.boxmot import BoxmotTracker as B; import boxmot.utils\n"
        "for method in ('botsort', 'bytetrack'): B(B.Config(method=method)).reset()\n"
        "boxmot.utils.logger.info('chatter'); boxmot.utils.logger.error('chatter')"
    )
    done = subprocess.run(
        [sys.executable, "-W", "error", "-c", code],
        env={"HOME": str(tmp_path), "PATH": "/usr/bin:/bin", "PYTHONDONTWRITEBYTECODE": "1"},
        capture_output=True,
        text=True,
        check=False,
    )
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")
    assert list(tmp_path.iterdir()) == []
