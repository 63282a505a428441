"""A site that works: cameras, a broker, `musewatch run` between them, and eyes on all of it."""

import os
import signal
import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Self

import yaml

from pipeline.watchlist.records import Identity, NewPicture
from pipeline.watchlist.roster import WatchlistStore
from tests.faults.clips import write_clips
from tests.faults.ledger import Findings, Ledger, Topic, audit
from tests.faults.program import PATIENCE_S, Program
from tests.servers.kafka import KafkaBroker
from tests.servers.proxy import Proxy
from tests.servers.rtsp import RtspServer
from tests.support.enrolment_desk import CODEC
from tests.support.pictures import BLUE, RED, person
from tests.support.strangers import install
from tests.support.walks import HEIGHT_PX

TOPIC = "musewatch.hits"
HURT, SPARED = "door", "yard"
USER, PASSWORD = "viewer", "open-sesame"
PEOPLE = {"anna": RED, "luca": BLUE}


@dataclass(frozen=True, slots=True)
class Limits:
    """Keys of cameras, of the runner and of whatever speaks to Kafka."""

    camera: Mapping[str, float] = field(default_factory=dict)
    runner: Mapping[str, Any] = field(default_factory=dict)
    kafka: Mapping[str, float] = field(default_factory=dict)


DEFAULT = Limits()
BRISK = Limits(
    camera={"read_s": 1.0, "open_s": 3.0},
    runner={"silent_s": 2.5, "backoff_s": [0.2, 0.8]},
    kafka={"timeout_s": 2},
)


