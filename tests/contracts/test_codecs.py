"""What every codec promises."""

import numpy as np
import pytest

from pipeline.errors import InputError
from pipeline.protocols import Codec
from pipeline.registry import build, known
from pipeline.settings import choose
from tests.pictures import person


@pytest.fixture(params=known("codec"))
def codec(request, tmp_path):
    return build("codec", choose(request.param), tmp_path, "codec")


def test_it_is_a_codec(codec) -> None:
    assert isinstance(codec, Codec)


def test_a_picture_comes_back_nearly_as_it_was(codec) -> None:
    image = person(200)
    again = codec.decode(codec.encode(image, 95))
    assert again.dtype == np.uint8
    assert again.shape == image.shape
    assert np.abs(again.astype(int) - image).mean() < 3


def test_encoding_is_jpeg_and_repeats_itself(codec) -> None:
    data = codec.encode(person())
    assert data.startswith(b"\xff\xd8")
    assert data.endswith(b"\xff\xd9")
    assert codec.encode(person()) == data


def test_less_quality_is_less_bytes(codec) -> None:
    sizes = [len(codec.encode(person(300), quality)) for quality in (30, 60, 95)]
    assert sizes == sorted(set(sizes))


def test_a_view_of_a_frame_can_be_encoded(codec) -> None:
    frame = np.zeros((300, 300, 3), np.uint8)
    frame[50:210, 100:180] = person(160)
    view = frame[50:210, 100:180]
    view.setflags(write=False)
    assert codec.encode(view) == codec.encode(person(160))


@pytest.mark.parametrize("size", [(40, 80), (160, 320), (200, 100), (1, 1)])
def test_resize_gives_the_size_asked_for_and_keeps_the_colours(codec, size: tuple[int, int]) -> None:
    image = np.full((160, 80, 3), (10, 120, 230), np.uint8)
    resized = codec.resize(image, size)
    assert resized.shape == (size[1], size[0], 3)
    assert (resized == image[0, 0]).all()


def test_shrinking_takes_the_mean(codec) -> None:
    """A checkerboard becomes grey; picking single pixels would leave black or white."""
    board = np.indices((64, 64)).sum(axis=0) % 2 * 255
    image = np.repeat(board.astype(np.uint8)[..., None], 3, axis=2)
    assert set(np.unique(codec.resize(image, (16, 16)))) <= {127, 128}


@pytest.mark.parametrize("data", [b"", b"no picture at all", b"\xff\xd8\xff", bytes(1000)])
def test_what_is_no_picture_is_refused(codec, data: bytes) -> None:
    with pytest.raises(InputError):
        codec.decode(data)


@pytest.mark.parametrize("share", [0.1, 0.5, 0.9])
def test_a_picture_cut_short_is_refused(codec, share: float) -> None:
    data = codec.encode(person(300))
    with pytest.raises(InputError):
        codec.decode(data[: int(len(data) * share)])
