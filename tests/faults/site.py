"""A site that works: cameras, a broker, `musewatch run` between them, and eyes on all of it."""

import json
import os
import signal
import subprocess
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Mapping
from contextlib import ExitStack, suppress
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Self

import yaml
from prometheus_client.parser import text_string_to_metric_families

from pipeline.watchlist.records import Identity, NewPicture
from pipeline.watchlist.store import WatchlistStore
from tests.enrolment_desk import CODEC
from tests.faults.clips import write_clips
from tests.faults.ledger import Ledger, Topic
from tests.pictures import BLUE, RED, person
from tests.servers.kafka import KafkaBroker
from tests.servers.ports import free_port
from tests.servers.proxy import Proxy
from tests.servers.rtsp import RtspServer
from tests.strangers import MUSEWATCH, environment, install
from tests.walks import HEIGHT_PX

TOPIC = "musewatch.hits"
PATIENCE_S = 90.0
HURT, SPARED = "door", "yard"
USER, PASSWORD = "viewer", "open-sesame"


class Site:
    """Cameras, `door` behind a bad network and `yard` that is always well, and a broker.

    Args:
        folder: For everything.
        broker: One to use; else one is started.
        data_dir: Where the program keeps its data; None = in the folder.
        fps: Of the cameras.
        yards: How many streams are like `yard`: `yard`, `yard-2`...
    """

    def __init__(
        self,
        folder: Path,
        broker: KafkaBroker | None = None,
        data_dir: Path | None = None,
        *,
        fps: int = 10,
        yards: int = 1,
    ) -> None:
        self.folder = folder
        self.data_dir = data_dir or folder / "data"
        self.yards = [SPARED, *(f"{SPARED}-{number}" for number in range(2, yards + 1))]
        self._fps = fps
        self._given = broker
        self._owned = ExitStack()
        self._process: subprocess.Popen[bytes] | None = None
        self._port = free_port()
        self._log = folder / "run.log"
        self.topic_name = f"{TOPIC}.{os.urandom(4).hex()}" if broker else TOPIC

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
            self.door_from(reload=False)
            self._enrol()
            self.ledger = Ledger(self.data_dir / "outbox.db", ["kafka"])
            self.topic = Topic(self.broker.bootstrap, self.topic_name)
            self._owned = owned.pop_all()
        return self

    def __exit__(self, *_: object) -> None:
        self.kill()
        self._owned.close()

    # The program

    def start(self, **variables: str) -> None:
        """Starts `musewatch run`; does not wait for it."""
        assert self._process is None
        with self._log.open("ab") as log:
            self._process = subprocess.Popen(
                [str(MUSEWATCH), "run", "c.yaml", "--json"], cwd=self.folder, stdout=log, stderr=log,
                env={**self._environment(), **variables},
            )  # fmt: skip

    def kill(self) -> None:
        """Ends it at once, as a crash would."""
        process, self._process = self._process, None
        if process is not None:
            process.kill()
            process.wait()

    def stop(self) -> int:
        """Asks it to end; its exit code."""
        process, self._process = self._process, None
        assert process is not None
        process.send_signal(signal.SIGTERM)
        return process.wait(PATIENCE_S)

    @property
    def alive(self) -> bool:
        """Whether the program runs."""
        return self._process is not None and self._process.poll() is None

    @property
    def pid(self) -> int:
        """Of the program."""
        assert self._process is not None
        return self._process.pid

    @property
    def network_url(self) -> str:
        """Where the door's camera is, behind the bad network."""
        return f"rtsp://127.0.0.1:{self.network.port}/cam"

    def command(self, *arguments: str) -> str:
        """Output of another musewatch command, which must end well."""
        done = subprocess.run(
            [MUSEWATCH, *arguments], cwd=self.folder, env=self._environment(), capture_output=True, text=True,
            timeout=PATIENCE_S, check=False,
        )  # fmt: skip
        assert done.returncode == 0, done.stderr
        return done.stdout

    def door_from(self, url: str | None = None, *, reload: bool = True, **source: Any) -> None:
        """Has the door's pictures come from another address, or None = its own again, by a reload of the config."""
        streams = [
            {"id": HURT, "source": {"use": "rtsp", "url": url or self.network_url, **source}},
            *({"id": yard, "source": {"use": "rtsp", "url": self.spared.url("cam")}} for yard in self.yards),
        ]
        tracks = {"ripe_crops": 1, "ripe_s": 0.1, "again_s": 0.3, "idle_s": 0.4, "relink_s": 0}
        document = {
            "version": 1,
            "site": "faults",
            "data_dir": str(self.data_dir),
            "streams": streams,
            "detector": {"use": "glow", "brightness": 60},
            "tracks": tracks,
            "decision": {"cooldown_s": 0},
            "evidence": {"max_mb": 4},
            "sinks": [{"use": "kafka", "bootstrap": self.broker.bootstrap, "topic": self.topic_name}],
            "telemetry": {"listen": f"127.0.0.1:{self._port}"},
        }
        (self.folder / "c.yaml").write_text(yaml.safe_dump(document), encoding="utf-8")
        if reload and self.alive:
            os.kill(self.pid, signal.SIGHUP)

    # What an operator sees

    def problems(self) -> list[str]:
        """Of /readyz; a program that does not answer is one too."""
        try:
            with urllib.request.urlopen(f"http://127.0.0.1:{self._port}/readyz", timeout=5) as answer:
                found: list[str] = json.load(answer)["problems"]
        except urllib.error.HTTPError as error:
            with error:
                found = json.load(error)["problems"]
        except OSError:
            found = ["nobody answers"]
        return found

    def metric(self, name: str, **labels: str) -> float:
        """Value of a metric; 0 where there is none."""
        with (
            suppress(OSError),
            urllib.request.urlopen(f"http://127.0.0.1:{self._port}/metrics", timeout=5) as answer,
        ):
            for family in text_string_to_metric_families(answer.read().decode()):
                for sample in family.samples:
                    if sample.name == name and sample.labels == labels:
                        return float(sample.value)
        return 0.0

    def frames(self, stream: str) -> float:
        """Frames that came from a stream since the program started."""
        return self.metric("musewatch_frames_total", stream=stream)

    def log(self) -> list[str]:
        """Lines that the program has said."""
        return self._log.read_text(encoding="utf-8").splitlines() if self._log.exists() else []

    # Waiting

    def wait(self, true: Callable[[], object], what: str, patience_s: float = PATIENCE_S) -> float:
        """Waits until it is so; seconds it took."""
        start_s = time.monotonic()
        while not true():
            died = self._process is not None and not self.alive
            if died or time.monotonic() - start_s > patience_s:
                said = "\n".join(self.log()[-15:])
                raise TimeoutError(f"never: {what}; {'it died' if died else self.problems()}\n{said}")
            time.sleep(0.05)
        return time.monotonic() - start_s

    def flows(self, *streams: str) -> Callable[[], bool]:
        """Whether new frames have come from each of these since now, and nothing is wrong."""
        flowing = self.flows_in_trouble(*streams)
        return lambda: not self.problems() and flowing()

    def flows_in_trouble(self, *streams: str) -> Callable[[], bool]:
        """Whether new frames have come from each of these since now, whatever is wrong beside."""
        before = {stream: self.frames(stream) for stream in streams}

        def so() -> bool:
            now = {stream: self.frames(stream) for stream in streams}
            for stream in streams:
                before[stream] = min(before[stream], now[stream])  # a new program counts from 0
            return all(now[stream] > before[stream] for stream in streams)

        return so

    def delivered(self) -> bool:
        """Whether the topic has everything that the outbox has ever held."""
        taken = {entry.id for entry in self.ledger.entries()}
        return taken <= {entry.id for entry in self.topic.read()}

    def new_hits(self) -> Callable[[], bool]:
        """Whether the outbox has taken events since now."""
        before = len(self.ledger.entries())
        return lambda: len(self.ledger.entries()) > before

    # Making it

    def _environment(self) -> Mapping[str, str]:
        """With the plugins of the tests before whatever is on the path already."""
        plugins = self.folder / "plugins"
        path = filter(None, (str(plugins), os.environ.get("PYTHONPATH")))
        return environment(plugins, PYTHONPATH=os.pathsep.join(path))

    def _kafka_folder(self) -> Path:
        path = self.folder / "kafka"
        path.mkdir()
        return path

    def _enrol(self) -> None:
        self.data_dir.mkdir(exist_ok=True)
        now = datetime.now(UTC)
        with WatchlistStore.in_folder(self.data_dir) as store:
            for name, shirt in (("anna", RED), ("luca", BLUE)):
                picture = NewPicture(CODEC.encode(person(HEIGHT_PX, shirt), 95), now)
                store.add(Identity(name, None, None, None, now), [picture])
