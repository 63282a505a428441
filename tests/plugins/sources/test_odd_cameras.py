"""Cameras as they are: tracks that say nothing, codecs nobody knows, refusals, clocks in another time zone."""

import time
from datetime import UTC, datetime
from itertools import islice

import pytest

from pipeline.errors import StreamError
from pipeline.messages import Clock, Frame
from plugins.sources.rtsp import RtspSource
from tests.servers.odd_camera import OddCamera, coded

FPS = 12
UNKNOWN = "m=video 0 RTP/AVP 98\r\na=rtpmap:98 X-SMART265/90000\r\na=control:other\r\n"
SILENT = "m=video 0 RTP/AVP 97\r\na=rtpmap:97 H264/90000\r\na=control:other\r\n"


@pytest.fixture(scope="module")
def units() -> list[bytes]:
    return coded(3 * FPS, FPS)


def frames(camera: OddCamera, count: int, **settings) -> list[Frame]:
    source = RtspSource(RtspSource.Config(url=camera.url, **settings))
    stream = source.frames()
    taken = list(islice(stream, count))
    stream.close()
    return taken


@pytest.mark.parametrize("other", [UNKNOWN, SILENT], ids=["unknown codec", "silent"])
def test_the_track_that_can_be_seen_is_taken(units, other):
    with OddCamera(units, FPS, tracks=other + "{video}") as camera:
        assert [frame.size for frame in frames(camera, 5)] == [(160, 96)] * 5
        deadline_s = time.monotonic() + 5
        while camera.open and time.monotonic() < deadline_s:
            time.sleep(0.05)
        assert (camera.visits, camera.open) == (1, 0), "the session is closed at the camera"


def test_the_first_track_stays_the_one_that_is_seen_where_it_sends(units):
    with OddCamera(units, FPS, tracks="{video}" + SILENT) as camera:
        assert len(frames(camera, 5)) == 5


def test_an_unknown_codec_is_named_as_the_reason(units):
    with (
        OddCamera(units, FPS, codec="X-SMART265") as camera,
        pytest.raises(StreamError, match=r"codec of its video cannot be decoded.*H\.264"),
    ):
        frames(camera, 1)


@pytest.mark.parametrize("digests", [["SHA-256"], ["MD5", "SHA-256"]])
def test_the_digest_that_cannot_be_answered_is_named_not_the_password(units, digests):
    with (
        OddCamera(units, FPS, digests=digests) as camera,
        pytest.raises(StreamError, match="asks for digest SHA-256") as refused,
    ):
        frames(camera, 1, user="admin", password="hunter2")
    assert "hunter2" not in str(refused.value)


def test_a_wrong_password_is_still_a_wrong_password(units):
    with (
        OddCamera(units, FPS, digests=["MD5"]) as camera,
        pytest.raises(StreamError, match="refused the credentials"),
    ):
        frames(camera, 1, user="admin", password="hunter2")


def test_udp_is_taken_where_tcp_is_refused_and_the_log_says_so(units, caplog):
    with OddCamera(units, FPS, only_udp=True) as camera:
        assert len(frames(camera, 5)) == 5
        source = RtspSource(RtspSource.Config(url=camera.url))
        next(source.frames())
        assert "set transport: udp" in (source.note or "")
    assert "set transport: udp" in caplog.text


@pytest.mark.parametrize("off_s", [3600, -5400])
def test_a_clock_in_another_time_zone_is_not_believed(units, off_s, caplog):
    with OddCamera(units, FPS, clock_off_s=off_s) as camera:
        taken = frames(camera, 2 * FPS)
    assert {frame.clock for frame in taken} == {Clock.ARRIVAL}
    assert abs((taken[-1].captured_at - datetime.now(UTC)).total_seconds()) < 10
    assert f"clock is off by {off_s:+d} s" in caplog.text
