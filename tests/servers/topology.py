"""Topology 2 for tests: an edge, members of the group and what they report, on topics of their own."""

import json
import subprocess
import sys
import threading
import time
from collections import defaultdict
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import numpy as np
import yaml
from kafka import KafkaConsumer

from pipeline import registry
from pipeline.config import Config, parse_config
from pipeline.deliver.tracklets import to_message
from pipeline.messages import Clock, Crop, EndReason, Scene, TrackKey, Tracklet
from pipeline.plugged import PluggedEmbedder
from pipeline.runner.member import Member, MemberSummary
from pipeline.settings import choose
from pipeline.watchlist.records import Identity, NewPicture
from pipeline.watchlist.roster import WatchlistStore
from pipeline.watchlist.shared import publish
from plugins.embedders.colour import ColourEmbedder
from plugins.kafka.bus import KafkaBus
from plugins.kafka.sink import KafkaSink
from tests.servers.kafka import KafkaBroker
from tests.support.enrolment_desk import CODEC
from tests.support.pictures import person
from tests.support.walks import HEIGHT_PX, Shirt

MUSEWATCH = Path(sys.executable).with_name("musewatch")
EMBEDDER = PluggedEmbedder.of(ColourEmbedder(ColourEmbedder.Config()))
WHEN = datetime(2026, 11, 21, tzinfo=UTC)
SITE = "north-hall"
PATIENCE_S = 40.0


class Topology:
    """One bus, one topic of hits, any number of members.

    Args:
        broker: The broker.
        folder: Its name makes the topics' names.
    """

    def __init__(self, broker: KafkaBroker, folder: Path) -> None:
        self.broker, self.folder, self.name = broker, folder, folder.name
        names = {key: f"{self.name}-{key}" for key in ("topic", "dead_letters", "watchlist", "group")}
        link = {"bootstrap": broker.bootstrap, "timeout_s": 3}
        self.bus_choice = {"use": "kafka", **link, "partitions": 4, "session_timeout_s": 6, **names}
        self.sink_choice = {"use": "kafka", **link, "topic": f"{self.name}-hits"}
        self.hits_sink: KafkaSink = registry.build("sink", _choice(self.sink_choice), folder, "sinks.0")
        self.publisher: KafkaBus = registry.build("bus", _choice(self.bus_choice), folder, "bus")

    def document(self, name: str, **parts: Any) -> dict[str, Any]:
        """A member's config."""
        return {
            "version": 1,
            "site": SITE,
            "data_dir": f"{name}-data",
            "embedder": {"use": "colour"},
            "decision": {"cooldown_s": 0},
            "evidence": {"base_url": "http://evidence"},
            "outbox": {"drain_s": 10},
            "bus": self.bus_choice,
            "sinks": [self.sink_choice],
            "telemetry": {"listen": None},
            **parts,
        }

    def config(self, name: str, **parts: Any) -> Config:
        """The same, read."""
        return parse_config(self.document(name, **parts), self.folder)

    def enrol(self, identity_id: str, shirt: Shirt) -> None:
        """One picture of a drawn person, published."""
        picture = NewPicture(CODEC.encode(person(HEIGHT_PX, shirt), 95), WHEN)
        config = self.config("office")
        with WatchlistStore.in_folder(config.data_dir) as store:
            store.add(Identity(identity_id, None, None, None, WHEN), [picture])
            publish(store, self.publisher.watchlist, CODEC, [identity_id])

    def send(
        self, *tracklets: Tracklet, site: str = SITE, engine: str | None = None, age_s: float = 0
    ) -> None:
        """As an edge does."""
        asked_at = datetime.now(UTC) - timedelta(seconds=age_s)
        own = EMBEDDER.digest
        self.publisher.publish(
            [
                to_message(each, site=site, engine=engine or own, asked_at=asked_at, codec=CODEC)
                for each in tracklets
            ]
        )

    def hits(self) -> list[dict[str, Any]]:
        """Everything on the topic, repeats too."""
        return self.hits_sink.recent(3600)

    def wait_for_hits(self, enough: Callable[[list[dict[str, Any]]], bool]) -> list[dict[str, Any]]:
        """The events, as soon as there are enough."""
        until_s = time.monotonic() + PATIENCE_S
        while not enough(found := self.hits()):
            assert time.monotonic() < until_s, [story(event) for event in found]
            time.sleep(0.2)
        return found

    def dead_letters(self, count: int) -> list[Any]:
        """The first so many."""
        with KafkaConsumer(
            f"{self.name}-dead_letters",
            bootstrap_servers=self.broker.bootstrap,
            auto_offset_reset="earliest",
            consumer_timeout_ms=int(PATIENCE_S * 1000),
        ) as consumer:
            return [letter for _, letter in zip(range(count), consumer, strict=False)]

    @contextmanager
    def member(self, name: str, **parts: Any) -> Iterator[Member]:
        """One in this process."""
        member = Member(self.config(name, **parts))
        summaries: list[MemberSummary] = []
        thread = threading.Thread(target=lambda: summaries.append(member.run()))
        thread.start()
        try:
            yield member
        finally:
            member.stop()
            thread.join(60)
            assert summaries, "the member did not end"
            assert summaries[0].failure is None, summaries[0].failure

    def start_member(self, name: str, **parts: Any) -> "subprocess.Popen[bytes]":
        """One as a process of its own."""
        path = self.folder / f"{name}.yaml"
        path.write_text(yaml.safe_dump(json.loads(json.dumps(self.document(name, **parts)))))
        log = (self.folder / f"{name}.log").open("ab")
        with log:
            return subprocess.Popen([MUSEWATCH, "verify", path], stdout=log, stderr=log, cwd=self.folder)

    def log(self, name: str) -> str:
        """What a member of `start_member` has said."""
        return (self.folder / f"{name}.log").read_text()

    def close(self) -> None:
        """Lets the broker go."""
        self.publisher.close()
        self.hits_sink.close()


