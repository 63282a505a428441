from datetime import UTC, datetime, timedelta

import cv2
import pytest

from pipeline.errors import StreamError
from pipeline.messages import Clock
from plugins.sources.camera import CameraSource, open_device
from tests.servers.clips import number_of, picture, write_clip

NOON = datetime(2026, 1, 1, 12, tzinfo=UTC)


class FakeCamera:
    """Sends three pictures, then its cable is pulled."""

    def __init__(self, device: int | str, opens: bool = True) -> None:
        self.device, self.opens = device, opens
        self.asked: dict[int, float] = {}
        self.sent = 0
        self.released = False

    def isOpened(self) -> bool:  # noqa: N802
        return self.opens

    def set(self, key: int, value: float) -> None:
        self.asked[key] = value

    def read(self):
        self.sent += 1
        return (True, picture(self.sent)) if self.sent <= 3 else (False, None)

    def release(self) -> None:
        self.released = True


def camera_source(camera: FakeCamera, **settings) -> CameraSource:
    ticks = iter(range(100))
    return CameraSource(
        CameraSource.Config(**settings),
        capture=lambda _: camera,
        clock=lambda: 7.0 + camera.sent / 10,
        now=lambda: NOON + timedelta(seconds=next(ticks)),
    )


def test_frames_until_the_cable_is_pulled():
    camera = FakeCamera(0)
    frames = []
    with pytest.raises(StreamError, match="camera 0 stopped sending"):
        frames.extend(camera_source(camera).frames())
    assert [number_of(frame.image) for frame in frames] == [1, 2, 3]
    assert [frame.index for frame in frames] == [0, 1, 2]
    assert [frame.pts_s for frame in frames] == pytest.approx([0, 0.1, 0.2])
    assert [frame.captured_at for frame in frames] == [NOON + timedelta(seconds=i) for i in range(3)]
    assert {frame.clock for frame in frames} == {Clock.ARRIVAL}
    assert camera.released


def test_size_and_rate_are_asked_for():
    camera = FakeCamera(0)
    next(camera_source(camera, size=(640, 480), fps=15).frames())
    assert camera.asked == {
        cv2.CAP_PROP_FRAME_WIDTH: 640,
        cv2.CAP_PROP_FRAME_HEIGHT: 480,
        cv2.CAP_PROP_FPS: 15,
    }


def test_a_camera_that_cannot_be_opened_says_so():
    camera = FakeCamera(2, opens=False)
    with pytest.raises(StreamError, match="camera 2 cannot be opened"):
        next(camera_source(camera, device=2).frames())
    assert camera.released


def test_a_missing_device_is_one_error_and_no_chatter(capfd):
    with pytest.raises(StreamError, match="/dev/no-such-camera cannot be opened"):
        next(CameraSource(CameraSource.Config(device="/dev/no-such-camera"), capture=open_device).frames())
    assert capfd.readouterr() == ("", "")


def test_closing_ends_it_and_frees_the_device():
    camera = FakeCamera(0)
    source = camera_source(camera)
    frames = source.frames()
    next(frames)
    source.close()
    assert not list(frames)
    assert camera.released


def test_opencv_itself_behind_it(tmp_path):
    clip = write_clip(tmp_path / "camera.mp4", count=5)
    source = CameraSource(CameraSource.Config(device=str(clip)), capture=cv2.VideoCapture)
    seen = []
    with pytest.raises(StreamError, match="stopped sending"):
        seen.extend(source.frames())
    assert [number_of(frame.image) for frame in seen] == list(range(5))