class Site(Program):
    """`musewatch run` and all around it: cameras, `door` behind a bad network and `yard` always well, and a broker.

    Args:
        folder: For everything.
        broker: One to use; else one is started.
        data_dir: Where the program keeps its data; None = in the folder.
        fps: Of the cameras.
        brisk: Limits shorter than the defaults, so that every fault is noticed and over sooner.
        yards: How many streams are like `yard`: `yard`, `yard-2`...
    """

    def __init__(
        self,
        folder: Path,
        broker: KafkaBroker | None = None,
        data_dir: Path | None = None,
        *,
        fps: int = 10,
        brisk: bool = False,
        yards: int = 1,
    ) -> None:
        super().__init__(folder, "run", "c.yaml")
        self.data_dir = data_dir or folder / "data"
        self.yards = [SPARED, *(f"{SPARED}-{number}" for number in range(2, yards + 1))]
        self._fps = fps
        self._limits = BRISK if brisk else DEFAULT
        self._given = broker
        self._owned = ExitStack()
        self.topic_name = f"{TOPIC}.{os.urandom(4).hex()}"

    def __enter__(self) -> Self:
        self.clips = clips = write_clips(self.folder, self._fps)
        install(self.folder / "plugins")
        with self._owned as owned:
            self.camera = owned.enter_context(RtspServer({"cam": clips["small"], "h265": clips["h265"]}))
            self.spared = owned.enter_context(RtspServer({"cam": clips["small"]}))
            self.guarded = owned.enter_context(
                RtspServer({"cam": clips["small"]}, user=USER, password=PASSWORD)
            )
            self.network = owned.enter_context(Proxy(self.camera.port))
            self.broker = self._given or owned.enter_context(KafkaBroker(self._kafka_folder()))
            self.topic = Topic(self.broker.bootstrap, self.topic_name)
            self.door_from(reload=False)
            self.data_dir.mkdir(exist_ok=True)
            self._prepare()
            self._owned = owned.pop_all()
        return self

    def __exit__(self, *_: object) -> None:
        self.kill()
        self._owned.close()

    @property
    def network_url(self) -> str:
        """Where the door's camera is, behind the bad network."""
        return f"rtsp://127.0.0.1:{self.network.port}/cam"

    def door_from(self, url: str | None = None, *, reload: bool = True, **source: Any) -> None:
        """Has the door's pictures come from another address, or None = its own again, by a reload of the config."""
        camera = {"use": "rtsp", **self._limits.camera}
        yard = {**camera, "url": self.spared.url("cam")}
        streams = [
            {"id": HURT, "source": {**camera, "url": url or self.network_url, **source}},
            *({"id": name, "source": yard} for name in self.yards),
        ]
        tracks = {"ripe_crops": 1, "ripe_s": 0.1, "again_s": 0.3, "idle_s": 0.4, "relink_s": 0}
        document = {
            "streams": streams,
            "data_dir": str(self.data_dir),
            "detector": {"use": "glow", "brightness": 60},
            "tracks": tracks,
            "telemetry": {"listen": self.listen},
            "runner": self._limits.runner,
        }
        self.configure("c.yaml", document | self._outgoing())
        if reload and self.alive:
            os.kill(self.pid, signal.SIGHUP)

    def configure(self, name: str, document: dict[str, Any]) -> None:
        """Writes a config of this site."""
        common = {
            "version": 1,
            "site": "faults",
            "decision": {"cooldown_s": 0},
            "evidence": {"max_mb": 4, "base_url": "http://evidence.example"},
        }
        (self.folder / name).write_text(yaml.safe_dump(common | document), encoding="utf-8")

    # What is right and what is wrong

    def frames(self, stream: str) -> float:
        """Frames that came from a stream since the program started."""
        return self.metric("musewatch_frames_total", stream=stream)

    def programs(self) -> Sequence[Program]:
        """All that run here."""
        return [self]

    def troubles(self) -> list[str]:
        """What /readyz of any program complains of."""
        return [problem for program in self.programs() for problem in program.problems()]

    def delivered(self) -> bool:
        """Whether the topic has everything that the outbox has ever held."""
        taken = {entry.id for entry in self._ledger.entries()}
        return taken <= {entry.id for entry in self.topic.read()}

    def wait_for_delivery(self, patience_s: float) -> None:
        """Waits until the topic has all; a look costs a connection to the broker.

        Raises:
            TimeoutError: It has not within the patience.
        """
        self.wait(self.delivered, "the topic has all", patience_s, every_s=0.4)

    def audit(self) -> Findings:
        """Holds the topic to the outbox; read in this order, since both grow."""
        taken = self._ledger.entries()
        return audit([taken], self.topic.read())

    def opened(self) -> set[str]:
        """Hits that the outbox holds for open."""
        return self._ledger.opened()

    # Waiting

    def wait(
        self, true: Callable[[], object], what: str, patience_s: float = PATIENCE_S, every_s: float = 0.1
    ) -> None:
        """Looks every so often until it is so.

        Raises:
            TimeoutError: It is not within the patience, or a program has died.
        """
        start_s = time.monotonic()
        while not true():
            dead = [program for program in self.programs() if program.died]
            if dead or time.monotonic() - start_s > patience_s:
                said = "\n".join(line for program in dead or [self] for line in program.log()[-15:])
                raise TimeoutError(f"never: {what}; {'it died' if dead else self.troubles()}\n{said}")
            time.sleep(every_s)

    def flows(self, *streams: str) -> Callable[[], bool]:
        """Whether new frames have come from each of these since now, and nothing is wrong."""
        flowing = self.flows_in_trouble(*streams)
        return lambda: not self.troubles() and flowing()

    def flows_in_trouble(self, *streams: str) -> Callable[[], bool]:
        """Whether new frames have come from each of these since now, whatever is wrong beside."""
        before = {stream: self.frames(stream) for stream in streams}

        def so() -> bool:
            now = {stream: self.frames(stream) for stream in streams}
            for stream in streams:
                before[stream] = min(before[stream], now[stream])  # a new program counts from 0
            return all(now[stream] > before[stream] for stream in streams)

        return so

    def new_hits(self) -> Callable[[], bool]:
        """Whether hit events have gone into an outbox since now."""
        before = self.taken()
        return lambda: self.taken() > before

    def taken(self) -> int:
        """Hit events that an outbox has taken so far."""
        return len(self._ledger.entries())

    # Making it

    def _outgoing(self) -> dict[str, Any]:
        """Where hits go."""
        return {"sinks": [{"use": "kafka", "topic": self.topic_name, **self._kafka()}]}

    def _kafka(self) -> dict[str, Any]:
        return {"bootstrap": self.broker.bootstrap, **self._limits.kafka}

    def _prepare(self) -> None:
        now = datetime.now(UTC)
        with WatchlistStore.in_folder(self.data_dir) as store:
            for name, shirt in PEOPLE.items():
                picture = NewPicture(CODEC.encode(person(HEIGHT_PX, shirt), 95), now)
                store.add(Identity(name, None, None, None, now), [picture])
        self._ledger = Ledger(self.data_dir / "outbox.db", ["kafka"])

    def _kafka_folder(self) -> Path:
        path = self.folder / "kafka"
        path.mkdir()
        return path
