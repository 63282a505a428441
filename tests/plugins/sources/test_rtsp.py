import socket
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from itertools import pairwise
from pathlib import Path

import pytest
from pydantic import ValidationError

from pipeline.errors import StreamError
from pipeline.messages import Clock, Frame
from plugins.sources.rtsp import RtspSource
from tests.servers.clips import number_of, write_clip
from tests.servers.ports import free_port
from tests.servers.rtsp import RtspServer
from trainers.evaluate.push import Cameras

COUNT, FPS = 20, 10


@pytest.fixture(scope="module")
def clips(tmp_path_factory) -> dict[str, Path]:
    folder = tmp_path_factory.mktemp("clips")
    return {
        "h264": write_clip(folder / "h264.mp4", COUNT, fps=FPS),
        "h265": write_clip(folder / "h265.mp4", COUNT, fps=FPS, codec="libx265"),
        "b-frames": write_clip(folder / "b.mp4", COUNT, fps=FPS, b_frames=2),
        "fast": write_clip(folder / "fast.mp4", COUNT, fps=25, size=(320, 192)),
    }


@pytest.fixture(scope="module")
def once(clips) -> Iterator[RtspServer]:
    with RtspServer(clips, once=True) as server:
        yield server


@pytest.fixture
def server(clips) -> Iterator[RtspServer]:
    with RtspServer({"cam": clips["fast"]}) as server:
        yield server


def source(url: str, **settings) -> RtspSource:
    return RtspSource(RtspSource.Config(url=url, **{"read_s": 10, **settings}))  # a busy machine sends late


def numbers(frames: list[Frame]) -> list[int]:
    return [number_of(frame.image) for frame in frames]


@pytest.mark.rtsp
@pytest.mark.parametrize("name", ["h264", "h265", "b-frames", "fast"])
def test_every_frame_in_order_at_its_own_rate_then_a_lost_stream(once, name):
    frames = []
    with pytest.raises(StreamError, match=rf"{once.url(name)}: the stream ended: the camera closed"):
        frames.extend(source(once.url(name), read_s=10).frames())
    assert numbers(frames) == [frame.index for frame in frames] == list(range(COUNT))
    rate = 25 if name == "fast" else FPS
    assert [frame.pts_s * rate for frame in frames] == pytest.approx(range(COUNT), abs=0.05)


@pytest.mark.rtsp
def test_udp_loses_at_most_its_last_frame(once):
    frames = list(source(once.url("fast"), transport="udp", finite=True).frames())
    assert numbers(frames) == list(range(COUNT))[: len(frames)]
    assert len(frames) >= COUNT - 1


@pytest.mark.rtsp
def test_hardware_decoding_falls_back_without_a_driver(once):
    frames = list(source(once.url("fast"), hwaccel="cuda", finite=True).frames())
    assert numbers(frames) == list(range(COUNT))


@pytest.mark.rtsp
def test_no_such_stream(once):
    with pytest.raises(StreamError, match="no such stream"):
        next(source(once.url("none")).frames())


@pytest.mark.rtsp
def test_the_cameras_clock_is_used_once_it_is_known(clips):
    with RtspServer({"cam": clips["h264"]}) as server:
        stream = source(server.url("cam")).frames()
        frames = [next(stream) for _ in range(2 * COUNT)]
    told = [frame.clock for frame in frames].index(Clock.CAMERA)
    assert {frame.clock for frame in frames[:told]} <= {Clock.ARRIVAL}
    assert {frame.clock for frame in frames[told:]} == {Clock.CAMERA}
    gaps = [(b.captured_at - a.captured_at).total_seconds() for a, b in pairwise(frames[told:])]
    assert gaps == pytest.approx([1 / FPS] * len(gaps), abs=0.002)
    assert abs((frames[-1].captured_at - datetime.now(UTC)).total_seconds()) < 5


