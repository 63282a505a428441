"""How long a hit takes: from a person's first frame over RTSP until the hit is read from Kafka.

The camera's own clock (RTCP) says when a frame was taken, so decoding and the network are in the figure; so is the
consumer's poll of 20 ms. A person is visible where the labels say so of half of it, 40 px tall.
`python -m tests.bench.latency [--engines DETECTOR.yaml EMBEDDER.yaml] [--two-machines] [CLIP...]`: HOG and colour, or
two engines; all in one process, or one of `run` and one of `verify`. A clip takes its 44 s.
"""

import argparse
import json
import logging
import os
import subprocess
import tempfile
import threading
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, nullcontext
from datetime import datetime
from pathlib import Path
from typing import Any

import numpy as np
import yaml
from kafka import KafkaConsumer

from tests.bench.visible import visible_from, visible_moments
from tests.servers.availability import available
from tests.servers.hall import CLIPS
from tests.servers.kafka import KafkaBroker
from tests.servers.rtsp import RtspServer
from tests.support.strangers import MUSEWATCH
from trainers.evaluate.truth import PRESENCE, read_presence

TOPIC = "musewatch.hits"
SECONDS = 46  # a clip and a little
FPS = 15  # of the demo's clips
STARTING_S = 8  # of a member, until it has its partitions
ONE_THREAD = {**os.environ, "OMP_NUM_THREADS": "1"}
WEIGHTLESS = {"detector": {"use": "hog"}, "embedder": {"use": "colour"}}
Arrival = tuple[float, dict[str, Any]]  # wall clock, the hit


class Listener(threading.Thread):
    """Notes when each hit can be read."""

    def __init__(self, bootstrap: str) -> None:
        super().__init__(daemon=True)
        self.arrivals: list[Arrival] = []
        self._consumer = KafkaConsumer(TOPIC, bootstrap_servers=bootstrap, auto_offset_reset="earliest")
        self._over = threading.Event()

    def run(self) -> None:
        while not self._over.is_set():
            for records in self._consumer.poll(timeout_ms=20).values():
                now_s = time.time()
                self.arrivals += [(now_s, json.loads(record.value).get("data", {})) for record in records]
        self._consumer.close()

    def stop(self) -> list[Arrival]:
        """What has come."""
        self._over.set()
        self.join()
        return self.arrivals


def hits_of(
    clip: str, plugins: dict[str, Any], apart: bool, folder: Path, broker: KafkaBroker
) -> list[Arrival]:
    """Plays a clip of the demo's hall once; everybody of the demo is enrolled. `apart`: a member identifies."""
    link = {"use": "kafka", "bootstrap": broker.bootstrap}
    common = {"version": 1, "site": "hall", "embedder": plugins["embedder"], "telemetry": {"listen": None}}
    edge = common | {"detector": plugins["detector"]}
    deciding = {
        "decision": {"cooldown_s": 0},
        "evidence": {"base_url": "http://evidence"},
        "sinks": [link | {"topic": TOPIC, "partitions": 1}],
    }
    member = common | deciding | {"data_dir": "member", "bus": link}
    with RtspServer({"cam": CLIPS / f"{clip}.mp4"}, once=True) as camera:
        edge["streams"] = [{"id": clip, "source": {"use": "rtsp", "url": camera.url("cam")}}]
        edge |= {"bus": link} if apart else deciding
        for name, document in (("edge.yaml", edge), ("member.yaml", member)):
            (folder / name).write_text(yaml.safe_dump(document), encoding="utf-8")
        desk = "member.yaml" if apart else "edge.yaml"
        for picture in sorted((CLIPS / "enrol").glob("*.jpg")):
            enrolled = ("--id", picture.stem, "--image", picture, "--whole")
            _musewatch(folder, "watchlist", "add", "-c", desk, *enrolled)
        _musewatch(folder, "hits", "test", "-c", desk)  # makes the topic
        listener = Listener(broker.bootstrap)
        listener.start()
        with _member(folder) if apart else nullcontext():
            _musewatch(folder, "run", "edge.yaml", "--duration", SECONDS)
        time.sleep(1)
    return [(at_s, hit) for at_s, hit in listener.stop() if hit.get("state") == "opened"]


