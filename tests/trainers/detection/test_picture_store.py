"""Pictures come back with their people; folders that do not fit are refused with one sentence."""

from pathlib import Path

import numpy as np
import pytest

from pipeline.errors import InputError
from tests.trainers.detection.pictures import SIZE, write_pictures
from trainers.detection.picture_store import PictureStore


def test_pictures_come_in_the_order_of_names_with_corners_for_sizes(tmp_path: Path) -> None:
    write_pictures(tmp_path, 3, seed=1, name="b")
    write_pictures(tmp_path, 2, seed=2, name="a")
    store = PictureStore((tmp_path,))
    assert len(store) == 5
    np.testing.assert_array_equal(store[0].image, np.load(tmp_path / "a.npy")[0])
    np.testing.assert_array_equal(store[4].image, np.load(tmp_path / "b.npy")[2])
    for number in range(5):
        picture = store[number]
        image, boxes, visible = picture.image, picture.boxes, picture.visible
        assert image.shape == (*SIZE, 3)
        assert len(boxes) == len(visible) >= 1
        x0, y0, x1, y1 = boxes[0].astype(int)
        assert (image[y0:y1, x0:x1] >= 150).all()


def test_the_digest_is_that_of_the_truth(tmp_path: Path) -> None:
    first, again, other = (
        PictureStore((write_pictures(tmp_path / str(number), 3, seed),))
        for number, seed in enumerate((1, 1, 2))
    )
    assert first.digest == again.digest != other.digest


def test_a_folder_without_pictures_is_refused(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="holds no pictures"):
        PictureStore((tmp_path,))


def test_a_list_that_does_not_fit_is_refused(tmp_path: Path) -> None:
    write_pictures(tmp_path, 3)
    with (tmp_path / "random-0.jsonl").open("a") as file:
        file.write('{"boxes": [], "visible": []}\n')
    with pytest.raises(InputError, match="do not belong together"):
        PictureStore((tmp_path,))


def test_pictures_cut_off_are_refused(tmp_path: Path) -> None:
    write_pictures(tmp_path, 3)
    pictures = tmp_path / "random-0.npy"
    pictures.write_bytes(pictures.read_bytes()[:500])
    with pytest.raises(InputError, match="cannot be read"):
        PictureStore((tmp_path,))
