"""Pixels to tensor, and boxes back."""

import cv2
import numpy as np
import pytest

from engines.manifest import Preprocess
from engines.preprocess import preprocess

SIZES = [(432, 768), (431, 767), (97, 33), (33, 97), (2000, 1111), (416, 416), (1, 1), (3, 900)]


def settings(**keys):
    return Preprocess.model_validate({"colour": "bgr", "resize": "stretch", "size": (128, 96), **keys})


def noise(height, width, seed=0):
    return np.random.default_rng(seed).integers(0, 256, (height, width, 3), np.uint8)


@pytest.mark.parametrize("resize", ["letterbox_top_left", "letterbox_centre", "stretch"])
@pytest.mark.parametrize("size", SIZES)
def test_the_picture_lies_where_the_placement_says(resize, size):
    """A white picture on black padding: the white part, mapped back, is the whole picture within a pixel."""
    white = np.full((*size, 3), 255, np.uint8)
    tensor, (placement,) = preprocess([white], settings(resize=resize, pad=0))

    rows, columns = np.nonzero(tensor[0, 0])
    seen = np.float32([[columns.min(), rows.min(), columns.max() + 1, rows.max() + 1]])

    assert placement.to_source(seen)[0] == pytest.approx([0, 0, size[1], size[0]], abs=1)


@pytest.mark.parametrize("resize", ["letterbox_top_left", "letterbox_centre"])
@pytest.mark.parametrize("size", [(432, 768), (431, 767), (999, 701)])
def test_a_mark_inside_comes_back_to_its_place(resize, size):
    picture = np.zeros((*size, 3), np.uint8)
    left, top, right, bottom = size[1] // 3, size[0] // 4, size[1] // 3 + 101, size[0] // 4 + 203
    picture[top:bottom, left:right] = 255
    tensor, (placement,) = preprocess([picture], settings(resize=resize, pad=0, size=(416, 416)))

    rows, columns = np.nonzero(tensor[0, 0] > 127)
    seen = np.float32([[columns.min(), rows.min(), columns.max() + 1, rows.max() + 1]])

    pixel = max(size) / 416  # one pixel of the input
    assert placement.to_source(seen)[0] == pytest.approx([left, top, right, bottom], abs=pixel)


def test_letterboxes_keep_the_shape_and_stretch_does_not():
    wide = noise(100, 400)
    _, (top_left,) = preprocess([wide], settings(resize="letterbox_top_left"))
    _, (centre,) = preprocess([wide], settings(resize="letterbox_centre"))
    _, (stretch,) = preprocess([wide], settings(resize="stretch"))
    assert (top_left.scale, top_left.offset) == ((0.24, 0.24), (0, 0))
    assert (centre.scale, centre.offset) == ((0.24, 0.24), (0, 52))
    assert (stretch.scale, stretch.offset) == ((0.24, 1.28), (0, 0))


def test_padding_has_the_grey_of_the_manifest():
    tensor, _ = preprocess([noise(10, 40)], settings(resize="letterbox_top_left", pad=114))
    assert (tensor[0, :, 24:] == 114).all()


@pytest.mark.parametrize("colour", ["bgr", "rgb"])
def test_every_value_is_scaled_then_centred_then_divided(colour):
    scale, mean, std = 1 / 255, (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)
    picture = noise(200, 90)
    tensor, _ = preprocess([picture], settings(colour=colour, scale=scale, mean=mean, std=std))

    resized = cv2.resize(picture, (96, 128)).astype(float)
    for channel in range(3):
        source = channel if colour == "bgr" else 2 - channel
        expected = (resized[:, :, source] * scale - mean[channel]) / std[channel]
        assert tensor[0, channel] == pytest.approx(expected, abs=1e-5)


def test_pictures_of_any_sizes_go_together():
    pictures = [noise(*size, seed=i) for i, size in enumerate(SIZES)]
    together, placements = preprocess(pictures, settings(resize="letterbox_centre"))
    for i, picture in enumerate(pictures):
        alone, (placement,) = preprocess([picture], settings(resize="letterbox_centre"))
        assert (together[i] == alone[0]).all()
        assert placements[i] == placement


def test_a_view_that_is_not_contiguous_is_no_other_picture():
    picture = noise(120, 80)
    flipped = picture[:, ::-1]
    expected, _ = preprocess([flipped.copy()], settings())
    assert (preprocess([flipped], settings())[0] == expected).all()


@pytest.mark.parametrize("shape", [(0, 10, 3), (10, 0, 3), (10, 10), (10, 10, 4)])
def test_what_is_no_picture_is_refused_by_number(shape):
    with pytest.raises(ValueError, match="picture 2 of 2"):
        preprocess([noise(5, 5), np.zeros(shape, np.uint8)], settings())


@pytest.mark.parametrize("resize", ["stretch", "letterbox_centre"])
def test_a_picture_much_larger_becomes_the_mean_of_areas(resize):
    picture = noise(128 * 4, 96 * 4)
    tensor, _ = preprocess([picture], settings(resize=resize))
    means = picture.reshape(128, 4, 96, 4, 3).mean(axis=(1, 3))
    assert tensor[0].transpose(1, 2, 0) == pytest.approx(means, abs=0.51)


def test_one_long_side_alone_is_shrunk_by_areas():
    picture = noise(128 * 4, 48)
    tensor, _ = preprocess([picture], settings())
    means = picture.reshape(128, 4, 48, 3).mean(axis=1)
    columns_between = cv2.resize(means.astype(np.float32), (96, 128))
    assert tensor[0].transpose(1, 2, 0) == pytest.approx(columns_between, abs=1.01)


def test_twice_as_large_is_still_between_neighbours():
    picture = noise(256, 192)
    tensor, _ = preprocess([picture], settings())
    assert (tensor[0].transpose(1, 2, 0) == cv2.resize(picture, (96, 128))).all()
