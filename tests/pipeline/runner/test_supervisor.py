"""Groups of streams in processes of their own: the same hits, one outbox, one page, and no death that costs any."""

import os
import signal
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import pytest

from pipeline import build, registry
from pipeline.config import Config, parse_config
from pipeline.errors import ConfigError
from pipeline.runner.runner import Runner, RunSummary, Status
from tests.pipeline.runner.rig import Rig
from tests.support.grouped_cameras import install
from tests.support.pictures import GREEN, RED

SHIRTS = {"red": RED, "green": GREEN}


@pytest.fixture
def rig(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Rig]:
    site = tmp_path / "site"
    site.mkdir()
    monkeypatch.syspath_prepend(str(site))
    install(site)
    registry.known.cache_clear()
    made = Rig(tmp_path)
    for name, shirt in SHIRTS.items():
        made.enrol(name, shirt)
    yield made
    registry.known.cache_clear()


def config(rig: Rig, streams: dict[str, dict[str, Any]], **parts: Any) -> Config:
    document = rig.document(**parts)
    document["streams"] = [
        {"id": name, "source": {"use": "walking", **keys}, "max_fps": None} for name, keys in streams.items()
    ]
    return parse_config(document, rig.folder)


RECORDINGS = {"a": {"shirt": "RED"}, "b": {"shirt": "GREEN"}, "c": {"shirt": "RED"}}


def told_of(rig: Rig) -> dict[str, list[dict[str, Any]]]:
    """The events by stream, but for the wall clock."""
    events: dict[str, list[dict[str, Any]]] = {}
    for event in rig.events:
        events.setdefault(event["data"]["stream_id"], []).append({**event, "time": None})
    return events


def run_until(
    runner: Runner, enough: Callable[[Status], object], limit_s: float = 30.0
) -> tuple[RunSummary, bool]:
    met: list[bool] = []

    def look(status: Status) -> None:
        if enough(status):
            met.append(True)
            runner.stop()

    return runner.run(limit_s, look), bool(met)


def test_groups_report_what_one_process_does_event_for_event(rig: Rig) -> None:
    alone = Runner(config(rig, RECORDINGS)).run()
    expected = told_of(rig)
    assert sorted(expected) == ["a", "b", "c"]
    (rig.folder / "hits.jsonl").unlink()
    (rig.data_dir / "outbox.db").unlink()
    grouped = Runner(config(rig, RECORDINGS, processes=2)).run()
    assert told_of(rig) == expected
    assert grouped == alone


def test_a_network_that_no_group_can_start_is_one_error(rig: Rig) -> None:
    with pytest.raises(ConfigError, match="for another planet") as told:
        Runner(config(rig, RECORDINGS, processes=2, detector={"use": "broken"}))
    assert told.value.fix == "fetch one for this one"
    assert not (rig.data_dir / "outbox.db").exists()


def pids_of(rig: Rig, name: str) -> list[int]:
    path = rig.folder / name
    return [int(line) for line in path.read_text(encoding="utf-8").split()] if path.exists() else []


def camera(rig: Rig, name: str, shirt: str) -> dict[str, Any]:
    return {"shirt": shirt, "live": True, "pause_s": 0.025, "pids": str(rig.folder / f"{name}.pids")}


