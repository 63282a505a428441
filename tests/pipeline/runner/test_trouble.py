"""A run in which something does not work: nothing is lost, and what ends the run is said."""

import logging
import threading
from collections.abc import Sequence
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from pipeline import build
from pipeline.deliver import relay
from pipeline.deliver.outbox import Outbox, refused
from pipeline.errors import ConfigError, OutboxError, OutboxFullError, OutsideError
from pipeline.identify.shortlist import Matcher
from pipeline.messages import Detections, Frame, Tracklet
from pipeline.runner.process import FAILURES_IN_A_ROW
from pipeline.runner.runner import Runner, Status
from pipeline.watchlist.follower import WatchlistFollower
from pipeline.watchlist.records import Identity, NewPicture
from pipeline.watchlist.roster import WatchlistStore
from plugins.bus_memory import MemoryBus
from plugins.embedders.colour import ColourEmbedder
from tests.pipeline.runner.rig import NOW, SCRIPTS, Camera, Rig, clip, play, plug_in, run_until
from tests.support.enrolment_desk import DrawnDetector
from tests.support.pictures import BLUE, RED


@pytest.fixture
def rig(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Rig:
    plug_in(monkeypatch)
    return Rig(tmp_path)


def test_hits_that_the_outbox_refuses_for_a_while_are_held_and_none_is_lost(
    rig: Rig, monkeypatch: pytest.MonkeyPatch
) -> None:
    rig.enrol("anna", RED)
    rig.enrol("luca", BLUE)
    play("door", clip(40, RED, BLUE))
    append, refusals = Outbox.append, [3]

    def refusing(outbox: Outbox, events: Sequence[Any]) -> None:
        if refusals[0]:
            refusals[0] -= 1
            raise OutboxError("the disk is full")
        append(outbox, events)

    monkeypatch.setattr(Outbox, "append", refusing)
    summary = Runner(rig.config("door")).run()
    assert refusals == [0]
    assert sorted(rig.story) == [
        ("door", name, state) for name in ("anna", "luca") for state in ("closed", "opened")
    ]
    assert (summary.hits, summary.failure) == (2, None)


def test_hits_that_the_outbox_refuses_to_the_end_are_an_error(
    rig: Rig, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(outbox: Outbox, events: object) -> None:
        raise OutboxError("the disk is full")

    rig.enrol("anna", RED)
    play("door", clip(20, RED))
    monkeypatch.setattr(Outbox, "append", refuse)
    summary = Runner(rig.config("door", outbox={"drain_s": 0.1})).run()
    assert isinstance(summary.failure, OutsideError)
    assert "the disk is full" in str(summary.failure)


def test_a_sink_that_takes_nothing_leaves_the_hits_in_the_outbox(rig: Rig) -> None:
    rig.enrol("anna", RED)
    play("door", clip(20, RED))
    summary = Runner(rig.config("door", sinks=[{"use": "deaf"}], outbox={"drain_s": 0.1})).run()
    assert (summary.hits, summary.failure) == (1, None)
    assert summary.outbox >= 2


def test_a_sink_that_hangs_is_told_and_the_others_go_on(rig: Rig, caplog: pytest.LogCaptureFixture) -> None:
    rig.enrol("anna", RED)
    SCRIPTS["door"] = lambda: Camera(clip(30, RED))
    config = rig.config(
        "door",
        sinks=[{"use": "hanging"}, {"use": "jsonl", "path": "hits.jsonl"}],
        outbox={"answer_s": 0.2, "drain_s": 0.1},
    )
    told: list[str] = []

    def look(status: Status) -> None:
        told.extend(problem for problem in runner.problems() if "sink" in problem)
        if told and rig.story:
            runner.stop()

    runner = Runner(config)
    summary = runner.run(30.0, look)
    assert told[0].startswith("sink hanging: it has not answered for")
    assert [message for message in caplog.messages if "hanging" in message] == [
        "sink hanging has not answered for 0.2 s, events wait in the outbox"
    ]
    assert rig.story[0] == ("door", "anna", "opened")
    assert runner.telemetry.registry.get_sample_value("musewatch_sink_up", {"sink": "hanging"}) == 0
    assert runner.telemetry.registry.get_sample_value("musewatch_sink_up", {"sink": "jsonl"}) == 1
    assert summary.outbox > 0


def test_what_a_sink_refuses_stays_in_the_outbox_and_holds_nothing_up(
    rig: Rig, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(relay, "FIRST_PAUSE_S", 0.01)
    rig.enrol("anna", RED)
    play("door", clip(20, RED))
    runner = Runner(rig.config("door", sinks=[{"use": "picky", "path": "hits.jsonl"}]))
    summary = runner.run()
    assert rig.story == [("door", "anna", "closed")]
    assert (summary.hits, summary.outbox, summary.failure) == (1, 1, None)
    assert runner.telemetry.notes() == ["sink picky has refused 1 events for good: musewatch hits refused"]
    (kept,) = refused(rig.data_dir / "outbox.db")
    assert (kept.event["data"]["state"], kept.reason) == ("opened", "400 Bad Request")


@pytest.mark.parametrize("frames", [3, 2 * FAILURES_IN_A_ROW])
def test_a_recording_in_which_nothing_works_is_no_success(rig: Rig, frames: int) -> None:
    play("yard", clip(frames, RED))
    summary = Runner(rig.config("yard", detector={"use": "blind"})).run(30.0)
    assert [stream.frames_in for stream in summary.streams] == [frames], "it is read to its end"
    assert str(summary.failure) == "the lens is covered"


def test_a_detector_that_fails_for_long_ends_no_run(rig: Rig, monkeypatch: pytest.MonkeyPatch) -> None:
    detect, told = DrawnDetector.detect, list[str]()

    def covered(detector: DrawnDetector, frames: Sequence[Frame]) -> list[Detections]:
        if runner.telemetry.registry.get_sample_value("musewatch_errors_total", {"stream": "door"}) == lost:
            monkeypatch.setattr(DrawnDetector, "detect", detect)
        raise RuntimeError("the lens is covered")

    def look(status: Status) -> None:
        told.extend(runner.problems())
        if status.hits:
            runner.stop()

    lost = FAILURES_IN_A_ROW + 10
    rig.enrol("anna", RED)
    SCRIPTS["door"] = lambda: Camera(clip(30, RED))
    monkeypatch.setattr(DrawnDetector, "detect", covered)
    runner = Runner(rig.config("door"))
    summary = runner.run(60.0, look)
    assert "the detector 'drawn' failed: the lens is covered" in told
    assert (summary.hits, summary.failure) == (1, None)


@pytest.mark.parametrize("error", [RuntimeError("something unforeseen"), SystemExit("something unforeseen")])
def test_a_stage_that_dies_stops_the_run_with_its_error(
    rig: Rig, monkeypatch: pytest.MonkeyPatch, error: BaseException
) -> None:
    def fail(*_: object) -> list[Tracklet]:
        raise error

    SCRIPTS["door"] = lambda: Camera(clip(30, RED))
    monkeypatch.setattr(MemoryBus, "receive", fail)
    summary = Runner(rig.config("door")).run(30.0)
    assert "something unforeseen" in str(summary.failure)


def test_a_track_that_cannot_be_identified_costs_that_question_only(
    rig: Rig, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    shortlist = Matcher.shortlist

    def fail(matcher: Matcher, tracklets: Sequence[Tracklet]) -> Any:
        if any(tracklet.key.stream_id == "door" for tracklet in tracklets):
            raise RuntimeError("something unforeseen")
        return shortlist(matcher, tracklets)

    rig.enrol("anna", RED)
    play("door", clip(40, RED))
    play("hall", clip(40, RED))
    monkeypatch.setattr(Matcher, "shortlist", fail)
    Runner(rig.config("door", "hall")).run(60.0)
    assert rig.story == [("hall", "anna", "opened"), ("hall", "anna", "closed")]
    assert caplog.messages.count("stream door: a track was not identified: something unforeseen") == 1


def test_a_run_that_identifies_nobody_to_the_end_is_no_success(
    rig: Rig, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(matcher: Matcher, tracklets: Sequence[Tracklet]) -> Any:
        if tracklets:
            raise RuntimeError("something unforeseen")
        return []

    rig.enrol("anna", RED)
    SCRIPTS["door"] = lambda: Camera(clip(30, RED))
    monkeypatch.setattr(Matcher, "shortlist", fail)
    runner = Runner(rig.config("door"))
    told: list[str] = []

    def look(status: Status) -> None:
        told.extend(runner.problems())
        if "identify: something unforeseen" in told:
            runner.stop()

    summary = runner.run(30.0, look)
    assert "identify: something unforeseen" in told
    assert str(summary.failure) == "something unforeseen"


def test_the_watchlist_stays_as_it_was_while_it_cannot_be_followed(
    rig: Rig, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO, "musewatch.runner")
    rig.enrol("anna", RED)
    SCRIPTS["door"] = lambda: Camera(clip(30, RED, BLUE))
    refresh = WatchlistFollower.refresh
    calls: list[int] = []

    def sometimes(follower: WatchlistFollower, now: Any) -> Any:
        calls.append(1)
        if 2 <= len(calls) <= 5:
            raise ConfigError("the engine is out of order")
        if len(calls) == 6:
            rig.enrol("luca", BLUE)
        return refresh(follower, now)

    monkeypatch.setattr(WatchlistFollower, "refresh", sometimes)
    _, summary = run_until(rig.config("door"), lambda status: status.hits >= 2)
    assert {name for _, name, _ in rig.story} == {"anna", "luca"}
    assert summary.failure is None
    said = [m for m in caplog.messages if "watchlist stays" in m or "followed again" in m]
    assert said == [
        "the watchlist stays as it was: the engine is out of order",
        "the watchlist is followed again",
    ]


def test_a_watchlist_that_cannot_be_embedded_at_the_start_stops_the_start(
    rig: Rig, monkeypatch: pytest.MonkeyPatch
) -> None:
    def halved(embedder: ColourEmbedder, crops: Sequence[NDArray[np.uint8]]) -> NDArray[np.float32]:
        return np.full((len(crops), embedder.dimension), 0.5, np.float32)

    rig.enrol("anna", RED)
    monkeypatch.setattr(ColourEmbedder, "embed", halved)
    play("door", clip(5, RED))
    with pytest.raises(ConfigError, match="not of unit length"):
        Runner(rig.config("door")).run()
    WatchlistStore.in_folder(rig.data_dir).close()


def test_an_enrolment_that_cannot_be_read_is_named(rig: Rig, caplog: pytest.LogCaptureFixture) -> None:
    with WatchlistStore.in_folder(rig.data_dir) as store:
        store.add(Identity("p3", None, None, None, NOW), [NewPicture(b"no picture", NOW)])
    play("door", clip(2, RED))
    Runner(rig.config("door")).run()
    assert "identity p3: enrolment 1 cannot be used: " in caplog.text


def test_a_role_that_cannot_start_leaves_nothing_open(rig: Rig) -> None:
    with pytest.raises(ConfigError, match="no masker is called 'scissors'"):
        Runner(rig.config("door", masker={"use": "scissors"}))
    Outbox(rig.data_dir / "outbox.db", ["jsonl"]).close()  # it is held by one process at a time


def test_the_embedder_is_asked_by_one_thread_at_a_time(rig: Rig, monkeypatch: pytest.MonkeyPatch) -> None:
    inside, together = [0], [0]
    embed = ColourEmbedder.embed

    def watched(embedder: ColourEmbedder, crops: Sequence[NDArray[np.uint8]]) -> NDArray[np.float32]:
        inside[0] += 1
        together[0] = max(together[0], inside[0])
        rows = embed(embedder, crops)
        inside[0] -= 1
        return rows

    monkeypatch.setattr(ColourEmbedder, "embed", watched)
    config = rig.config("door")
    with ExitStack() as opened:
        shared = build.open_looks(config, opened, build.guests(config)).embedder
    images = list(np.random.default_rng(0).integers(0, 255, (8, 120, 60, 3), np.uint8))
    threads = [threading.Thread(target=shared.embed, args=(images,)) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert together == [1]
    assert (shared.digest, shared.dimension) == (ColourEmbedder.engine_digest, ColourEmbedder.dimension)


def test_on_a_full_disk_the_oldest_pictures_make_room_for_hits(
    rig: Rig, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    rig.enrol("anna", RED)
    play("door", clip(40, RED))
    evidence = rig.data_dir / "evidence"
    evidence.mkdir()
    old = evidence / f"{'0' * 64}.jpg"
    old.write_bytes(b"old")
    append = Outbox.append

    def append_where_room_is(outbox: Outbox, events: Sequence[Any]) -> None:
        if old.exists():
            raise OutboxFullError("database or disk is full")
        append(outbox, events)

    monkeypatch.setattr(Outbox, "append", append_where_room_is)
    with caplog.at_level(logging.WARNING, "musewatch.runner"):
        summary = Runner(rig.config("door")).run()
    assert rig.story == [("door", "anna", "opened"), ("door", "anna", "closed")]
    assert summary.failure is None
    assert "MB of the oldest evidence deleted" in caplog.text
    assert "held in memory" not in caplog.text
