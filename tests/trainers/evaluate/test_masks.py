"""`musewatch evaluate masks` on pictures of a few pixels."""

import json

import cv2
import numpy as np
import pytest

from pipeline.cli.main import main


@pytest.fixture
def folders(tmp_path):
    given, truth = tmp_path / "given", tmp_path / "truth"
    given.mkdir()
    truth.mkdir()
    true = np.zeros((4, 6), np.uint8)
    true[:2], true[2:] = 1, 2
    for name in ("a.png", "b.png", "empty.png"):
        cv2.imwrite(str(truth / name), true if name != "empty.png" else np.zeros_like(true))
    mine = np.zeros((4, 6), np.uint8)
    mine[1] = 255
    cv2.imwrite(str(given / "a.png"), mine)
    return given, truth


def test_scores_by_name_and_value(folders, capsys):
    given, truth = folders
    assert main(["evaluate", "masks", str(given), "--truth", str(truth), "--value=1", "--json"]) == 0
    scores = json.loads(capsys.readouterr().out)
    # 6 of 12 px found, nothing given for 12 px, rightly nothing in an empty one
    assert scores == {"images": 3, "gIoU": pytest.approx((0.5 + 0 + 1) / 3), "cIoU": pytest.approx(6 / 24)}


@pytest.mark.parametrize(
    ("name", "image", "says"),
    [
        ("c.png", np.zeros((4, 6), np.uint8), "has no true mask"),
        ("a.png", np.zeros((4, 5), np.uint8), "against a true mask of (4, 6)"),
        ("a.png", None, "not a picture"),
    ],
)
def test_what_cannot_be_compared_is_refused(folders, capsys, name, image, says):
    given, truth = folders
    if image is None:
        (given / name).write_bytes(b"no picture")
    else:
        cv2.imwrite(str(given / name), image)
    assert main(["evaluate", "masks", str(given), "--truth", str(truth)]) == 3
    assert says in capsys.readouterr().err
