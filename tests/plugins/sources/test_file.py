import os
import shutil
from datetime import UTC, datetime, timedelta
from fractions import Fraction
from itertools import pairwise
from pathlib import Path

import av
import numpy as np
import pytest
from pydantic import ValidationError

from pipeline.errors import InputError
from pipeline.messages import Clock, Frame
from plugins.sources.file import FileSource
from tests.servers.clips import number_of, write_clip


@pytest.fixture(scope="module")
def clip(tmp_path_factory):
    return write_clip(tmp_path_factory.mktemp("clips") / "clip.mp4", count=20, fps=10)


def source(path: Path, **settings) -> FileSource:
    return FileSource(FileSource.Config(path=path, **{"pace": "fast"} | settings))


def numbers(frames: list[Frame]) -> list[int]:
    return [number_of(frame.image) for frame in frames]


def test_every_frame_comes_with_its_own_time(clip):
    frames = list(source(clip).frames())
    assert numbers(frames) == [frame.index for frame in frames] == list(range(20))
    assert [round(frame.pts_s * 10) for frame in frames] == list(range(20))
    assert {frame.clock for frame in frames} == {Clock.FILE}


@pytest.mark.parametrize("suffix", ["mp4", "mkv", "ts"])
@pytest.mark.parametrize("codec", ["libx264", "libx265"])
@pytest.mark.parametrize(
    ("b_frames", "start_pts", "fps"),
    [(0, 0, 10), (3, 7, 10), (2, 0, Fraction(30000, 1001)), (0, 5, Fraction(25, 2))],
)
def test_order_and_start_survive_any_coding(tmp_path, suffix, codec, b_frames, start_pts, fps):
    path = write_clip(
        tmp_path / f"clip.{suffix}", fps=fps, codec=codec, b_frames=b_frames, start_pts=start_pts
    )
    frames = list(source(path).frames())
    assert numbers(frames) == list(range(20))
    assert frames[0].pts_s == 0
    assert [round(frame.pts_s * fps) for frame in frames] == list(range(20))


def test_skipped_seconds_are_left_out_and_leave_times_as_they_are(clip):
    frames = list(source(clip, skip=[[1.5, 1.8], [0.3, 0.5], [0.4, 0.7]]).frames())
    kept = [0, 1, 2, 7, 8, 9, 10, 11, 12, 13, 14, 18, 19]
    assert numbers(frames) == [frame.index for frame in frames] == kept
    assert [round(frame.pts_s * 10) for frame in frames] == kept


@pytest.mark.parametrize("span", [[2, 1], [1, 1], [-1, 2]])
def test_a_span_that_cannot_be_is_refused(clip, span):
    with pytest.raises(ValidationError):
        FileSource.Config(path=clip, skip=[span])


def test_epoch_depends_on_content_and_pass_alone(clip, tmp_path):
    copy = shutil.copy(clip, tmp_path / "other name.mp4")
    first, second = (list(source(path, loop=2).frames()) for path in (clip, copy))
    epochs = [frame.epoch for frame in first]
    assert epochs == [frame.epoch for frame in second]
    assert len(set(epochs[:20])) == len(set(epochs[20:])) == 1
    assert epochs[0] != epochs[20]
    assert numbers(first) == [frame.index for frame in first] == [*range(20), *range(20)]
    assert next(source(write_clip(tmp_path / "c.mp4", count=21)).frames()).epoch != epochs[0]


def test_captured_at_is_the_recording_or_the_date_of_the_file(tmp_path):
    undated = write_clip(tmp_path / "undated.mp4")
    os.utime(undated, (1_700_000_000, 1_700_000_000))
    dated = write_clip(tmp_path / "dated.mp4", created="2024-05-06T07:08:09.000000Z")
    for path, start in (
        (undated, datetime(2023, 11, 14, 22, 13, 18, tzinfo=UTC)),  # it ends at its date, two seconds later
        (dated, datetime(2024, 5, 6, 7, 8, 9, tzinfo=UTC)),
    ):
        assert [frame.captured_at for frame in source(path).frames()] == [
            start + timedelta(seconds=i / 10) for i in range(20)
        ]