def test_cameras_of_a_killed_process_come_back_in_another_one(rig: Rig) -> None:
    cameras = {"a": camera(rig, "a", "RED"), "b": camera(rig, "b", "GREEN")}
    runner = Runner(config(rig, cameras, processes=2, decision={"cooldown_s": 0}))
    killed, told = list[int](), set[str]()

    def enough(status: Status) -> bool:
        told.update(problem for problem in runner.problems() if "SIGKILL" in problem)
        opened = {(e["data"]["stream_id"], e["data"]["epoch"]) for e in rig.events}
        if not killed and {"a", "b"} == {stream_id for stream_id, _ in opened}:
            killed.append(pids_of(rig, "a.pids")[0])
            os.kill(killed[0], signal.SIGKILL)
        return len(opened) == 3

    summary, met = run_until(runner, enough)
    assert met
    assert [problem for problem in told] == ["the process of group 1 (a) was killed by SIGKILL"]
    lost = [e["data"]["stream_id"] for e in rig.events if e["data"]["reason"] == "stream_lost"]
    assert lost == ["a"]
    assert len({event["id"] for event in rig.events}) == len(rig.events)
    assert (len(pids_of(rig, "a.pids")), len(pids_of(rig, "b.pids"))) == (2, 1)
    assert summary.failure is None
    assert summary.outbox == 0
    assert metric(runner, "musewatch_process_restarts_total", group="1") == 1
    assert metric(runner, "musewatch_frames_total", stream="a") == summary.streams[0].frames_in
    assert metric(runner, "musewatch_stage_seconds_count", stage="detect") > 0


def test_a_recording_whose_process_is_killed_gives_the_same_hits(rig: Rig) -> None:
    Runner(config(rig, RECORDINGS)).run()
    expected = told_of(rig)
    (rig.folder / "hits.jsonl").unlink()
    (rig.data_dir / "outbox.db").unlink()
    slow = {name: {**keys, "pause_s": 0.1} for name, keys in RECORDINGS.items()}
    slow["a"]["pids"] = str(rig.folder / "a.pids")
    runner, killed = Runner(config(rig, slow, processes=2)), list[int]()

    def kill(status: Status) -> None:
        if not killed and any(e["data"]["stream_id"] == "a" for e in rig.events):
            killed.append(pids_of(rig, "a.pids")[0])
            os.kill(killed[0], signal.SIGKILL)

    summary = runner.run(60.0, kill)
    assert killed
    assert len(pids_of(rig, "a.pids")) == 2
    assert told_of(rig) == expected
    assert summary.failure is None
    assert not summary.stopped


def test_streams_that_stay_at_a_reload_keep_their_process(rig: Rig) -> None:
    cameras = {name: camera(rig, name, "RED") for name in "abc"}
    before, after = ({name: cameras[name] for name in names} for names in ("ab", "bc"))
    runner, changed = Runner(config(rig, before, processes=2)), list[bool]()

    def enough(status: Status) -> bool:
        seen = {event["data"]["stream_id"] for event in rig.events}
        if not changed and seen == {"a", "b"}:
            changed.append(True)
            runner.reload(config(rig, after, processes=2))
        return "c" in seen

    summary, met = run_until(runner, enough)
    assert met
    assert [stream.id for stream in summary.streams] == ["b", "c"]
    pids = {name: pids_of(rig, f"{name}.pids") for name in "abc"}
    assert pids["c"] == pids["a"]
    assert len(pids["b"]) == 1
    ends = {
        (e["data"]["stream_id"], e["data"]["reason"]) for e in rig.events if e["data"]["state"] == "closed"
    }
    assert ends == {(name, "stopped") for name in "abc"}


def metric(runner: Runner, name: str, **labels: str) -> float:
    found = runner.telemetry.shown.get_sample_value(name, labels)
    assert found is not None
    return found


class ListRemote:
    """A bus that leads out of the process; keeps what it is given."""

    in_process = False

    def __init__(self) -> None:
        self.events: dict[str, Mapping[str, Any]] = {}

    def publish(self, events: Sequence[Mapping[str, Any]]) -> None:
        self.events |= {event["id"]: event["data"] for event in events}


def test_a_bus_that_leads_out_gets_the_tracklets_of_all_groups(
    rig: Rig, monkeypatch: pytest.MonkeyPatch
) -> None:
    told = []
    for processes in (1, 2):
        bus = ListRemote()
        monkeypatch.setattr(build, "open_bus", lambda *_, bus=bus: bus)
        summary = Runner(config(rig, RECORDINGS, processes=processes)).run()
        assert (summary.failure, summary.outbox) == (None, 0)
        told.append(bus.events)
    assert told[0]
    assert told[0] == told[1]
