"""What every detector promises, on frames of the demo's clips."""

import re
from dataclasses import replace

import numpy as np
import pytest

from engines.testing import brightness_network, write_engine
from pipeline.protocols import Detector
from pipeline.registry import build, known
from pipeline.settings import choose
from tests.oracles import raw_answers
from tests.servers import hall

SIZE = (160, 224)


def onnx_engine(folder):
    """A network that finds two boxes, larger and surer in brighter pictures."""
    boxes = np.float32([[40, 60, 190, 300], [230, 60, 400, 300]])
    (answer,) = raw_answers.ultralytics(boxes, np.float32([0.99, 0.8]), person_class=0)
    path = write_engine(
        folder,
        brightness_network({"rows": answer}, SIZE),
        role="detector",
        preprocess={"colour": "bgr", "resize": "letterbox_top_left", "pad": 0, "size": list(SIZE)},
        decoder={"kind": "ultralytics"},
    )
    return {"engine": str(path)}


SETTINGS = {"onnx": onnx_engine}
NEEDS_WEIGHTS = {"ultralytics"}  # made in its own test


@pytest.fixture(params=[name for name in known("detector") if name not in NEEDS_WEIGHTS])
def detector(request, tmp_path):
    settings = SETTINGS.get(request.param, lambda folder: {})(tmp_path)
    return build("detector", choose(request.param, **settings), tmp_path, "detector")


@pytest.fixture(scope="module")
def frames():
    """Three frames with two people each, of three sizes."""
    whole = list(hall.frames("hall-1", [160, 200, 240]))
    return [
        whole[0],
        replace(whole[1], image=whole[1].image[100:, 200:901]),
        replace(whole[2], image=whole[2].image[:500]),
    ]


def test_it_is_a_detector(detector):
    assert isinstance(detector, Detector)


def test_people_are_boxes_inside_the_frame_with_scores(detector, frames):
    for frame, found in zip(frames, detector.detect(frames), strict=True):
        width, height = frame.size
        assert len(found) > 0
        assert found.xyxy.dtype == found.score.dtype == np.float32
        assert (found.xyxy[:, 2:] > found.xyxy[:, :2]).all()
        assert (found.xyxy >= 0).all()
        assert (found.xyxy <= [width, height, width, height]).all()
        assert (found.score >= 0).all()
        assert (found.score <= 1).all()


def test_company_changes_nothing(detector, frames):
    """Frames of several streams go together, in any order, and each gets its own people."""
    mixed = [frames[i] for i in (2, 0, 1, 0)]
    for frame, found in zip(mixed, detector.detect(mixed), strict=True):
        (alone,) = detector.detect([frame])
        assert found.xyxy == pytest.approx(alone.xyxy, abs=0.01)
        assert found.score == pytest.approx(alone.score, abs=1e-4)


def test_nobody_in_the_dark(detector, frames):
    dark = replace(frames[0], image=np.zeros_like(frames[0].image))
    counts = [len(found) for found in detector.detect([frames[0], dark, frames[0]])]
    assert counts[1] == 0
    assert counts[0] == counts[2] > 0


def test_a_tiny_frame_is_nobody_and_no_error(detector, frames):
    (found,) = detector.detect([replace(frames[0], image=frames[0].image[:17, :9])])
    assert len(found) == 0


def test_no_frames_no_results(detector):
    assert detector.detect([]) == []


def test_the_digest_names_the_engine(detector):
    digest = getattr(detector, "engine_digest", None)
    assert digest is None or re.fullmatch("sha256:[0-9a-f]{64}", digest)
