"""Crops that arrive are probed, and unpacked only when somebody looks."""

from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from pipeline.deliver.unopened import unopened
from pipeline.errors import InputError
from pipeline.messages import Crop
from pipeline.testing import FakeCodec, tracklet
from tests.support.enrolment_desk import CODEC
from tests.support.pictures import person


class Counting(FakeCodec):
    decoded = 0

    def probe(self, data: bytes) -> None:
        FakeCodec.decode(self, data)

    def decode(self, data: bytes) -> Any:
        self.decoded += 1
        return super().decode(data)


def arrived(codec: FakeCodec) -> Crop:
    crop = tracklet().best
    return unopened(
        codec.encode(person(90)),
        codec,
        box=crop.box,
        pts_s=crop.pts_s,
        captured_at=crop.captured_at,
        quality=crop.quality,
        embedding=crop.embedding,
        scene=crop.scene,
    )


def test_a_picture_is_unpacked_at_the_first_look_and_once() -> None:
    codec = Counting()
    crop = arrived(codec)
    assert crop.pixels == person(90).shape[0] * person(90).shape[1]
    assert codec.decoded == 0
    np.testing.assert_array_equal(crop.image, person(90))
    np.testing.assert_array_equal(crop.image, person(90))
    assert codec.decoded == 1


def test_a_changed_copy_is_a_crop_like_any() -> None:
    crop = arrived(Counting())
    copy = replace(crop, quality=0.25)
    assert (copy.quality, copy.pixels) == (0.25, crop.pixels)
    np.testing.assert_array_equal(copy.image, crop.image)
    with pytest.raises(AttributeError):
        crop.colour  # type: ignore[attr-defined]  # noqa: B018


@pytest.mark.parametrize("share", [0.1, 0.5, 0.9, 0.99])
def test_a_picture_cut_short_is_refused_before_it_is_looked_at(share: float) -> None:
    data = CODEC.encode(person(200))
    CODEC.probe(data)
    with pytest.raises(InputError, match="damaged or cut short"):
        CODEC.probe(data[: int(len(data) * share)])


def test_probing_refuses_what_decoding_refuses() -> None:
    rng = np.random.default_rng(0)
    whole = np.frombuffer(CODEC.encode(person(64)), np.uint8)
    verdicts = []
    for _ in range(400):
        data = whole.copy()
        data[rng.integers(0, len(data), 3)] = rng.integers(0, 256, 3)
        verdicts.append([_refuses(read, data.tobytes()) for read in (CODEC.probe, CODEC.decode)])
    assert all(probed == decoded for probed, decoded in verdicts)
    assert 20 < sum(decoded for _, decoded in verdicts) < 380


def _refuses(read: Any, data: bytes) -> bool:
    try:
        read(data)
    except InputError:
        return True
    return False
