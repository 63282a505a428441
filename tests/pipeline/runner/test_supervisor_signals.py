"""What becomes of the processes of a grouped run when signals come, or when the one that started them is killed."""

import json
import os
import signal
import subprocess
import time
from collections.abc import Callable
from pathlib import Path

import pytest
import yaml

from tests.pipeline.runner.rig import Rig
from tests.support import grouped_cameras
from tests.support.pictures import RED
from tests.support.strangers import MUSEWATCH, environment

ROOT = Path(__file__).parents[3]


class Running:
    """`musewatch run` with two cameras in processes of their own, in a process group as a terminal makes one."""

    def __init__(self, folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        site = folder / "site"
        site.mkdir()
        monkeypatch.syspath_prepend(str(site))
        grouped_cameras.install(site)
        self.rig, self.notes = Rig(folder), folder / "pids"
        self.rig.enrol("red", RED)
        document = self.rig.document(processes=2)
        source = {"use": "walking", "live": True, "pause_s": 0.025, "pids": str(self.notes)}
        document["streams"] = [{"id": name, "source": source} for name in "ab"]
        path = folder / "c.yaml"
        path.write_text(yaml.safe_dump(document), encoding="utf-8")
        self.process = subprocess.Popen(
            [str(MUSEWATCH), "run", str(path), "--json"], cwd=folder, text=True, start_new_session=True,
            env=environment(site, PYTHONPATH=f"{site}{os.pathsep}{ROOT}"),
            stdout=subprocess.PIPE, stderr=subprocess.PIPE,
        )  # fmt: skip

    @property
    def pids(self) -> list[int]:
        """Processes that have cameras."""
        return [int(line) for line in self.notes.read_text("utf-8").split()] if self.notes.exists() else []

    def wait_for_hits(self) -> None:
        """Of both cameras."""
        wait(lambda: {event["data"]["stream_id"] for event in self.rig.events} == {"a", "b"})


def wait(done: Callable[[], object], limit_s: float = 60.0) -> None:
    deadline_s = time.monotonic() + limit_s
    while not done():
        assert time.monotonic() < deadline_s
        time.sleep(0.05)


def is_there(pid: int) -> bool:
    try:
        state = Path(f"/proc/{pid}/stat").read_text("utf-8").rpartition(")")[2].split()[0]
    except OSError:
        return False
    return state != "Z"


def test_a_signal_to_all_processes_drains_them_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    running = Running(tmp_path, monkeypatch)
    running.wait_for_hits()
    os.killpg(running.process.pid, signal.SIGINT)
    out, err = running.process.communicate(timeout=60)
    assert running.process.returncode == 0, err
    assert [stream["id"] for stream in json.loads(out)["streams"]] == ["a", "b"]
    assert "Traceback" not in err
    closed = [(e["data"]["stream_id"], e["data"]["reason"]) for e in running.rig.events][-2:]
    assert sorted(closed) == [("a", "stopped"), ("b", "stopped")]
    assert not any(is_there(pid) for pid in running.pids)


def test_processes_end_with_the_one_that_started_them(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    running = Running(tmp_path, monkeypatch)
    wait(lambda: len(running.pids) == 2)
    running.process.kill()
    running.process.communicate(timeout=60)
    wait(lambda: not any(is_there(pid) for pid in running.pids))
