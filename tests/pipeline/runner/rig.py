"""A folder with a config in which everything is real but the sources and the detector."""

import json
import threading
import time
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import replace
from datetime import UTC, datetime
from importlib.metadata import EntryPoint
from pathlib import Path
from typing import Any

import pytest
import yaml

from pipeline import build, registry
from pipeline.config import Config, parse_config
from pipeline.errors import RefusedError
from pipeline.follow.detect import OnError
from pipeline.messages import Detections, Frame
from pipeline.runner.inline import Inline, InlineFront
from pipeline.runner.runner import Runner, RunSummary, Status
from pipeline.settings import Settings
from pipeline.testing import ListSource, frame
from pipeline.watchlist.records import Identity, NewPicture
from pipeline.watchlist.roster import WatchlistStore
from plugins.sink_jsonl import JsonlSink
from tests.support.enrolment_desk import CODEC, DrawnDetector
from tests.support.pictures import person
from tests.support.walks import HEIGHT_PX, Shirt, walk

SCRIPTS: dict[str, Callable[[], Any]] = {}
"""What a scripted source plays, by name; asked at every opening."""

NOW = datetime(2026, 11, 21, tzinfo=UTC)


class ScriptedSource:
    """Plays what a test put into SCRIPTS."""

    class Config(Settings):
        """Which one."""

        plays: str

    def __init__(self, config: Config) -> None:
        self._source = SCRIPTS[config.plays]()
        self.live = self._source.live
        self.finite = getattr(self._source, "finite", False)

    @property
    def note(self) -> str | None:
        return getattr(self._source, "note", None)

    def frames(self) -> Iterator[Frame]:
        return self._source.frames()  # type: ignore[no-any-return]

    def close(self) -> None:
        close = getattr(self._source, "close", None)
        if close is not None:
            close()


class BlindDetector:
    """Fails at every frame."""

    class Config(Settings):
        """Nothing to set."""

    def __init__(self, config: Config) -> None:
        del config

    def detect(self, frames: Sequence[Frame]) -> list[Detections]:
        raise RuntimeError("the lens is covered")


class DeafSink:
    """Takes nothing."""

    class Config(Settings):
        """Nothing to set."""

    def __init__(self, config: Config) -> None:
        del config

    def publish(self, events: object) -> None:
        raise ConnectionError("nobody listens")


class HangingSink:
    """Does not come back, but for an end of its patience so that no test leaves a thread behind for ever."""

    PATIENCE_S = 30.0
    comes_back = threading.Event()

    class Config(Settings):
        """Nothing to set."""

    def __init__(self, config: Config) -> None:
        del config

    def publish(self, events: object) -> None:
        self.comes_back.wait(self.PATIENCE_S)


class PickySink(JsonlSink):
    """Takes everything but what opens a hit."""

    def publish(self, events: Sequence[Mapping[str, Any]]) -> None:
        if any(event["data"].get("state") == "opened" for event in events):
            raise RefusedError("400 Bad Request")
        super().publish(events)


PLUGINS = {
    ("source", "scripted"): ScriptedSource,
    ("detector", "drawn"): DrawnDetector,
    ("detector", "blind"): BlindDetector,
    ("sink", "deaf"): DeafSink,
    ("sink", "hanging"): HangingSink,
    ("sink", "picky"): PickySink,
}