@pytest.mark.rtsp
@pytest.mark.parametrize(("limit_s", "clock"), [(3600, Clock.CAMERA), (60, Clock.ARRIVAL)])
def test_a_camera_clock_that_is_off(clips, caplog, limit_s, clock):
    late = timedelta(minutes=10)
    config = RtspSource.Config(url="rtsp://camera", max_clock_skew_s=limit_s)
    camera = RtspSource(config, now=lambda: datetime.now(UTC) + late)
    for _ in range(2):
        taken, used = camera._captured(datetime.now(UTC).timestamp())
    assert used == clock
    expected = datetime.now(UTC) + (late if clock == Clock.ARRIVAL else timedelta())
    assert abs((taken - expected).total_seconds()) < 1
    assert caplog.text.count("clock is off by -600 s") == 1


def collect(stream: Iterator[Frame], into: list[Frame], at: int, do: Callable[[], None]) -> None:
    """Takes all frames; does something after the `at`th."""
    for frame in stream:
        into.append(frame)
        if len(into) == at:
            do()


@pytest.mark.rtsp
def test_a_killed_server_is_a_lost_stream_and_the_next_connection_works(server):
    camera = source(server.url("cam"))
    frames: list[Frame] = []
    with pytest.raises(StreamError, match=r"closed the connection|broke off"):
        collect(camera.frames(), frames, 10, server.kill)
    assert len(frames) >= 10
    with pytest.raises(StreamError, match="connection was refused"):
        next(camera.frames())
    server.start()
    again = next(camera.frames())
    assert (again.index, again.pts_s) == (0, 0)


@pytest.mark.rtsp
def test_a_stall_is_noticed_within_the_limit(server):
    frames: list[Frame] = []
    stalled_at: list[datetime] = []

    def stall() -> None:
        server.stall()
        stalled_at.append(datetime.now(UTC))

    with pytest.raises(StreamError, match="no picture for 2 s"):
        collect(source(server.url("cam"), read_s=2).frames(), frames, 10, stall)
    assert timedelta(seconds=1.9) < datetime.now(UTC) - stalled_at[0] < timedelta(seconds=6)


@pytest.mark.rtsp
def test_a_pause_below_the_limit_is_none(server):
    stream = source(server.url("cam"), read_s=2).frames()
    frames = [next(stream) for _ in range(10)]
    server.stall()
    threading.Timer(1.2, server.resume).start()
    frames += [next(stream) for _ in range(20)]
    assert numbers(frames) == [i % COUNT for i in range(numbers(frames)[0], numbers(frames)[0] + 30)]


@pytest.mark.rtsp
def test_another_resolution_comes_through_as_it_is(server, clips):
    stream = source(server.url("cam")).frames()
    frames = [next(stream) for _ in range(5)]
    server.switch("cam", clips["h264"])
    frames += [next(stream) for _ in range(20)]
    assert [frame.size for frame in frames] == sorted((frame.size for frame in frames), reverse=True)
    assert {frame.size for frame in frames} == {(320, 192), (160, 96)}
    small = numbers([frame for frame in frames if frame.size == (160, 96)])
    assert small == list(range(len(small)))
    assert all(a.pts_s < b.pts_s for a, b in pairwise(frames))


@pytest.mark.rtsp
def test_damaged_pictures_do_not_end_it(server, capfd):
    server.corrupt(0.2)
    stream = source(server.url("cam")).frames()
    frames = [next(stream) for _ in range(50)]
    stream.close()
    assert all(a.pts_s < b.pts_s for a, b in pairwise(frames))
    assert {frame.size for frame in frames} == {(320, 192)}
    assert capfd.readouterr() == ("", "")


@pytest.mark.rtsp
def test_closing_from_another_thread_ends_it(server):
    camera = source(server.url("cam"), read_s=1)
    stream = camera.frames()
    next(stream)
    server.stall()
    threading.Timer(0.2, camera.close).start()
    assert len(list(stream)) < COUNT


@pytest.mark.rtsp
def test_credentials(clips):
    user, password = "viewer", "p@ss/w:rd#1"
    with RtspServer({"cam": clips["fast"]}, user=user, password=password) as server:
        for camera in (
            source(server.url("cam", user=user, password=password)),
            source(server.url("cam"), user=user, password=password),
        ):
            assert next(camera.frames()).size == (320, 192)
        for camera in (
            source(server.url("cam")),
            source(server.url("cam", user=user, password="wrong-one")),
            source(server.url("cam"), user=user, password="wrong-one"),
        ):
            with pytest.raises(StreamError, match=r"refused the credentials \(401\)") as refused:
                next(camera.frames())
            assert "wrong" not in str(refused.value)
            assert f"127.0.0.1:{server.port}/cam" in str(refused.value)


