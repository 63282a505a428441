import logging
import os
import shutil
from datetime import UTC, datetime, timedelta

import cv2
import numpy as np
import pytest

from pipeline.errors import InputError
from pipeline.messages import Clock
from plugins.sources.folder import FolderSource
from tests.servers.clips import number_of, picture


@pytest.fixture
def folder(tmp_path):
    for number, name in enumerate(["a1.png", "a2.JPG", "a10.png", "b1.bmp", "b01x.png"]):
        cv2.imwrite(str(tmp_path / name), picture(number, (160 + 2 * number, 96)))
    (tmp_path / "notes.txt").write_text("no picture")
    return tmp_path


def source(path, **settings):
    return FolderSource(FolderSource.Config(path=path, **settings))


def test_natural_order_and_sizes_as_they_are(folder):
    frames = list(source(folder, fps=4).frames())
    assert [number_of(frame.image) for frame in frames] == [0, 1, 2, 3, 4]
    assert [frame.size for frame in frames] == [(160 + 2 * i, 96) for i in range(5)]
    assert [frame.pts_s for frame in frames] == [0, 0.25, 0.5, 0.75, 1.0]
    assert {frame.clock for frame in frames} == {Clock.FILE}


def test_times_count_from_the_date_of_the_first_picture(folder):
    os.utime(folder / "a1.png", (1_700_000_000, 1_700_000_000))
    first, second, *_ = source(folder, fps=4).frames()
    assert first.captured_at == datetime(2023, 11, 14, 22, 13, 20, tzinfo=UTC)
    assert second.captured_at - first.captured_at == timedelta(seconds=0.25)


def test_an_unreadable_picture_leaves_its_place_empty(folder, caplog):
    (folder / "a2.JPG").write_bytes((folder / "a1.png").read_bytes()[:500])
    (folder / "a10.png").write_bytes(b"")
    with caplog.at_level(logging.WARNING, "musewatch.source"):
        frames = list(source(folder).frames())
    assert [frame.index for frame in frames] == [0, 3, 4]
    assert [record.getMessage().count("skipped") for record in caplog.records] == [1, 1]
    assert "a2.JPG" in caplog.text


def test_epoch_depends_on_content_alone(folder, tmp_path_factory):
    copy = tmp_path_factory.mktemp("copy")
    for path in folder.iterdir():
        shutil.copy(path, copy / path.name)
    epochs = {frame.epoch for path in (folder, copy) for frame in source(path).frames()}
    assert len(epochs) == 1
    cv2.imwrite(str(copy / "a1.png"), np.zeros((96, 160, 3), np.uint8))
    assert next(source(copy).frames()).epoch not in epochs


def test_real_pace_shows_them_at_their_rate(folder):
    now = [0.0]
    waits = []

    def wait(delay_s: float) -> None:
        waits.append(delay_s)
        now[0] += delay_s

    paced = FolderSource(FolderSource.Config(path=folder, fps=2, pace="real"), lambda: now[0], wait)
    assert paced.live
    assert paced.finite
    assert len(list(paced.frames())) == 5
    assert waits == [0.5] * 4


def test_closing_ends_it(folder):
    closed = source(folder)
    frames = closed.frames()
    next(frames)
    closed.close()
    assert not list(frames)


@pytest.mark.parametrize("name", ["missing", "empty"])
def test_nothing_to_show_is_refused(tmp_path, name):
    (tmp_path / "empty").mkdir()
    with pytest.raises(InputError, match=name):
        list(source(tmp_path / name).frames())