def _choice(settings: dict[str, Any]) -> Any:
    return choose(settings["use"], **{key: value for key, value in settings.items() if key != "use"})


def sighting(
    shirt: Shirt, key: TrackKey, number: int = 1, end: EndReason | None = None, height: int = HEIGHT_PX
) -> Tracklet:
    """Somebody seen once, at `number` seconds of the stream."""
    image = person(height, shirt)
    (vector,) = EMBEDDER.embed([image])
    at = WHEN + timedelta(seconds=number)
    crop = Crop(image, (10.0, 40.0, 70.0, 160.0), float(number), at, 0.5, vector)
    scene = Scene(CODEC.encode(np.zeros((200, 320, 3), np.uint8), 80), (320, 200))
    return Tracklet(
        key, number, (crop,), scene, vector, 0.5, float(number), float(number), Clock.CAMERA,
        {"detector": None, "embedder": None}, end,
    )  # fmt: skip


def story(event: dict[str, Any]) -> tuple[str, int, str, str, int]:
    """Stream, track, identity, state and revision."""
    data = event["data"]
    return data["stream_id"], data["track_id"], data["identity"]["id"], data["state"], data["revision"]


def once(events: Sequence[dict[str, Any]]) -> list[dict[str, Any]]:
    """Repeats dropped by id, as consumers do; an id with two payloads is a failure."""
    kept: dict[str, dict[str, Any]] = {}
    for event in events:
        first = kept.setdefault(event["id"], event)
        assert first == event, f"one id, two payloads: {first} {event}"
    return list(kept.values())


def lives(events: Sequence[dict[str, Any]]) -> dict[tuple[str, int], list[str]]:
    """The states of every track's hit, in order, updates left out."""
    found: dict[tuple[str, int], list[str]] = defaultdict(list)
    for event in once(events):
        stream, track, _, state, _ = story(event)
        if state != "updated":
            found[stream, track].append(state)
    return dict(found)
