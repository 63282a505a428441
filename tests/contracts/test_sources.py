"""What every source promises: frames in order, times that grow from 0, one clear end."""

from collections.abc import Callable, Iterator
from contextlib import suppress
from dataclasses import dataclass
from datetime import timedelta
from itertools import islice, pairwise
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest

from pipeline import registry
from pipeline.errors import ConfigError, MusewatchError, StreamError
from pipeline.messages import Frame
from pipeline.protocols import Source
from pipeline.settings import choose
from tests.servers.clips import number_of, picture, write_clip
from tests.servers.ports import free_port
from tests.servers.rtsp import RtspServer
from trainers.evaluate.push import Cameras

COUNT, FPS = 12, 25


@dataclass
class Rig:
    """A source of the pictures 0 .. COUNT - 1, as often as `make` is called."""

    make: Callable[[], Any]
    missing: dict[str, Any]
    finite: bool = True


def build(use: str, folder: Path, **settings: Any) -> Any:
    return registry.build("source", choose(use, **settings), folder, "streams.0.source")


def file_rig(folder: Path, **settings: Any) -> Iterator[Rig]:
    write_clip(folder / "clip.mp4", COUNT, fps=FPS)
    make = lambda: build("file", folder, path="clip.mp4", **settings)  # noqa: E731
    yield Rig(make, {"path": "nowhere.mp4"})


def folder_rig(folder: Path, **settings: Any) -> Iterator[Rig]:
    for number in range(COUNT):
        cv2.imwrite(str(folder / f"{number}.png"), picture(number))
    yield Rig(lambda: build("folder", folder, path=".", fps=FPS, **settings), {"path": "nowhere"})


def camera_rig(folder: Path) -> Iterator[Rig]:
    """A recording in place of the device."""
    clip, real = write_clip(folder / "clip.mp4", COUNT, fps=FPS), cv2.VideoCapture
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(cv2, "VideoCapture", lambda device, _: real(device))
        yield Rig(lambda: build("camera", folder, device=str(clip)), {"device": "/dev/nowhere"}, finite=False)


def fetched_rig(folder: Path) -> Iterator[Rig]:
    clip = write_clip(folder / "clip.mp4", COUNT, fps=FPS)
    with RtspServer({"cam": clip}, once=True) as server:
        missing = {"url": server.url("nowhere")}
        yield Rig(lambda: build("rtsp", folder, url=server.url("cam")), missing, finite=False)


def pushed_rig(folder: Path) -> Iterator[Rig]:
    clip = write_clip(folder / "clip.mp4", COUNT, fps=FPS)
    cameras: list[Cameras] = []

    def make() -> Any:
        url = f"rtsp://127.0.0.1:{free_port()}/in"
        cameras.append(Cameras({url: clip}))
        return build("rtsp", folder, url=url, listen=True, finite=True, listen_s=10)

    yield Rig(make, {"url": f"rtsp://127.0.0.1:{free_port()}/in", "listen": True, "listen_s": 1})
    for camera in cameras:
        camera.__exit__(None, None, None)


RIGS: dict[str, Callable[[Path], Iterator[Rig]]] = {
    "file": lambda folder: file_rig(folder, pace="fast"),
    "file at real speed": lambda folder: file_rig(folder, pace="real"),
    "folder": folder_rig,
    "folder at real speed": lambda folder: folder_rig(folder, pace="real"),
    "camera": camera_rig,
    "rtsp": fetched_rig,
    "rtsp pushed": pushed_rig,
}
MARKS = {"rtsp": pytest.mark.rtsp}


@pytest.fixture(params=[pytest.param(name, marks=MARKS.get(name, ())) for name in RIGS])
def rig(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Rig]:
    yield from RIGS[request.param](tmp_path)


def played(source: Any) -> list[Frame]:
    frames: list[Frame] = []
    with suppress(StreamError):
        frames.extend(source.frames())
    return frames


def test_every_registered_source_is_held_to_it() -> None:
    assert set(registry.known("source")) == {name.split()[0] for name in RIGS}


def test_frames(rig: Rig) -> None:
    source = rig.make()
    assert isinstance(source, Source)
    frames = played(source)
    assert [number_of(frame.image) for frame in frames] == list(range(COUNT))
    assert [frame.index for frame in frames] == list(range(COUNT))
    assert frames[0].pts_s == 0
    assert all(a.pts_s < b.pts_s for a, b in pairwise(frames))
    for frame in frames:
        assert frame.image.flags.c_contiguous
        assert frame.captured_at.utcoffset() == timedelta(0)
    assert len({frame.epoch for frame in frames}) == 1


def test_frames_are_the_takers_own(rig: Rig) -> None:
    """Nothing is written over a picture once it has been handed out."""
    first, second = islice(rig.make().frames(), 2)
    before = first.image.copy()
    second.image[:] = 0
    np.testing.assert_array_equal(first.image, before)


def test_the_end(rig: Rig) -> None:
    """Of a recording it is the end; of a camera it is a lost stream."""
    source = rig.make()
    assert getattr(source, "finite", not source.live) == rig.finite
    if rig.finite:
        assert len(list(source.frames())) == COUNT
    else:
        with pytest.raises(StreamError):
            list(source.frames())


def test_closed_is_closed(rig: Rig) -> None:
    source = rig.make()
    frames = source.frames()
    next(frames)
    source.close()
    assert list(frames) == []
    assert list(source.frames()) == []


def test_what_is_not_there_is_one_error_with_its_name(
    rig: Rig, request: pytest.FixtureRequest, tmp_path: Path
) -> None:
    use = request.node.callspec.params["rig"].split()[0]
    with pytest.raises(MusewatchError) as failed:
        list(build(use, tmp_path, **rig.missing).frames())
    assert str(next(iter(rig.missing.values()))) in str(failed.value)


@pytest.mark.parametrize("use", ["file", "folder", "camera", "rtsp"])
def test_an_unknown_key_is_refused_with_the_nearest(use: str, tmp_path: Path) -> None:
    keys = {"file": "pth", "folder": "pth", "camera": "devise", "rtsp": "ulr"}
    with pytest.raises(ConfigError, match=r"did you mean '(path|device|url)'"):
        build(use, tmp_path, **{keys[use]: "x"})


@pytest.mark.parametrize("rigged", [file_rig, folder_rig])
def test_a_recording_played_again_is_the_same(
    rigged: Callable[[Path], Iterator[Rig]], tmp_path: Path
) -> None:
    source = next(rigged(tmp_path)).make()
    first, second = ([(f.index, f.pts_s, f.captured_at, f.epoch) for f in source.frames()] for _ in range(2))
    assert first == second
    assert first[0][3]