class Rig:
    """Makes configs, enrols people and reads hits, in one folder."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def config(self, *streams: str, **parts: Any) -> Config:
        """A config with a scripted stream for each name."""
        return parse_config(self.document(*streams, **parts), self.folder)

    def write(self, *streams: str, **parts: Any) -> Path:
        """The same as a file."""
        path = self.folder / "c.yaml"
        path.write_text(yaml.safe_dump(self.document(*streams, **parts)), encoding="utf-8")
        return path

    def document(self, *streams: str, **parts: Any) -> dict[str, Any]:
        """What stands in the config."""
        return {
            "version": 1,
            "streams": [{"id": name, "source": {"use": "scripted", "plays": name}} for name in streams],
            "detector": {"use": "drawn"},
            "embedder": {"use": "colour"},
            "evidence": {"base_url": "http://evidence"},
            "outbox": {"drain_s": 10},
            "telemetry": {"listen": None},
            "runner": {"backoff_s": [0.01, 0.02]},
            **parts,
        }

    def enrol(self, identity_id: str, shirt: Shirt) -> None:
        """One picture of a drawn person."""
        picture = NewPicture(CODEC.encode(person(HEIGHT_PX, shirt), 95), NOW)
        with WatchlistStore.in_folder(self.data_dir) as store:
            store.add(Identity(identity_id, None, None, None, NOW), [picture])

    @property
    def data_dir(self) -> Path:
        """Where the watchlist is."""
        path = self.folder / "data"
        path.mkdir(exist_ok=True)
        return path

    @property
    def events(self) -> list[dict[str, Any]]:
        """What is in hits.jsonl."""
        path = self.folder / "hits.jsonl"
        return [json.loads(line) for line in path.read_bytes().splitlines()] if path.exists() else []

    @property
    def story(self) -> list[tuple[str, str, str]]:
        """Stream, identity and state of every event but the updates."""
        data = [event["data"] for event in self.events]
        return [(d["stream_id"], d["identity"]["id"], d["state"]) for d in data if d["state"] != "updated"]


def plug_in(monkeypatch: pytest.MonkeyPatch) -> None:
    """Makes the plugins of this file known, by entry points like anybody's."""
    for (role, name), plugin in PLUGINS.items():
        point = EntryPoint(name, f"{plugin.__module__}:{plugin.__name__}", f"musewatch.{role}")
        monkeypatch.setitem(registry.known(role), name, point)


def clip(count: int, *shirts: Shirt, epoch: str = "e1", stream_id: str = "") -> list[Frame]:
    """Frames of a walk, ten a second."""
    return [
        replace(frame(i, image, stream_id=stream_id), epoch=epoch)
        for i, image in enumerate(walk(count, *shirts))
    ]


def play(name: str, items: Iterable[Frame | Exception], live: bool = False) -> None:
    """Lets the stream of that name play a list, afresh at every opening."""
    kept = list(items)
    SCRIPTS[name] = lambda: ListSource(kept, live)


class Camera:
    """A live source that shows its frames over and over, 40 a second, in an epoch of its own a connection."""

    live = True

    def __init__(self, frames: Sequence[Frame]) -> None:
        self._frames = frames
        self._closed = threading.Event()

    def frames(self) -> Iterator[Frame]:
        index = 0
        while not self._closed.wait(0.025):
            shown = self._frames[index % len(self._frames)]
            yield replace(shown, index=index, pts_s=index / 10, epoch="")
            index += 1

    def close(self) -> None:
        self._closed.set()


def run_until(config: Config, enough: Callable[[Status], object]) -> tuple[Runner, RunSummary]:
    """Runs until a status is enough, at most 30 s."""
    runner = Runner(config)

    def look(status: Status) -> None:
        if enough(status):
            runner.stop()

    return runner, runner.run(30.0, look)


class Once(Camera):
    """A camera that ends as soon as something has happened."""

    def __init__(self, frames: Sequence[Frame], waits_for: Callable[[], object]) -> None:
        super().__init__(frames)
        self._waits_for = waits_for

    def frames(self) -> Iterator[Frame]:
        for shown in super().frames():
            yield shown
            if self._waits_for():
                return


def fail(stream_id: str, error: Exception) -> None:
    """What a stage cannot deal with fails the test."""
    raise error


def inline(config: Config, opened: ExitStack, on_error: OnError = fail) -> Inline:
    """The loop without threads, against the watchlist as it is."""
    guests = build.guests(config)
    detector = build.open_detector(config, opened, guests)
    looks = build.open_looks(config, opened, guests)
    judges = build.open_judges(config, opened, guests)
    identify = build.identify_stage(config, looks, judges, time.time)
    watchlist = build.follower(looks, judges).refresh(datetime.now(UTC))
    assert watchlist is not None
    identify.use(watchlist)
    return Inline(InlineFront(*build.front_stages(config, detector, looks, on_error)), identify)
