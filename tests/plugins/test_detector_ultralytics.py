import hashlib
import subprocess
import sys
from datetime import UTC, datetime
from pathlib import Path

import numpy as np
import pytest

from pipeline.errors import ConfigError
from pipeline.messages import Clock, Frame
from pipeline.protocols import Detector
from pipeline.registry import build
from pipeline.settings import choose

pytestmark = pytest.mark.torch
pytest.importorskip("ultralytics")

from plugins.detector_ultralytics import YOLO, UltralyticsDetector  # noqa: E402


def digest(path: Path) -> str:
    return hashlib.sha256(path.read_bytes()).hexdigest()


@pytest.fixture(scope="module")
def weights(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A network of the library with random weights: it finds people anywhere, surely not where they are."""
    path: Path = tmp_path_factory.mktemp("weights") / "random.pt"
    YOLO("yolo11n.yaml").save(str(path))
    return path


@pytest.fixture
def detector(weights: Path) -> UltralyticsDetector:
    config = UltralyticsDetector.Config(
        weights=weights, trust_pickle=digest(weights), min_score=0.0, size=320, min_height_px=30
    )
    return UltralyticsDetector(config)


def frame(height: int, width: int, seed: int = 0) -> Frame:
    image = np.random.default_rng(seed).integers(0, 255, (height, width, 3), np.uint8)
    return Frame("door", 0, image, 0.0, datetime(2026, 1, 1, tzinfo=UTC), Clock.FILE)


def test_boxes_lie_in_frames_of_any_size(detector: UltralyticsDetector) -> None:
    assert isinstance(detector, Detector)
    frames = [frame(200, 300), frame(400, 240, seed=1)]
    results = detector.detect(frames)
    for shown, found in zip(frames, results, strict=True):
        width, height = shown.size
        assert len(found) > 0
        assert (found.xyxy >= 0).all()
        assert (found.xyxy <= [width, height, width, height]).all()
        assert (found.xyxy[:, 3] - found.xyxy[:, 1] >= 30).all()
        assert ((found.score >= 0) & (found.score <= 1)).all()
    assert detector.detect([]) == []


def test_the_digest_is_of_the_file_and_of_how_it_is_fed(detector: UltralyticsDetector, weights: Path) -> None:
    others = [
        UltralyticsDetector(UltralyticsDetector.Config(weights=weights, trust_pickle=digest(weights), **keys))
        for keys in ({"size": 320}, {"size": 352}, {"size": 320, "person_class": 1})
    ]
    digests = [other.engine_digest for other in others]
    assert digests[0] == detector.engine_digest, "scores and heights that are kept change nothing"
    assert len(set(digests)) == 3


@pytest.mark.parametrize("trusted", [None, "0" * 64])
def test_a_pickle_opens_only_under_its_digest(weights: Path, trusted: str | None) -> None:
    with pytest.raises(ConfigError, match=f"runs code.*{digest(weights)}.*trust_pickle"):
        UltralyticsDetector(UltralyticsDetector.Config(weights=weights, trust_pickle=trusted))


@pytest.mark.parametrize(
    ("name", "content", "problem"),
    [
        ("missing.onnx", None, "No such file.*nothing is downloaded"),
        ("yolo11n.pt", None, "No such file"),
        ("weights.txt", b"hello", "neither .pt nor .onnx"),
        ("broken.onnx", b"hello", "cannot open"),
    ],
)
def test_a_wrong_file_says_what_is_wrong(
    tmp_path: Path, name: str, content: bytes | None, problem: str
) -> None:
    if content is not None:
        (tmp_path / name).write_bytes(content)
    with pytest.raises(ConfigError, match=problem) as error:
        build("detector", choose("ultralytics", weights=name), tmp_path, "detector")
    assert "\n" not in str(error.value)
    assert str(tmp_path) in str(error.value)


def test_it_is_silent_and_leaves_home_and_folder_alone(tmp_path: Path, weights: Path) -> None:
    home, here = tmp_path / "home", tmp_path / "here"
    home.mkdir()
    here.mkdir()
    code = (
        f"import sys; sys.path.insert(0, {str(Path(__file__).parents[2])!r})\n"
        "import numpy as np\n"
        "from types import SimpleNamespace\n"
        "from plugins.detector_ultralytics import UltralyticsDetector as U\n"
        f"detector = U(U.Config(weights={str(weights)!r}, trust_pickle={digest(weights)!r}, size=64))\n"
        "detector.detect([SimpleNamespace(image=np.zeros((64, 64, 3), np.uint8))])"
    )
    done = subprocess.run(
        [sys.executable, "-c", code],
        cwd=here,
        env={
            "HOME": str(home),
            "PATH": "/usr/bin:/bin",
            "PYTHONDONTWRITEBYTECODE": "1",
            "OMP_NUM_THREADS": "1",
        },
        capture_output=True,
        text=True,
        check=False,
    )
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")
    assert [*home.iterdir(), *here.iterdir()] == []
