"""What everything promises that makes pictures of pictures: masks, and bytes and back."""

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from pipeline.errors import InputError
from pipeline.messages import Mask, Scene, Tracklet
from pipeline.protocols import Codec, Masker
from pipeline.testing.contracts.wanted import wanted
from pipeline.testing.drawing import person
from pipeline.testing.fakes import FakeCodec, tracklet

Box = tuple[float, float, float, float]


def pixels(mask: Mask) -> NDArray[np.bool_]:
    """The mask (height, width), its run lengths drawn pixel by pixel."""
    drawn: list[bool] = []
    for turn, count in enumerate(mask.counts):
        drawn += [turn % 2 == 1] * count
    height, width = mask.size
    assert len(drawn) == height * width
    return np.array(drawn, bool).reshape(width, height).T


class MaskerContract:
    """Give `masker`; `encode` where it opens the scene."""

    @pytest.fixture
    def masker(self) -> Any:
        """The one under test."""
        wanted("masker")

    @pytest.fixture
    def encode(self) -> Callable[[NDArray[np.uint8]], bytes]:
        """How scenes become bytes: a codec's `encode`."""
        return FakeCodec().encode

    @pytest.fixture
    def seen(self, encode: Callable[[NDArray[np.uint8]], bytes]) -> Callable[[Box], Tracklet]:
        """Somebody in a box of a grey scene, 64 wide and 48 high."""

        def in_box(box: Box) -> Tracklet:
            plain = tracklet()
            scene = np.full((48, 64, 3), 128, np.uint8)
            x0, y0, _, y1 = (int(side) for side in box)
            drawn = person(max(2, y1 - y0))[: max(0, 48 - y0), : max(0, 64 - x0)]
            scene[y0 : y0 + drawn.shape[0], x0 : x0 + drawn.shape[1]] = drawn
            crop = replace(plain.crops[0], box=box, image=person(max(2, y1 - y0)))
            return replace(plain, crops=(crop,), scene=Scene(encode(scene), (64, 48)))

        return in_box

    def test_it_is_a_masker(self, masker: Any) -> None:
        """All methods are there."""
        assert isinstance(masker, Masker)

    def test_the_mask_has_the_size_of_the_scene_and_lies_on_the_person(
        self, masker: Any, seen: Callable[[Box], Tracklet]
    ) -> None:
        """A fifth of the box at least, nothing beside it."""
        (mask,) = masker.mask([seen((10, 5, 30, 40))])
        assert mask.size == (48, 64)
        rows, columns = np.nonzero(pixels(mask))
        assert len(rows) > 0.2 * 20 * 35
        assert (columns.min(), rows.min()) >= (9, 4)
        assert (columns.max(), rows.max()) <= (30, 40)

    def test_runs_are_as_short_as_they_can_be(self, masker: Any, seen: Callable[[Box], Tracklet]) -> None:
        """Only the first run may be empty: two masks that show the same are the same."""
        boxes: list[Box] = [(0, 0, 64, 48), (10, 0, 30, 48), (0, 0, 10, 10), (50, 40, 64, 48)]
        for box in boxes:
            (mask,) = masker.mask([seen(box)])
            assert all(count > 0 for count in mask.counts[1:]), box

    def test_one_answer_a_tracklet_in_order(self, masker: Any, seen: Callable[[Box], Tracklet]) -> None:
        """Company changes nothing."""
        left, right = (2, 2, 20, 40), (40, 2, 60, 40)
        masks = masker.mask([seen(left), seen(right), seen(left)])
        assert masks == [*masker.mask([seen(left)]), *masker.mask([seen(right)]), masks[0]]
        assert masker.mask([]) == []

    def test_a_person_outside_the_scene_has_no_mask(
        self, masker: Any, seen: Callable[[Box], Tracklet]
    ) -> None:
        """None, and no error."""
        assert masker.mask([seen((100, 100, 120, 140))]) == [None]


class CodecContract:
    """Give `codec`."""

    @pytest.fixture
    def codec(self) -> Any:
        """The one under test."""
        wanted("codec")

    def test_it_is_a_codec(self, codec: Any) -> None:
        """All methods are there."""
        assert isinstance(codec, Codec)

    def test_a_picture_comes_back_nearly_as_it_was(self, codec: Any) -> None:
        """Three levels off in the mean, at the best quality."""
        image = person(200)
        again = codec.decode(codec.encode(image, 95))
        assert again.dtype == np.uint8
        assert again.shape == image.shape
        assert np.abs(again.astype(int) - image).mean() < 3

    def test_encoding_is_jpeg_and_repeats_itself(self, codec: Any) -> None:
        """Equal pixels are equal bytes: evidence is kept by its hash."""
        data = codec.encode(person())
        assert data.startswith(b"\xff\xd8")
        assert data.endswith(b"\xff\xd9")
        assert codec.encode(person()) == data

    def test_less_quality_is_less_bytes(self, codec: Any) -> None:
        """It has a say."""
        sizes = [len(codec.encode(person(300), quality)) for quality in (30, 60, 95)]
        assert sizes == sorted(set(sizes))

    def test_a_view_of_a_frame_can_be_encoded(self, codec: Any) -> None:
        """Read-only and not contiguous."""
        frame = np.zeros((300, 300, 3), np.uint8)
        frame[50:210, 100:180] = person(160)
        view = frame[50:210, 100:180]
        view.setflags(write=False)
        assert codec.encode(view) == codec.encode(person(160))

    @pytest.mark.parametrize("size", [(40, 80), (160, 320), (200, 100), (1, 1)])
    def test_resize_gives_the_size_asked_for_and_keeps_the_colours(
        self, codec: Any, size: tuple[int, int]
    ) -> None:
        """Larger or smaller."""
        image = np.full((160, 80, 3), (10, 120, 230), np.uint8)
        resized = codec.resize(image, size)
        assert resized.shape == (size[1], size[0], 3)
        assert (resized == image[0, 0]).all()

    def test_shrinking_takes_the_mean(self, codec: Any) -> None:
        """A checkerboard becomes grey; picking single pixels would leave black or white."""
        board = np.indices((64, 64)).sum(axis=0) % 2 * 255
        image = np.repeat(board.astype(np.uint8)[..., None], 3, axis=2)
        assert set(np.unique(codec.resize(image, (16, 16)))) <= {127, 128}

    @pytest.mark.parametrize("data", [b"", b"no picture at all", b"\xff\xd8\xff", bytes(1000)])
    def test_what_is_no_picture_is_refused(self, codec: Any, data: bytes) -> None:
        """With our own error."""
        with pytest.raises(InputError):
            codec.decode(data)

    @pytest.mark.parametrize("share", [0.1, 0.5, 0.9])
    def test_a_picture_cut_short_is_refused(self, codec: Any, share: float) -> None:
        """Half a person is nobody."""
        data = codec.encode(person(300))
        with pytest.raises(InputError):
            codec.decode(data[: int(len(data) * share)])
