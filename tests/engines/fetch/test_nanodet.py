"""NanoDet's distributions become boxes that the ultralytics decoder reads."""

import numpy as np
import onnxruntime
import pytest

from engines.decode import Reading, decode
from engines.errors import EngineFileError
from engines.fetch.nanodet import to_onnx
from engines.manifest import UltralyticsDecoder
from engines.testing import brightness_network

SIZE = (64, 96)
CLASSES = 3


def answers(rng, levels=(8, 16, 32), steps=8):
    """Scores and distributions of each stride, as a white picture gets them, in an order of no meaning."""
    found = {}
    for stride in levels:
        cells = (SIZE[0] // stride) * (SIZE[1] // stride)
        found[f"box{stride}"] = rng.normal(0, 2, (1, cells, 4 * steps)).astype(np.float32)
        found[f"class{stride}"] = rng.uniform(0, 0.2, (1, cells, CLASSES)).astype(np.float32)
    return found


@pytest.fixture
def convert(tmp_path):
    def run(outputs, batch=1):
        path = tmp_path / "nanodet.onnx"
        path.write_bytes(brightness_network(outputs, SIZE, batch))
        return to_onnx(path)

    return run


def white(network):
    session = onnxruntime.InferenceSession(network, providers=["CPUExecutionProvider"])
    return session.run(None, {"pictures": np.full((1, 3, *SIZE), 255, np.float32)})[0]


def by_hand(distribution, column, row, stride):
    """x1, y1, x2, y2 of one cell."""
    likely = np.exp(distribution.reshape(4, 8))
    left, top, right, bottom = (likely / likely.sum(1, keepdims=True)) @ np.arange(8) * stride
    x, y = column * stride + (stride - 1) / 2, row * stride + (stride - 1) / 2
    return [x - left, y - top, x + right, y + bottom]


@pytest.mark.parametrize(("stride", "row", "column"), [(8, 3, 7), (16, 2, 4), (32, 1, 2)])
def test_the_one_sure_cell_is_the_box_that_its_distributions_say(stride, row, column, convert):
    outputs = answers(np.random.default_rng(stride))
    cell = row * (SIZE[1] // stride) + column
    outputs[f"class{stride}"][0, cell, 1] = 0.9
    rows = white(convert(outputs))
    reading = Reading(size=SIZE, batch=1, min_score=0.5, nms_iou=0.5)
    (boxes,) = decode([rows], UltralyticsDecoder(kind="ultralytics", person_class=1), reading)
    expected = by_hand(outputs[f"box{stride}"][0, cell], column, row, stride)
    np.testing.assert_allclose(boxes.xyxy, [expected], atol=1e-3)
    np.testing.assert_allclose(boxes.score, [0.9], atol=1e-6)


@pytest.mark.parametrize("outputs", [
    answers(np.random.default_rng(0), levels=(8, 16)),
    answers(np.random.default_rng(0), steps=4),
])  # fmt: skip
def test_another_network_is_named(outputs, convert):
    with pytest.raises(EngineFileError, match=r"cannot be converted.*not two"):
        convert(outputs)


def test_a_batch_of_any_size_is_another_network(convert):
    with pytest.raises(EngineFileError, match="cannot be converted"):
        convert(answers(np.random.default_rng(0)), batch=None)


def test_rubbish_is_named(tmp_path):
    path = tmp_path / "rubbish.onnx"
    path.write_bytes(b"no network")
    with pytest.raises(EngineFileError, match="cannot be converted"):
        to_onnx(path)
