"""Boxes go where the pixels go, and whoever is hidden or cut off is that much less visible."""

from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from trainers.detection.augment import PAD, Augmentation, augmented, fitted
from trainers.detection.picture_store import Picture

SIZE = (64, 96)
NOTHING = {"mosaic": 0, "as_is": 0, "mirror": 0, "grey": 0, "colour": 0, "noise": 0, "blur": 0, "rubbish": 0}
BRIGHT = 250


def _picture(box: tuple[int, int, int, int] = (40, 30, 70, 90)) -> Picture:
    """A bright rectangle on black, 128 x 192."""
    image = np.zeros((128, 192, 3), np.uint8)
    x0, y0, x1, y1 = box
    image[y0:y1, x0:x1] = BRIGHT
    return Picture(image, np.array([box], np.float32), np.array([1.0], np.float32))


def _sample(seed: int, **settings: Any) -> Picture:
    how = Augmentation(**(NOTHING | settings))
    return augmented(_picture(), _picture, SIZE, how, np.random.default_rng(seed))


def _bright_box(image: np.ndarray, near: np.ndarray) -> np.ndarray:
    """What is bright around a box, which may touch other boxes of a mosaic."""
    x0, y0, x1, y1 = (round(float(edge)) for edge in near)
    top, left = max(0, y0 - 3), max(0, x0 - 3)
    rows, columns = np.nonzero(image[top : y1 + 3, left : x1 + 3, 0] > BRIGHT // 2 + 50)
    return np.array([columns.min() + left, rows.min() + top, columns.max() + left + 1, rows.max() + top + 1])


@pytest.mark.parametrize(
    "settings", [{}, {"mirror": 1}, {"as_is": 1}, {"mosaic": 1}, {"mosaic": 1, "mirror": 1}]
)
@pytest.mark.parametrize("seed", range(5))
def test_boxes_lie_on_the_pixels(settings: dict[str, float], seed: int) -> None:
    sample = _sample(seed, **settings)
    assert sample.image.shape == (*SIZE, 3)
    for box in sample.boxes:
        if (box[2:] - box[:2]).min() > 4:
            assert np.abs(_bright_box(sample.image, box) - box).max() <= 1.5


def test_as_the_stream_sees_it() -> None:
    sample = fitted(_picture(), (64, 100))
    np.testing.assert_allclose(sample.boxes, [[20, 15, 35, 45]])
    assert (sample.image[:, 97:] == PAD).all()
    assert sample.visible.tolist() == [1.0]


def test_who_is_cut_off_is_less_visible() -> None:
    shares = []
    for seed in range(40):
        sample = _sample(seed, zoom=(1.7, 1.8))
        for box, visible in zip(sample.boxes, sample.visible, strict=True):
            whole = visible > 0.999
            touches = box[0] == 0 or box[1] == 0 or box[2] == SIZE[1] or box[3] == SIZE[0]
            assert whole or touches
            shares.append(float(visible))
    assert min(shares) < 0.6
    assert max(shares) == pytest.approx(1.0)


def test_rubbish_hides_people() -> None:
    samples = [_sample(seed, rubbish=1) for seed in range(30)]
    assert all((sample.visible >= -1e-6).all() for sample in samples)
    assert any((sample.visible < 0.7).any() for sample in samples)


@pytest.mark.parametrize("name", ["grey", "colour", "noise", "blur"])
def test_colours_change_and_boxes_stay(name: str) -> None:
    plain, changed = _sample(3, as_is=1), _sample(3, as_is=1, **{name: 1})
    np.testing.assert_array_equal(plain.boxes, changed.boxes)
    assert (plain.image != changed.image).any() or name == "grey"


def test_grey_pictures_have_no_colour() -> None:
    blue = replace(_picture(), image=_picture().image * np.uint8([1, 0, 0]))
    how = Augmentation(**(NOTHING | {"as_is": 1, "grey": 1}))
    image = augmented(blue, _picture, SIZE, how, np.random.default_rng(0)).image
    assert (image == image[..., :1]).all()
    assert image.max() > 0


def test_equal_seeds_make_equal_samples() -> None:
    first, second = (_sample(7, **dict.fromkeys(NOTHING, 0.5)) for _ in range(2))
    np.testing.assert_array_equal(first.image, second.image)
    np.testing.assert_array_equal(first.boxes, second.boxes)
