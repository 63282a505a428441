from types import SimpleNamespace

import numpy as np
import pytest

from pipeline.build import Looks, min_height_px
from pipeline.calls import Guests
from pipeline.config import parse_config
from pipeline.messages import Detections
from pipeline.plugged import PluggedCodec, PluggedDetector, PluggedEmbedder
from pipeline.testing import frame
from plugins.codec_opencv import OpenCVCodec
from tests.servers.clips import number_of, write_clip
from trainers.evaluate.frames import Thinning, frames_at
from trainers.evaluate.passes import (
    RememberingDetector,
    RememberingEmbedder,
    record,
    remembered_detections,
    remembered_vectors,
)


class RedSquare:
    """Finds the moving square of the test clips."""

    engine_digest = "sha256:red"

    def __init__(self):
        self.asked = []

    def detect(self, frames):
        self.asked += [each.index for each in frames]
        return [self._find(each.image) for each in frames]

    def _find(self, image):
        image = image.astype(int)
        rows, columns = np.nonzero((image[..., 2] > 150) & (image[..., 1] < 100))
        box = [columns.min(), rows.min(), columns.max() + 1, rows.max() + 1]
        return Detections(np.array([box], np.float32), np.ones(1, np.float32))


class MeanColour:
    """Mean colour as a unit vector."""

    dimension, max_distance = 3, 0.2

    def __init__(self):
        self.asked = 0

    def embed(self, crops):
        self.asked += len(crops)
        rows = np.array([crop.reshape(-1, 3).mean(axis=0) for crop in crops], np.float32).reshape(-1, 3)
        return rows / np.linalg.norm(rows, axis=1, keepdims=True)


@pytest.fixture
def looks():
    embedder = remembered_vectors(PluggedEmbedder.of(MeanColour()))
    return Looks(embedder, PluggedCodec.of(OpenCVCodec(OpenCVCodec.Config())), 0.2, Guests())


@pytest.fixture
def config(tmp_path):
    tracks = {"min_height_px": 8, "min_quality": 0, "ripe_crops": 1, "ripe_s": 0}
    return parse_config({"version": 1, "tracks": tracks}, tmp_path)


def test_frames_are_detected_once():
    plain = RedSquare()
    detector = RememberingDetector(plain)
    frames = [
        frame(number, np.full((48, 64, 3), (0, 0, 255), np.uint8), stream_id="a") for number in range(3)
    ]
    once = detector.detect(frames[:2])
    again = detector.detect([frames[2], frames[1], frames[0]])
    assert plain.asked == [0, 1, 2]
    assert again[1:] == [once[1], once[0]]
    assert detector.detect([]) == []


def test_crops_are_embedded_once():
    plain = MeanColour()
    embedder = RememberingEmbedder(plain)
    one, two = np.full((4, 2, 3), 9, np.uint8), np.arange(24, dtype=np.uint8).reshape(2, 4, 3)
    assert np.array_equal(embedder.embed([one, two, one]), plain.embed([one, two, one]))
    assert embedder.embed([two]).shape == (1, 3)
    assert embedder.embed([]).shape == (0, 3)
    assert plain.asked == 2 + 3


def test_pass_shows_what_is_not_skipped(tmp_path, looks, config):
    clip = write_clip(tmp_path / "a.mp4", 40)
    plain = RedSquare()
    memory = remembered_detections(PluggedDetector.of(plain))
    whole = [asked for together in record(config, memory, looks, clip) for asked in together]
    assert whole[-1].end is not None
    assert (whole[-1].first_pts_s, whole[-1].last_pts_s) == (pytest.approx(0.1, abs=0.11), pytest.approx(3.9))
    (first, *_), *_ = record(config, memory, looks, clip, [(0.0, 2.0)])
    assert first.first_pts_s >= 2.0
    assert first.key.stream_id == "a"
    assert len(plain.asked) == 40, "the second pass asks nothing anew"


def test_pass_shows_so_many_frames_a_second(tmp_path, looks, config):
    clip = write_clip(tmp_path / "a.mp4", 40)
    plain = RedSquare()
    record(config, PluggedDetector.of(plain), looks, clip, [(0.0, 1.0)], Thinning(fps=2))
    assert len(plain.asked) == 2 * 3


def test_failure_of_a_stage_ends_the_pass(tmp_path, looks, config):
    clip = write_clip(tmp_path / "a.mp4", 3)
    broken = PluggedDetector.of(SimpleNamespace(detect=lambda frames: 1 / 0))
    with pytest.raises(ZeroDivisionError):
        record(config, broken, looks, clip)


def test_frames_at_gives_the_nearest(tmp_path):
    clip = write_clip(tmp_path / "a.mp4", 20)
    found = frames_at(clip, [0.0, 0.33, 1.0, 9.0])
    assert {time_s: number_of(each.image) for time_s, each in found.items()} == {
        0.0: 0,
        0.33: 3,
        1.0: 10,
        9.0: 19,
    }
    assert frames_at(clip, []) == {}


def test_what_remembers_keeps_what_is_known_of_the_plugin(config):
    class Choosy(MeanColour):
        min_height_px, engine_digest = 120, "sha256:choosy"

    plain = PluggedEmbedder.of(Choosy())
    memory = remembered_vectors(plain)
    assert memory.facts == plain.facts
    assert min_height_px(config, memory) == min_height_px(config, plain) == 120
    detector = PluggedDetector.of(RedSquare())
    assert remembered_detections(detector).facts.engine_digest == "sha256:red"
