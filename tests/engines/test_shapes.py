"""Detectors whose networks take any size are fed pictures in the shape of their stream."""

from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray

from engines.errors import TensorError
from engines.manifest import Manifest, parse_manifest
from engines.network import BoxNetwork
from engines.sessions.base import Tensors, TensorSpec
from engines.testing import FunctionSession

SIZE, STRIDES = (416, 416), (8, 16, 32)


class Brightest(FunctionSession):
    """A YOLOX whose one box of 40 x 40 px is centred on the cell of 8 px that is the brightest.

    Args:
        free: Whether it says that any size goes in.
        only: The one size that it can work on; None = any.
    """

    def __init__(self, *, free: bool = True, only: tuple[int, int] | None = None) -> None:
        sides = (None, None) if free else SIZE
        super().__init__(
            self._answer, [TensorSpec("x", (None, 3, *sides), "float32")], [TensorSpec("y", (), "float32")]
        )
        self._only = only
        self.shapes: list[tuple[int, ...]] = []

    def _answer(self, feeds: Tensors) -> Tensors:
        x = feeds["x"]
        self.shapes.append(x.shape)
        count, _, height, width = x.shape
        if self._only not in (None, (height, width)):
            raise TensorError(f"a layer was made for {self._only}")
        rows = np.zeros((count, sum(height // s * (width // s) for s in STRIDES), 6), np.float32)
        bright = x.mean(axis=1).reshape(count, height // 8, 8, width // 8, 8).mean(axis=(2, 4))
        at = bright.reshape(count, -1).argmax(axis=1)
        rows[np.arange(count), at] = [0.5, 0.5, np.log(5), np.log(5), 0.9, 1.0]
        return {"y": rows}


def manifest(**preprocess: object) -> Manifest:
    fed = {"colour": "bgr", "resize": "letterbox_top_left", "size": list(SIZE), **preprocess}
    document = {
        "schema": "musewatch.engine/1", "name": "tiny", "role": "detector", "file": "tiny.onnx", "sha256": "0" * 64,
        "licence": "Apache-2.0", "provenance": "made by a test", "preprocess": fed,
        "decoder": {"kind": "yolox", "strides": list(STRIDES)},
    }  # fmt: skip
    return parse_manifest(document, Path())


def picture(wide: int, high: int) -> NDArray[np.uint8]:
    """Grey as the padding, with one bright square."""
    image = np.full((high, wide, 3), 114, np.uint8)
    image[high // 2 : high // 2 + high // 8, wide // 4 : wide // 4 + high // 8] = 255
    return image


PICTURES = [picture(1280, 720), picture(720, 1280), picture(640, 360), picture(500, 500), picture(1280, 720)]


def test_each_shape_goes_in_by_itself_and_the_order_stays() -> None:
    session = Brightest()
    network = BoxNetwork(manifest(), session)
    session.shapes.clear()
    found = network.find(PICTURES)
    assert session.shapes == [(3, 3, 256, 416), (1, 3, 416, 256), (1, 3, 416, 416)]
    whole = BoxNetwork(manifest(shape="fixed"), Brightest()).find(PICTURES)
    for boxes, same in zip(found, whole, strict=True):
        np.testing.assert_array_equal(boxes.xyxy, same.xyxy)
        np.testing.assert_array_equal(boxes.score, same.score)


@pytest.mark.parametrize("resize", ["letterbox_top_left", "letterbox_centre"])
def test_boxes_lie_where_the_picture_has_them(resize: str) -> None:
    network = BoxNetwork(manifest(resize=resize), Brightest())
    for image in PICTURES:
        high, wide = image.shape[:2]
        (x0, y0, x1, y1) = network.find([image])[0].xyxy[0]
        cell = 8 * max(high, wide) / 416
        assert abs((x0 + x1) / 2 - (wide // 4 + high / 16)) < cell + high / 16
        assert abs((y0 + y1) / 2 - (high // 2 + high / 16)) < cell + high / 16


@pytest.mark.parametrize(
    ("session", "keys"),
    [
        (Brightest(free=False), {}),
        (Brightest(only=SIZE), {}),
        (Brightest(), {"shape": "fixed"}),
        (Brightest(), {"resize": "stretch"}),
    ],
    ids=["fixed network", "a layer holds the size", "the manifest says so", "stretched"],
)
def test_else_every_picture_fills_the_input(session: Brightest, keys: dict[str, object]) -> None:
    network = BoxNetwork(manifest(**keys), session)
    session.shapes.clear()
    assert [len(boxes.score) for boxes in network.find(PICTURES)] == [1] * len(PICTURES)
    assert session.shapes == [(len(PICTURES), 3, *SIZE)]


def test_a_sliver_of_a_picture_has_a_shape_too() -> None:
    session = Brightest()
    network = BoxNetwork(manifest(), session)
    network.find([np.zeros((1, 900, 3), np.uint8), np.zeros((900, 1, 3), np.uint8)])
    assert session.shapes[-2:] == [(1, 3, 32, 416), (1, 3, 416, 32)]


def test_the_shape_is_a_part_of_the_identity() -> None:
    assert manifest().digest == manifest(shape="stream").digest != manifest(shape="fixed").digest
