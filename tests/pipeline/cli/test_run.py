"""What `musewatch run` says, what it ends with, and that a hangup never ends it."""

import json
import logging
import os
import signal
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from pipeline.cli import run
from pipeline.cli.main import main
from pipeline.cli.run import WINDOW_S, status_line
from pipeline.errors import StreamError
from pipeline.runner.gate import StreamCounts
from pipeline.runner.runner import Status
from tests.pipeline.runner.rig import SCRIPTS, Camera, Rig, clip, play, plug_in
from tests.servers.wait import wait_until
from tests.support.pictures import GREEN


@pytest.fixture
def rig(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture) -> Iterator[Rig]:
    plug_in(monkeypatch)
    monkeypatch.setattr(run, "start_logging", lambda: None)  # pytest's own log is looked at
    caplog.set_level(logging.INFO)
    numbers = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)
    before = {number: signal.getsignal(number) for number in numbers}
    yield Rig(tmp_path)
    for number, handler in before.items():
        signal.signal(number, handler)


UNREADABLE = (
    b"version: 1\nstreams: [{id: 2026-13-45}]\n",
    b"version: 1\nstreams: [{id: Door}]\n",
    b"version: 1\nsite: !!int x\n",
    b"&a [*a]\n",
    b"[" * 20_000,
    b"\xff\xfe\x00",
    b"",
)


def test_whatever_the_file_says_a_hangup_ends_no_run(
    rig: Rig, caplog: pytest.LogCaptureFixture, capsys: pytest.CaptureFixture[str]
) -> None:
    SCRIPTS["door"] = lambda: Camera(clip(30, GREEN))
    path = rig.write("door")

    def spoil() -> None:
        wait_until(lambda: "stream door: up" in caplog.text)
        for count, text in enumerate(UNREADABLE, 1):
            path.write_bytes(text)
            os.kill(os.getpid(), signal.SIGHUP)
            wait_until(lambda count=count: caplog.text.count("not reloaded") == count)  # type: ignore[misc]
        path.unlink()
        os.kill(os.getpid(), signal.SIGHUP)
        wait_until(lambda: caplog.text.count("not reloaded") == len(UNREADABLE) + 1)
        os.kill(os.getpid(), signal.SIGTERM)

    spoiling = threading.Thread(target=spoil)
    spoiling.start()
    assert main(["run", str(path), "--json", "--duration", "60"]) == 0
    spoiling.join()
    (door,) = json.loads(capsys.readouterr().out)["streams"]
    assert (door["id"], door["reconnects"]) == ("door", 0)


def test_a_camera_that_was_never_reached_is_told_and_ends_it_with_4(
    rig: Rig, capsys: pytest.CaptureFixture[str]
) -> None:
    play("door", [StreamError("192.0.2.1:554 refuses")], live=True)
    SCRIPTS["yard"] = lambda: Camera(clip(30, GREEN))
    assert main(["run", str(rig.write("door", "yard")), "--json", "--duration", "0.5"]) == 4
    told = capsys.readouterr()
    problems = {stream["id"]: stream["problem"] for stream in json.loads(told.out)["streams"]}
    assert problems == {"door": "never gave a frame: 192.0.2.1:554 refuses", "yard": None}
    assert "musewatch: stream door: never gave a frame: 192.0.2.1:554 refuses" in told.err


def test_whoever_stops_a_run_whose_camera_is_down_gets_0(
    rig: Rig, capsys: pytest.CaptureFixture[str], caplog: pytest.LogCaptureFixture
) -> None:
    play("door", [StreamError("192.0.2.1:554 refuses")], live=True)

    def stop() -> None:
        wait_until(lambda: "opening it again" in caplog.text)
        os.kill(os.getpid(), signal.SIGTERM)

    stopping = threading.Thread(target=stop)
    stopping.start()
    assert main(["run", str(rig.write("door")), "--duration", "60"]) == 0
    stopping.join()
    assert "stream door: never gave a frame" in capsys.readouterr().err


class Clock:
    now_s = 50.0

    def __call__(self) -> float:
        return self.now_s


def test_rate_age_hits_and_what_waits() -> None:
    clock = Clock()
    show = status_line(clock)
    door = StreamCounts(frames_inferred=10, up=True, age_s=0.123)
    yard = StreamCounts()
    status = Status({"door": door, "yard": yard}, hits=2, outbox=0)
    assert show(status).plain == "door 0.0 fps 123 ms  yard down  2 hits"
    clock.now_s += WINDOW_S
    door.frames_inferred = 40
    assert show(status).plain.startswith("door 20.0 fps 123 ms")
    clock.now_s += WINDOW_S / 2
    door.frames_inferred = 1000
    assert show(Status({"door": door}, 3, 7)).plain == "door 20.0 fps 123 ms  3 hits  7 waiting"
    clock.now_s += WINDOW_S / 2
    assert show(status).plain.startswith("door 480.0 fps")


def test_a_stream_added_later_is_counted_from_its_first_frame() -> None:
    clock = Clock()
    show = status_line(clock)
    gate = StreamCounts(frames_inferred=20, up=True)
    clock.now_s += WINDOW_S
    assert show(Status({"gate": gate}, 0, 0)).plain == "gate 10.0 fps 0 ms  0 hits"


def test_a_stream_counted_anew_has_no_negative_rate() -> None:
    clock = Clock()
    show = status_line(clock)
    clock.now_s += WINDOW_S
    show(Status({"door": StreamCounts(frames_inferred=500, up=True)}, 0, 0))
    clock.now_s += WINDOW_S
    assert "-" not in show(Status({"door": StreamCounts(frames_inferred=5, up=True)}, 0, 0)).plain
