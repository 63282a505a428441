"""Our detectors against the suite of their role, on frames of the demo's clips."""

from dataclasses import replace

import numpy as np
import pytest

from engines.testing import brightness_network, write_engine
from pipeline.registry import build, known
from pipeline.settings import choose
from pipeline.testing import contracts
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


@pytest.fixture(scope="module")
def hall_frames():
    """Three frames with two people each, of three sizes."""
    whole = list(hall.frames("hall-1", [160, 200, 240]))
    return [
        whole[0],
        replace(whole[1], image=whole[1].image[100:, 200:901]),
        replace(whole[2], image=whole[2].image[:500]),
    ]


class TestDetectors(contracts.DetectorContract):
    @pytest.fixture(params=[name for name in known("detector") if name not in NEEDS_WEIGHTS])
    def detector(self, request, tmp_path):
        settings = SETTINGS.get(request.param, lambda folder: {})(tmp_path)
        return build("detector", choose(request.param, **settings), tmp_path, "detector")

    @pytest.fixture
    def frames(self, hall_frames):
        return hall_frames
