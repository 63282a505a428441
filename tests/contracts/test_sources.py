"""Our sources against the suite of their role: a numbered recording behind each of them."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import cv2
import pytest

from pipeline import registry
from pipeline.errors import ConfigError, MusewatchError
from pipeline.messages import Frame
from pipeline.settings import choose
from pipeline.testing import contracts
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
        yield Rig(lambda: build("rtsp", folder, url=server.url("cam"), read_s=10), missing, finite=False)


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


def test_every_registered_source_is_held_to_it() -> None:
    assert set(registry.known("source")) == {name.split()[0] for name in RIGS}


class TestSources(contracts.SourceContract):
    @pytest.fixture
    def new_source(self, rig: Rig) -> Callable[[], Any]:
        return rig.make

    @pytest.fixture
    def count(self) -> int:
        return COUNT

    @pytest.fixture
    def finite(self, rig: Rig) -> bool:
        return rig.finite

    @pytest.fixture
    def missing(self, rig: Rig, request: pytest.FixtureRequest, tmp_path: Path) -> Callable[[], Any]:
        use = request.node.callspec.params["rig"].split()[0]
        return lambda: build(use, tmp_path, **rig.missing)

    def number_of(self, frame: Frame) -> int:
        return number_of(frame.image)

    def test_what_is_not_there_is_named(self, missing: Callable[[], Any], rig: Rig) -> None:
        with pytest.raises(MusewatchError) as failed:
            list(missing().frames())
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
