"""A run that is asked to end, to end at once, to read its streams again; and somebody enrolled meanwhile."""

import json
import signal
import subprocess
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml

from tests.support.enrolment_desk import CODEC
from tests.support.pictures import BLUE, RED, person
from tests.support.strangers import install, musewatch, start
from tests.support.walks import HEIGHT_PX, walk, write_walk

PATIENCE_S = 60.0


class Site:
    """A folder with a looped clip at real speed, and a run of it."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self._plugins = folder / "site"
        install(self._plugins)
        write_walk(folder / "walk.mp4", walk(60, RED, BLUE), fps=5)
        for name, shirt in (("anna", RED), ("luca", BLUE)):
            (folder / f"{name}.jpg").write_bytes(CODEC.encode(person(HEIGHT_PX, shirt), 95))
        self.process: subprocess.Popen[str] | None = None
        self._said: list[str] = []

    def configure(self, *streams: str, **parts: Any) -> None:
        source = {"use": "file", "path": "walk.mp4", "loop": 100}
        document = {
            "version": 1,
            "streams": [{"id": name, "source": source} for name in streams],
            "detector": {"use": "glow"},
            "decision": {"cooldown_s": 0},
            "telemetry": {"listen": None},
            **parts,
        }
        (self.folder / "c.yaml").write_text(yaml.safe_dump(document), encoding="utf-8")

    def enrol(self, name: str) -> None:
        options = ("--id", name, "--image", f"{name}.jpg", "--whole")
        done = musewatch(self.folder, self._plugins, "watchlist", "add", "-c", "c.yaml", *options)
        assert done.returncode == 0, done.stderr

    def run(self) -> None:
        self.process = process = start(self.folder, self._plugins, "run", "c.yaml", "--json")
        assert process.stderr is not None
        threading.Thread(target=lambda: self._said.extend(process.stderr or ()), daemon=True).start()

    def said(self, text: str) -> None:
        """Waits until the run has said so on stderr."""
        self.wait(lambda: any(text in line for line in self._said), text)

    def wait(self, true: Callable[[], object], what: str) -> None:
        assert self.process is not None
        deadline_s = time.monotonic() + PATIENCE_S
        while not true():
            assert self.process.poll() is None, "".join(self._said)
            assert time.monotonic() < deadline_s, f"never: {what}\n{''.join(self._said)}"
            time.sleep(0.02)

    def end(self, *signals: signal.Signals) -> tuple[int, str]:
        """Sends signals; exit code and stdout."""
        assert self.process is not None
        assert self.process.stdout is not None
        for number in signals:
            self.process.send_signal(number)
        out = self.process.stdout.read()
        return self.process.wait(PATIENCE_S), out

    @property
    def hits(self) -> list[dict[str, Any]]:
        path = self.folder / "hits.jsonl"
        lines = path.read_bytes().splitlines(keepends=True) if path.exists() else []
        return [json.loads(line)["data"] for line in lines if line.endswith(b"\n")]

    def opened(self, name: str) -> bool:
        return any(hit["identity"]["id"] == name for hit in self.hits)


@pytest.fixture
def site(tmp_path: Path) -> Iterator[Site]:
    site = Site(tmp_path)
    yield site
    if site.process is not None:
        site.process.kill()
        for pipe in (site.process.stdout, site.process.stderr):
            assert pipe is not None
            pipe.close()
        site.process.wait()


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_the_first_signal_drains_and_ends_with_0(site: Site, number: signal.Signals) -> None:
    site.configure("door")
    site.enrol("anna")
    site.run()
    site.wait(lambda: site.opened("anna"), "a hit")
    code, out = site.end(number)
    assert code == 0
    assert json.loads(out)["outbox"] == 0
    assert (site.hits[-1]["state"], site.hits[-1]["reason"]) == ("closed", "stopped")


def test_events_that_still_wait_end_it_with_4(site: Site) -> None:
    site.configure("door", sinks=[{"use": "deaf"}], outbox={"drain_s": 0.2})
    site.enrol("anna")
    site.run()
    site.said("sink deaf does not take events, they wait in the outbox: nobody listens")
    code, out = site.end(signal.SIGINT)
    assert code == 4
    assert json.loads(out)["outbox"] >= 2


def test_a_second_signal_ends_at_once_with_130(site: Site) -> None:
    site.configure("door", sinks=[{"use": "deaf"}], outbox={"drain_s": 600})
    site.enrol("anna")
    site.run()
    site.said("they wait in the outbox")
    assert site.process is not None
    site.process.send_signal(signal.SIGINT)
    site.said("musewatch: SIGINT: draining; once more ends at once")
    code, out = site.end(signal.SIGTERM)
    assert (code, out) == (130, "")


def test_a_hangup_adds_and_removes_streams(site: Site) -> None:
    site.configure("door", "yard")
    site.run()
    assert site.process is not None
    site.said("stream door: up")
    site.said("stream yard: up")
    site.configure("yard", "gate")
    site.process.send_signal(signal.SIGHUP)
    site.said("stream door: removed")
    site.said("stream gate: up")
    (site.folder / "c.yaml").write_text("version: 1\nstreams: [{id: Door}]\n", encoding="utf-8")
    site.process.send_signal(signal.SIGHUP)
    site.said("the config was not reloaded")
    code, out = site.end(signal.SIGINT)
    assert code == 0
    assert [stream["id"] for stream in json.loads(out)["streams"]] == ["yard", "gate"]


def test_somebody_enrolled_by_another_process_is_found_within_a_second(site: Site) -> None:
    site.configure("door")
    site.enrol("anna")
    site.run()
    site.wait(lambda: site.opened("anna"), "a hit")
    site.enrol("luca")
    enrolled_s = time.monotonic()
    site.wait(lambda: site.opened("luca"), "a hit of the new identity")
    assert time.monotonic() - enrolled_s < 1.5  # the second that is promised, and a busy machine
    assert site.end(signal.SIGINT)[0] == 0
