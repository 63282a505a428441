"""How long a hit takes: from a person's first frame over RTSP until the hit is read from Kafka, with HOG and colour.

The camera's own clock (RTCP) says when a frame was taken, so decoding and the network are in the figure; so is the
consumer's poll of 20 ms. `python -m tests.bench.latency [CLIP...]`; a clip takes its 44 s.
"""

import csv
import json
import logging
import os
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Sequence
from datetime import datetime
from pathlib import Path
from typing import Any

import numpy as np
import yaml
from kafka import KafkaConsumer

from tests.servers.availability import available
from tests.servers.hall import CLIPS
from tests.servers.kafka import KafkaBroker
from tests.servers.rtsp import RtspServer
from tests.strangers import MUSEWATCH

TOPIC = "musewatch.hits"
SECONDS = 46  # a clip and a little
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


def hits_of(clip: str, folder: Path, broker: KafkaBroker) -> list[Arrival]:
    """Plays a clip of the demo's hall once; everybody of the demo is enrolled."""
    with RtspServer({"cam": CLIPS / f"{clip}.mp4"}, once=True) as camera:
        source = {"use": "rtsp", "url": camera.url("cam")}
        document = {
            "version": 1,
            "streams": [{"id": clip, "source": source}],
            "detector": {"use": "hog"},
            "embedder": {"use": "colour"},
            "decision": {"cooldown_s": 0},
            "sinks": [{"use": "kafka", "bootstrap": broker.bootstrap, "topic": TOPIC, "partitions": 1}],
            "telemetry": {"listen": None},
        }
        (folder / "c.yaml").write_text(yaml.safe_dump(document), encoding="utf-8")
        for picture in sorted((CLIPS / "enrol").glob("*.jpg")):
            _musewatch(
                folder,
                "watchlist",
                "add",
                "-c",
                "c.yaml",
                "--id",
                picture.stem,
                "--image",
                picture,
                "--whole",
            )
        _musewatch(folder, "hits", "test", "-c", "c.yaml")  # makes the topic
        listener = Listener(broker.bootstrap)
        listener.start()
        _musewatch(folder, "run", "c.yaml", "--duration", SECONDS)
        time.sleep(1)
    return [(at_s, hit) for at_s, hit in listener.stop() if hit.get("state") == "opened"]


def seconds(arrivals: Sequence[Arrival], since: str) -> list[float]:
    """From the stream's moment `since`, on the camera's clock, until the hit was read."""
    found = []
    for at_s, hit in arrivals:
        if hit["clock"] == "camera":
            best_s = datetime.fromisoformat(hit["captured_at"]).timestamp()
            found.append(at_s - (best_s - hit["best"]["pts_s"] + hit[since]))
    return found


def since_visible(clip: str, arrivals: Sequence[Arrival]) -> list[float]:
    """From the first frame in which the labels have an enrolled person, however small, until their hit was read."""
    with (CLIPS / "presence.csv").open(encoding="utf-8") as file:
        starts = {
            row["person_id"]: float(row["start_s"])
            for row in csv.DictReader(file)
            if row["stream_id"] == clip
        }
    with_start = [
        (at_s, hit | {"visible": starts[hit["identity"]["id"]]})
        for at_s, hit in arrivals
        if starts.get(hit["identity"]["id"], 1e9) <= hit["decided_pts_s"]
    ]
    return seconds(with_start, "visible")


def _musewatch(folder: Path, *arguments: object) -> None:
    environment = {**os.environ, "OMP_NUM_THREADS": "1"}
    subprocess.run(
        [MUSEWATCH, *map(str, arguments)], cwd=folder, env=environment, check=True, capture_output=True
    )


def main(clips: Sequence[str]) -> None:
    """One table over all clips."""
    missing = [name for name in ("kafka", "rtsp") if not available(name)]
    if missing:
        print(f"not run: needs {' and '.join(missing)}")
        return
    logging.getLogger("kafka").setLevel(logging.CRITICAL + 1)
    tables: dict[str, list[float]] = {
        "first labelled frame": [],
        "first detected frame": [],
        "frame decided on": [],
    }
    with tempfile.TemporaryDirectory() as name, KafkaBroker(Path(name)) as broker:
        for clip in clips:
            folder = Path(name) / clip
            folder.mkdir()
            arrivals = hits_of(clip, folder, broker)
            arrivals = [(at_s, hit) for at_s, hit in arrivals if hit["stream_id"] == clip]
            tables["first labelled frame"] += since_visible(clip, arrivals)
            tables["first detected frame"] += seconds(arrivals, "first_pts_s")
            tables["frame decided on"] += seconds(arrivals, "decided_pts_s")
    print(
        f"load {os.getloadavg()[0]:.1f}\n{'until the hit is read, from the':34} {'hits':>4} {'p50 s':>6} {'p95 s':>6}"
    )
    for what, found in tables.items():
        if found:
            print(f"{what:34} {len(found):4} {np.percentile(found, 50):6.2f} {np.percentile(found, 95):6.2f}")


if __name__ == "__main__":
    main(sys.argv[1:] or ["hall-1", "hall-2", "hall-3"])
