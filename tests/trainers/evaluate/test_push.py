from datetime import UTC, datetime, timedelta

import av
import pytest

from pipeline.registry import build
from pipeline.settings import choose
from tests.servers.clips import number_of, write_clip
from trainers.evaluate import push
from trainers.evaluate.demo import free_ports
from trainers.evaluate.push import Cameras


@pytest.fixture
def url():
    return f"rtsp://127.0.0.1:{free_ports(1)[0]}/door"


def test_clip_arrives_whole_at_its_own_rate(tmp_path, url):
    clip = write_clip(tmp_path / "door.mp4", 15)
    source = build("source", choose("rtsp", url=url, listen=True, finite=True), tmp_path, "door")
    begun = datetime.now(UTC)
    with Cameras({url: clip}) as cameras:
        frames = list(source.frames())
        assert cameras.failed() == []
    assert [number_of(frame.image) for frame in frames] == list(range(15))
    assert [frame.pts_s for frame in frames] == pytest.approx([number / 10 for number in range(15)], abs=1e-3)
    assert frames[-1].captured_at - begun > timedelta(seconds=1.3), (
        "a camera does not send faster than it sees"
    )


def test_nobody_listening_is_an_error_in_the_end(tmp_path, url, monkeypatch):
    monkeypatch.setattr(push, "PATIENCE_S", 0.3)
    with pytest.raises(av.FFmpegError):
        push.push(write_clip(tmp_path / "door.mp4", 5), url)


def test_leaving_ends_cameras_that_still_run(tmp_path, url):
    cameras = Cameras({url: write_clip(tmp_path / "door.mp4", 5)})
    with cameras:
        pass
    assert cameras.failed() == [url], "ended before anybody listened"
