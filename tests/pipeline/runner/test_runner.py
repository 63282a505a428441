"""A whole run, from sources that play lists to hits.jsonl."""

import socket
import threading
from contextlib import suppress
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from pipeline.errors import InputError, StreamError
from pipeline.runner.runner import Runner, Status
from pipeline.testing import StuckSource
from tests.pipeline.runner.rig import SCRIPTS, Camera, Once, Rig, clip, play, plug_in, run_until
from tests.support.pictures import BLUE, GREEN, RED


@pytest.fixture
def rig(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Rig:
    plug_in(monkeypatch)
    return Rig(tmp_path)


def test_people_who_are_enrolled_are_found_and_others_are_not(rig: Rig) -> None:
    rig.enrol("anna", RED)
    rig.enrol("luca", BLUE)
    play("door", clip(40, RED, GREEN))
    play("yard", clip(40, GREEN, BLUE))
    summary = Runner(rig.config("door", "yard")).run()
    assert sorted(rig.story) == [
        ("door", "anna", "closed"),
        ("door", "anna", "opened"),
        ("yard", "luca", "closed"),
        ("yard", "luca", "opened"),
    ]
    assert (summary.hits, summary.outbox, summary.failure) == (2, 0, None)
    assert summary.as_json() == {
        "streams": [
            {
                "id": name,
                "frames_in": 40,
                "frames_inferred": 40,
                "dropped": 0,
                "reconnects": 0,
                "problem": None,
            }
            for name in ("door", "yard")
        ],
        "hits": 2,
        "outbox": 0,
    }
    (opened,) = [
        e["data"] for e in rig.events if e["data"]["stream_id"] == "door" and e["data"]["revision"] == 1
    ]
    assert opened["best"]["frame_size"] == [320, 200]
    x0, y0, x1, y1 = opened["best"]["box"]
    assert x0 == pytest.approx(10 + 3 * round(opened["best"]["pts_s"] * 10), abs=8)
    assert (y0, y1 - y0, x1 - x0) == (
        pytest.approx(40, abs=4),
        pytest.approx(120, abs=6),
        pytest.approx(60, abs=6),
    )


def test_the_same_clip_twice_gives_the_same_bytes(rig: Rig) -> None:
    rig.enrol("anna", RED)
    play("door", clip(40, RED, GREEN))
    written = []
    for _ in range(2):
        Runner(rig.config("door")).run()
        written.append((rig.folder / "hits.jsonl").read_bytes())
        for path in (rig.folder / "hits.jsonl", *rig.data_dir.glob("outbox.db*")):
            path.unlink()
    assert written[0] == written[1]
    assert written[0].count(b"\n") >= 2


def test_a_stream_that_dies_costs_the_other_no_frame(rig: Rig) -> None:
    rig.enrol("anna", RED)
    play("door", [*clip(5, GREEN), InputError("damaged after 5 frames")])
    play("yard", clip(30, RED))
    summary = Runner(rig.config("door", "yard")).run()
    assert [(s.id, s.frames_in, s.frames_inferred) for s in summary.streams] == [
        ("door", 5, 5),
        ("yard", 30, 30),
    ]
    assert isinstance(summary.failure, InputError)
    assert rig.story == [("yard", "anna", "opened"), ("yard", "anna", "closed")]


def test_a_camera_that_is_down_costs_the_other_no_frame(rig: Rig) -> None:
    play("door", [StreamError("refused")], live=True)
    play("yard", clip(30, RED))
    _, summary = run_until(rig.config("door", "yard"), lambda status: not _up_or_before(status, "yard"))
    assert [(s.id, s.frames_in, s.frames_inferred) for s in summary.streams] == [
        ("door", 0, 0),
        ("yard", 30, 30),
    ]
    assert summary.failure is None


def _up_or_before(status: Status, stream_id: str) -> bool:
    counts = status.streams[stream_id]
    return counts.up or counts.frames_in < 30


def test_a_lost_camera_closes_its_hits_as_lost_and_comes_back_in_another_epoch(rig: Rig) -> None:
    rig.enrol("anna", RED)
    frames = [replace(f, epoch="") for f in clip(30, RED)]
    played: list[int] = []

    def connect() -> Any:
        played.append(1)
        if len(played) == 1:
            return Once(frames, waits_for=lambda: rig.events)
        return Camera(frames)

    SCRIPTS["door"] = connect
    config = rig.config("door", decision={"cooldown_s": 0})
    _, summary = run_until(config, lambda status: status.hits >= 2)
    assert [e["data"]["reason"] for e in rig.events if e["data"]["state"] == "closed"] == [
        "stream_lost",
        "stopped",
    ]
    epochs = [e["data"]["epoch"] for e in rig.events if e["data"]["state"] == "opened"]
    assert len(set(epochs)) == 2
    assert summary.streams[0].reconnects == 1


def test_a_source_that_never_returns_is_replaced(rig: Rig) -> None:
    rig.enrol("anna", RED)
    frames = clip(10, GREEN)
    stuck = StuckSource(frames, then=clip(10, RED))
    sources = iter([stuck])
    SCRIPTS["door"] = lambda: next(sources, None) or Camera(clip(30, RED))
    config = rig.config("door", runner={"silent_s": 0.3, "backoff_s": [0.01, 0.02]})
    _, summary = run_until(config, lambda status: status.hits)
    stuck.release()
    assert summary.streams[0].reconnects == 1
    assert ("door", "anna", "opened") in rig.story


def test_a_source_that_hangs_while_opening_is_replaced(rig: Rig) -> None:
    rig.enrol("anna", RED)
    stuck = StuckSource([])
    sources = iter([stuck])
    SCRIPTS["door"] = lambda: next(sources, None) or Camera(clip(30, RED))
    config = rig.config("door", runner={"silent_s": 0.3, "backoff_s": [0.01, 0.02]})
    _, summary = run_until(config, lambda status: status.hits)
    stuck.release()
    assert summary.streams[0].reconnects == 0
    assert ("door", "anna", "opened") in rig.story


def test_a_camera_that_accepts_and_says_nothing_is_down_and_asked_again(rig: Rig) -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:
        asked: list[socket.socket] = []

        def accept() -> None:
            with suppress(OSError):
                while True:
                    asked.append(server.accept()[0])

        threading.Thread(target=accept, daemon=True).start()
        url = f"rtsp://127.0.0.1:{server.getsockname()[1]}/cam"
        silent = {"id": "door", "source": {"use": "rtsp", "url": url, "open_s": 0.4}}
        config = rig.config(streams=[silent], runner={"silent_s": 0.5, "backoff_s": [0.01, 0.02]})
        runner, summary = run_until(config, lambda _: len(asked) >= 3)
        assert any(problem.startswith("stream door is down: ") for problem in runner.problems())
        assert (summary.streams[0].frames_in, summary.failure) == (0, None)
        server.shutdown(socket.SHUT_RDWR)
        for connection in asked:
            connection.close()


def test_a_run_may_be_limited_in_time_and_drains(rig: Rig) -> None:
    rig.enrol("anna", RED)
    SCRIPTS["door"] = lambda: Camera(clip(30, RED))
    summary = Runner(rig.config("door")).run(3.0)
    assert rig.story == [("door", "anna", "opened"), ("door", "anna", "closed")]
    assert rig.events[-1]["data"]["reason"] == "stopped"
    assert (summary.outbox, summary.failure) == (0, None)


def test_streams_come_and_go_while_running(rig: Rig) -> None:
    for name in ("door", "yard", "gate"):
        SCRIPTS[name] = lambda: Camera(clip(30, GREEN))
    runner = Runner(rig.config("door", "yard"))
    seen: list[set[str]] = []

    def look(status: Status) -> None:
        up = {name for name, counts in status.streams.items() if counts.up}
        if up == {"door", "yard"} and not seen:
            seen.append(up)
            runner.reload(rig.config("yard", "gate"))
        if up == {"yard", "gate"}:
            seen.append(up)
            runner.stop()

    summary = runner.run(30.0, look)
    assert seen == [{"door", "yard"}, {"yard", "gate"}]
    assert [(s.id, s.reconnects) for s in summary.streams] == [("yard", 0), ("gate", 0)]


def test_a_reload_takes_up_the_zones_of_a_stream(rig: Rig) -> None:
    rig.enrol("anna", RED)
    SCRIPTS["door"] = lambda: Camera(clip(30, RED))
    source = {"use": "scripted", "plays": "door"}
    sky = {"id": "door", "source": source, "zones": [[[0, 0], [1, 0], [0.5, 0.1]]]}
    runner = Runner(rig.config(streams=[sky]))

    def look(status: Status) -> None:
        if status.streams["door"].frames_inferred >= 40 and not status.hits:
            runner.reload(rig.config(streams=[{"id": "door", "source": source}]))
        if status.hits:
            runner.stop()

    assert runner.run(30.0, look).hits >= 1


@pytest.mark.parametrize(
    ("streams", "problem"),
    [
        ([{"id": "door", "source": {"use": "scripted", "play": "door"}}], "did you mean 'plays'"),
        ([], "it has no streams"),
    ],
)
def test_a_config_that_cannot_be_reloaded_changes_nothing(
    rig: Rig, caplog: pytest.LogCaptureFixture, streams: list[Any], problem: str
) -> None:
    SCRIPTS["door"] = lambda: Camera(clip(30, GREEN))
    runner = Runner(rig.config("door"))
    wrong = rig.config(streams=streams)

    def look(status: Status) -> None:
        if status.streams["door"].frames_in == 0:
            return
        if not caplog.records or "not reloaded" not in caplog.messages[-1]:
            runner.reload(wrong)
        elif status.streams["door"].frames_in > 20:
            runner.stop()

    summary = runner.run(30.0, look)
    assert (summary.failure, summary.streams[0].reconnects) == (None, 0)
    assert problem in caplog.text