@contextmanager
def _member(folder: Path) -> Iterator[None]:
    with (folder / "member.log").open("wb") as log:
        process = subprocess.Popen(
            [MUSEWATCH, "verify", "member.yaml"], cwd=folder, env=ONE_THREAD, stderr=log
        )
    try:
        time.sleep(STARTING_S)
        yield
    finally:
        process.terminate()
        process.wait()


def seconds(arrivals: Sequence[Arrival], since: str) -> list[float]:
    """From the stream's moment `since`, on the camera's clock, until the hit was read."""
    found = []
    for at_s, hit in arrivals:
        if hit["clock"] == "camera":
            best_s = datetime.fromisoformat(hit["captured_at"]).timestamp()
            found.append(at_s - (best_s - hit["best"]["pts_s"] + hit[since]))
    return found


def since_visible(clip: str, arrivals: Sequence[Arrival]) -> list[float]:
    """From the first frame of an appearance in which the person is visible, until their first hit was read."""
    found = []
    for person, start_s, end_s in appearances(clip):
        for at_s, hit in arrivals:
            if hit["identity"]["id"] == person and start_s <= hit["decided_pts_s"] <= end_s + 1:
                found += seconds([(at_s, hit | {"visible": start_s})], "visible")
                break
    return found


def appearances(clip: str) -> list[tuple[str, float, float]]:
    """Person, first second in which it is visible, last second there; of those that are visible at all."""
    moments = visible_moments(CLIPS / f"{clip}.gt.txt", lambda frame: (frame - 1) / FPS)
    stays = [row.stay for row in read_presence(CLIPS / PRESENCE) if row.stay.stream_id == clip]
    return [
        (stay.person_id, start_s, stay.end_s)
        for stay in stays
        if (start_s := visible_from(stay, int(stay.person_id.removeprefix("p")), moments)) is not None
    ]


def _musewatch(folder: Path, *arguments: object) -> None:
    subprocess.run(
        [MUSEWATCH, *map(str, arguments)], cwd=folder, env=ONE_THREAD, check=True, capture_output=True
    )


def main() -> None:
    """Reads the command line; one table over all clips."""
    options = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    options.add_argument("clips", nargs="*", default=["hall-1", "hall-2", "hall-3"])
    options.add_argument("--engines", nargs=2, type=Path, metavar=("DETECTOR", "EMBEDDER"))
    options.add_argument(
        "--two-machines", action="store_true", help="`run` publishes tracklets, `verify` decides"
    )
    chosen = options.parse_args()
    missing = [name for name in ("kafka", "rtsp") if not available(name)]
    if missing:
        print(f"not run: needs {' and '.join(missing)}")
        return
    plugins: dict[str, Any] = WEIGHTLESS
    if chosen.engines:
        detector, embedder = (str(path.resolve()) for path in chosen.engines)
        plugins = {
            "detector": {"use": "onnx", "engine": detector},
            "embedder": {"use": "onnx", "engine": embedder},
        }
    logging.getLogger("kafka").setLevel(logging.CRITICAL + 1)
    tables: dict[str, list[float]] = {
        "first visible frame": [],
        "first detected frame": [],
        "frame decided on": [],
    }
    with tempfile.TemporaryDirectory() as name, KafkaBroker(Path(name)) as broker:
        for clip in chosen.clips:
            folder = Path(name) / clip
            folder.mkdir()
            arrivals = hits_of(clip, plugins, chosen.two_machines, folder, broker)
            arrivals = [(at_s, hit) for at_s, hit in arrivals if hit["stream_id"] == clip]
            tables["first visible frame"] += since_visible(clip, arrivals)
            tables["first detected frame"] += seconds(arrivals, "first_pts_s")
            tables["frame decided on"] += seconds(arrivals, "decided_pts_s")
    print(
        f"load {os.getloadavg()[0]:.1f}\n{'until the hit is read, from the':34} {'hits':>4} {'p50 s':>6} {'p95 s':>6}"
    )
    for what, found in tables.items():
        if found:
            print(f"{what:34} {len(found):4} {np.percentile(found, 50):6.2f} {np.percentile(found, 95):6.2f}")


if __name__ == "__main__":
    main()