@pytest.mark.parametrize("rotation", [90, 180, -90])
def test_rotated_pictures_are_turned(tmp_path, rotation):
    path = write_clip(tmp_path / "turned.mp4", rotation=rotation, count=5)
    for number, frame in enumerate(source(path).frames()):
        assert frame.size == ((160, 96) if rotation == 180 else (96, 160))
        assert number_of(np.rot90(frame.image, -rotation // 90)) == number


class FakeTime:
    def __init__(self) -> None:
        self.now_s = 100.0

    def wait(self, delay_s: float) -> None:
        assert delay_s > 0
        self.now_s += delay_s


def test_real_pace_follows_the_clip_and_skips_without_waiting(clip):
    time = FakeTime()
    paced = FileSource(FileSource.Config(path=clip, skip=[(0.5, 1.5)]), lambda: time.now_s, time.wait)
    assert paced.live
    assert paced.finite
    shown = [time.now_s - 100 for _ in paced.frames()]
    assert shown == pytest.approx([i / 10 for i in range(10)])


def test_real_pace_passes_over_a_gap_of_an_hour_and_says_so(tmp_path, caplog):
    """As recorders leave it that record motion only."""
    path = tmp_path / "gap.mkv"
    with av.open(str(path), "w") as container:
        stream = container.add_stream("libx264", rate=10)
        stream.width, stream.height, stream.pix_fmt = 64, 64, "yuv420p"
        stream.codec_context.time_base = Fraction(1, 1000)
        for index in range(20):
            frame = av.VideoFrame.from_ndarray(np.full((64, 64, 3), 9 * index, np.uint8), format="bgr24")
            frame.pts, frame.time_base = 100 * index + 3_600_000 * (index >= 10), Fraction(1, 1000)
            container.mux(stream.encode(frame))
        container.mux(stream.encode())
    time = FakeTime()
    frames = list(FileSource(FileSource.Config(path=path), lambda: time.now_s, time.wait).frames())
    assert [round(frame.pts_s, 1) for frame in frames[9:11]] == [0.9, 3601.0]
    assert time.now_s - 100 == pytest.approx(1.8)
    assert "a gap of 3600 s before 3601.0 s is passed over" in caplog.text


def test_real_pace_does_not_wait_for_what_is_late(clip):
    time = FakeTime()
    shown = []
    for frame in FileSource(FileSource.Config(path=clip), lambda: time.now_s, time.wait).frames():
        shown.append(time.now_s - 100)
        if frame.index == 5:
            time.now_s += 1.0
    assert shown[:6] == pytest.approx([i / 10 for i in range(6)])
    assert shown[6:16] == pytest.approx([1.5] * 10)
    assert shown[16:] == pytest.approx([i / 10 for i in range(16, 20)])


def test_closing_ends_it(clip):
    closed = source(clip, loop=1000)
    for frame in closed.frames():
        if frame.index == 3:
            closed.close()
        assert frame.index <= 3
    assert not list(closed.frames())


@pytest.mark.parametrize("content", [None, b"", b"not a video at all"])
def test_what_is_no_video_is_refused_with_its_name(tmp_path, content):
    path = tmp_path / "broken.mp4"
    if content is not None:
        path.write_bytes(content)
    with pytest.raises(InputError, match=r"broken\.mp4") as refused:
        list(source(path).frames())
    assert refused.value.exit_code == 3


def test_a_file_cut_short_is_refused_once(clip, tmp_path):
    cut = tmp_path / "cut.mp4"
    cut.write_bytes(clip.read_bytes()[: clip.stat().st_size // 2])
    with pytest.raises(InputError, match="not a video, or is damaged"):
        list(source(cut).frames())


def test_damage_in_the_middle_costs_some_frames_only(tmp_path, capfd):
    path = write_clip(tmp_path / "hurt.ts", count=60, gop=10)
    data = bytearray(path.read_bytes())
    middle = len(data) // 2
    data[middle : middle + 2000] = bytes(i * 37 % 256 for i in range(2000))
    path.write_bytes(data)
    frames = list(source(path).frames())
    assert set(range(20)) | set(range(50, 60)) <= set(numbers(frames)) < set(range(60))
    assert all(a.pts_s < b.pts_s for a, b in pairwise(frames))
    assert capfd.readouterr() == ("", "")


@pytest.mark.parametrize(("rotation", "aspect"), [(0, 2.0), (90, 0.5)])
def test_pixels_that_are_not_square_are_told(tmp_path, rotation, aspect):
    path = tmp_path / "squeezed.mp4"
    with av.open(str(path), "w") as container:
        stream = container.add_stream("libx264", rate=10)
        stream.width, stream.height, stream.pix_fmt = 64, 96, "yuv420p"
        stream.codec_context.sample_aspect_ratio = Fraction(2, 1)
        if rotation:
            stream.set_display_rotation(rotation)
        for _ in range(3):
            frame = av.VideoFrame.from_ndarray(np.zeros((96, 64, 3), np.uint8), format="bgr24")
            container.mux(stream.encode(frame))
        container.mux(stream.encode())
    assert {frame.pixel_aspect for frame in source(path).frames()} == {aspect}