@pytest.mark.parametrize("listening", [False, True])
def test_nobody_there(listening):
    """A closed port is refused at once; a silent one costs no more than the limit."""
    with socket.create_server(("127.0.0.1", 0)) as silent:
        port = silent.getsockname()[1] if listening else free_port()
        started = datetime.now(UTC)
        camera = source(f"rtsp://admin:hunter2@127.0.0.1:{port}/1", open_s=1)
        with pytest.raises(StreamError, match="no RTSP answer" if listening else "refused") as failed:
            next(camera.frames())
    assert datetime.now(UTC) - started < timedelta(seconds=3)
    assert f"rtsp://***@127.0.0.1:{port}/1" in str(failed.value)
    assert failed.value.__cause__ is None


def test_something_else_listens():
    with socket.create_server(("127.0.0.1", 0)) as other:

        def answer() -> None:
            connection, _ = other.accept()
            with connection:
                connection.sendall(b"SSH-2.0-no camera\r\n" * 100)

        thread = threading.Thread(target=answer)
        thread.start()
        with pytest.raises(StreamError, match=r"127\.0\.0\.1"):
            next(source(f"rtsp://127.0.0.1:{other.getsockname()[1]}/1", open_s=1).frames())
        thread.join()


@contextmanager
def pushed(clip: Path) -> Iterator[str]:
    url = f"rtsp://127.0.0.1:{free_port()}/in"
    with Cameras({url: clip}):
        yield url


@pytest.mark.parametrize("name", ["h264", "h265", "b-frames"])
def test_a_camera_that_pushes(clips, name):
    with pushed(clips[name]) as url:
        frames = list(source(url, listen=True, finite=True).frames())
    assert numbers(frames) == [frame.index for frame in frames] == list(range(COUNT))
    assert [frame.pts_s * FPS for frame in frames] == pytest.approx(range(COUNT), abs=0.05)


def test_a_pushed_stream_that_ends_is_lost_unless_it_is_finite(clips):
    with pushed(clips["fast"]) as url, pytest.raises(StreamError, match="closed the connection"):
        list(source(url, listen=True).frames())


def test_no_camera_comes():
    url = f"rtsp://127.0.0.1:{free_port()}/in"
    with pytest.raises(StreamError, match="no camera has connected in 1 s"):
        next(source(url, listen=True, listen_s=1).frames())


def test_closing_ends_the_wait_for_a_camera():
    camera = source(f"rtsp://127.0.0.1:{free_port()}/in", listen=True)
    threading.Timer(0.3, camera.close).start()
    assert list(camera.frames()) == []


def test_an_address_in_use():
    with socket.create_server(("127.0.0.1", 0)) as taken:
        url = f"rtsp://127.0.0.1:{taken.getsockname()[1]}/in"
        with pytest.raises(StreamError, match="Address already in use"):
            next(source(url, listen=True).frames())


@pytest.mark.parametrize(
    "settings",
    [
        {"url": "http://camera/1"},
        {"url": "rtsp://camera:port/1"},
        {"url": "rtsp://admin:hunter/2@camera/1"},
        {"url": "rtsp://camera/1", "user": "admin"},
        {"url": "rtsp://a:hunter2@camera/1", "user": "admin", "password": "hunter2"},
        {"url": "rtsp://camera/1", "transport": "pigeon"},
    ],
)
def test_settings_that_cannot_work(settings):
    with pytest.raises(ValidationError) as refused:
        RtspSource.Config(**settings)
    assert all("hunter" not in error["msg"] for error in refused.value.errors())


def test_a_password_is_not_shown_with_the_settings():
    config = RtspSource.Config(url="rtsp://a:hunter2@camera/1")
    assert "hunter2" not in repr(config)
    assert "hunter2" not in repr(RtspSource.Config(url="rtsp://camera/1", user="a", password="hunter2"))
