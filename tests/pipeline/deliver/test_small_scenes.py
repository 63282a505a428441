"""Of a tracklet that leaves the process the best crop's frame alone is whole."""

from dataclasses import replace

import numpy as np
import pytest
from numpy.typing import NDArray

from pipeline.deliver import small_scenes
from pipeline.deliver.small_scenes import SmallScenes
from pipeline.messages import Clock, Crop, Scene, TrackKey, Tracklet
from pipeline.testing import UNDATED
from plugins.codec_opencv import OpenCVCodec

SIZE = (1600, 900)
SMALL = (800, 450)
UNIT = np.array([1, 0], np.float32)


class CountingCodec(OpenCVCodec):
    """Counts what it writes."""

    written = 0

    def encode(self, image: NDArray[np.uint8], quality: int = 90) -> bytes:
        self.written += 1
        return super().encode(image, quality)


CODEC = OpenCVCodec(OpenCVCodec.Config())


def scene(size: tuple[int, int] = SIZE) -> Scene:
    return Scene(CODEC.encode(np.zeros((size[1], size[0], 3), np.uint8)), SIZE)


def crop(of: Scene | None) -> Crop:
    return Crop(np.zeros((8, 4, 3), np.uint8), (0.0, 0.0, 4.0, 8.0), 0.0, UNDATED, 0.5, UNIT, of)


def tracklet(*scenes: Scene | None) -> Tracklet:
    best = scenes[0]
    assert best is not None
    return Tracklet(
        TrackKey("door", "e1", 1), 1, tuple(map(crop, scenes)), best, UNIT, 0.0, 1.0, 1.0, Clock.FILE
    )


def size(of: Scene | None) -> tuple[int, int] | None:
    if of is None:
        return None
    height, width = CODEC.decode(of.jpeg).shape[:2]
    return width, height


def test_frames_behind_the_best_are_made_small_and_say_the_size_of_the_source() -> None:
    best, was_best, small = scene(), scene(), scene(SMALL)
    sent = SmallScenes(CODEC).behind_the_best(tracklet(best, was_best, small, None))
    assert [size(each.scene) for each in sent.crops] == [SIZE, SMALL, SMALL, None]
    assert (sent.scene, sent.crops[0].scene, sent.crops[2].scene) == (best, best, small)
    assert sent.crops[1].scene is not None
    assert sent.crops[1].scene.size == SIZE


def test_a_frame_is_made_small_once_for_all_questions() -> None:
    codec = CountingCodec(OpenCVCodec.Config())
    scenes, asked = SmallScenes(codec), tracklet(scene(), scene(), scene())
    first = scenes.behind_the_best(asked)
    again = scenes.behind_the_best(replace(asked, number=2))
    assert (first.crops[1:], codec.written) == (again.crops[1:], 2)


def test_the_frames_remembered_are_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(small_scenes, "REMEMBERED", 2)
    scenes = SmallScenes(CODEC)
    for _ in range(3):
        scenes.behind_the_best(tracklet(scene(), scene()))
    assert len(scenes._made) == 2
