"""How many tracklets a second one and two members of `musewatch verify` take, by how many are enrolled.

`verifier_distance`, a real broker, 8 partitions, members as processes with one thread for BLAS. A tracklet has three
crops of 128x256 and a scene of 640x360 and is of nobody enrolled, as nearly all are; enrolled are random unit vectors
for `colour`'s engine, one picture each. Measured between commits, from 10 to 90 % of the tracklets: starting is not in
it. Processor time is the members' own. `python -m tests.bench.verify_load [TRACKLETS]`: five minutes.
"""

import logging
import os
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from pathlib import Path

import numpy as np
from kafka import KafkaConsumer, KafkaProducer, TopicPartition
from numpy.typing import NDArray

from pipeline.deliver.events import encode
from pipeline.deliver.tracklets import to_message
from pipeline.messages import EndReason, Scene, TrackKey
from pipeline.watchlist.records import Identity, NewPicture
from pipeline.watchlist.roster import WatchlistStore
from tests.servers.availability import available
from tests.servers.kafka import KafkaBroker
from tests.servers.topology import EMBEDDER, SITE, WHEN, Topology, sighting
from tests.support.enrolment_desk import CODEC
from tests.support.pictures import BLUE, RED, person, scene

PARTITIONS = 8
SIZES = (10, 10_000, 100_000)
PATIENCE_S = 120.0


@dataclass(frozen=True, slots=True)
class Sample:
    """Tracklets that the group had committed, and processor time it had used, at one moment."""

    at_s: float
    committed: int
    processor_s: float


def unit_vectors(count: int, seed: int) -> NDArray[np.float32]:
    """(count, D), so many dimensions that no two are alike."""
    rows = np.random.default_rng(seed).standard_normal((count, EMBEDDER.dimension), np.float32)
    unit: NDArray[np.float32] = rows / np.linalg.norm(rows, axis=1, keepdims=True)
    return unit


def enrol(folder: Path, vectors: NDArray[np.float32]) -> None:
    """Writes a member's watchlist, one identity a vector."""
    picture = CODEC.encode(person(96, RED), 80)
    folder.mkdir(parents=True)
    with WatchlistStore.in_folder(folder) as store:
        store.replace(
            (Identity(f"p{i}", None, None, None, WHEN), [NewPicture(picture, WHEN, EMBEDDER.digest, row)])
            for i, row in enumerate(vectors)
        )


def tracklets(vectors: NDArray[np.float32]) -> list[bytes]:
    """Messages of tracks asked once, at their end; one a vector."""
    once = sighting(BLUE, TrackKey("cam", "e1", 0), end=EndReason.TRACK_ENDED, height=256)
    view = CODEC.encode(scene(person(256, BLUE), person(200, RED), size=(640, 360)), 90)
    made = []
    for i, vector in enumerate(vectors):
        crops = (replace(once.best, embedding=vector),) * 3
        key = TrackKey(f"cam-{i % PARTITIONS}", "e1", i)
        tracklet = replace(once, key=key, crops=crops, embedding=vector, scene=Scene(view, (640, 360)))
        now = datetime.now(UTC)
        event = to_message(tracklet, site=SITE, engine=EMBEDDER.digest, asked_at=now, codec=CODEC)
        made.append(encode(event))
    return made


def measure(topology: Topology, names: Sequence[str], messages: Sequence[bytes]) -> list[Sample]:
    """Lets the members, whose watchlists are there, take the messages: all have joined, and wait, while these come."""
    bus = {**topology.bus_choice, "partitions": PARTITIONS, "session_timeout_s": PATIENCE_S}
    members = []
    try:
        for name in names:
            members.append(topology.start_member(name, bus=bus))
            _until(lambda name=name: "gained" in topology.log(name))  # type: ignore[misc]
        for member in members:
            member.send_signal(signal.SIGSTOP)
        _publish(topology, messages)
        for member in members:
            member.send_signal(signal.SIGCONT)
        return _watch(topology, members, len(messages))
    finally:
        for member in members:
            member.kill()
            member.wait()


def _publish(topology: Topology, messages: Sequence[bytes]) -> None:
    with KafkaProducer(bootstrap_servers=topology.broker.bootstrap, linger_ms=20) as producer:
        for i, body in enumerate(messages):
            number = i % PARTITIONS
            producer.send(f"{topology.name}-topic", body, key=f"cam-{number}".encode(), partition=number)


def _watch(topology: Topology, members: Sequence["subprocess.Popen[bytes]"], count: int) -> list[Sample]:
    """A sample at every commit."""
    samples: list[Sample] = []
    places = [TopicPartition(f"{topology.name}-topic", number) for number in range(PARTITIONS)]
    with KafkaConsumer(
        bootstrap_servers=topology.broker.bootstrap,
        group_id=f"{topology.name}-group",
        enable_auto_commit=False,
    ) as reader:

        def all_committed() -> bool:
            committed = sum(reader.committed(place) or 0 for place in places)
            if not samples or committed != samples[-1].committed:
                used_s = sum(_processor_s(member.pid) for member in members)
                samples.append(Sample(time.monotonic(), committed, used_s))
            return committed >= count

        _until(all_committed)
    return samples[1:]  # the first is of no commit's moment


def _processor_s(pid: int) -> float:
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def _until(done: Callable[[], bool]) -> None:
    until_s = time.monotonic() + PATIENCE_S
    while not done():
        assert time.monotonic() < until_s, "the members take nothing"
        time.sleep(0.02)


def middle(samples: Sequence[Sample]) -> tuple[float, float]:
    """Tracklets a second, and milliseconds of processor each, from 10 to 90 % of them."""
    count = samples[-1].committed
    inside = [s for s in samples if 0.1 * count <= s.committed <= 0.9 * count]
    first, last = inside[0], inside[-1]
    taken = last.committed - first.committed
    return taken / (last.at_s - first.at_s), 1000 * (last.processor_s - first.processor_s) / taken


def main(count: int) -> None:
    """One table."""
    if not available("kafka"):
        print("not run: needs kafka")
        return
    logging.getLogger("kafka").setLevel(logging.CRITICAL + 1)
    os.environ["OMP_NUM_THREADS"] = os.environ["OPENBLAS_NUM_THREADS"] = "1"
    vectors, messages = unit_vectors(max(SIZES), 1), tracklets(unit_vectors(count, 2))
    print(f"{count} tracklets of {len(messages[0]) / 1000:.0f} kB")
    print(f"{'enrolled':>9} {'members':>7} {'tracklets/s':>11} {'ratio':>5} {'processor ms':>12} {'load':>5}")
    with tempfile.TemporaryDirectory() as name, KafkaBroker(Path(name)) as broker:
        for size in SIZES:
            watchlist = Path(name) / f"watchlist-{size}"
            enrol(watchlist, vectors[:size])
            alone = 0.0
            for names in (["one"], ["one", "two"]):
                folder = Path(name) / f"load-{size}-{len(names)}"
                for member in names:
                    shutil.copytree(watchlist, folder / f"{member}-data")
                topology = Topology(broker, folder)
                rate, processor_ms = middle(measure(topology, names, messages))
                topology.close()
                alone = alone or rate
                print(
                    f"{size:9,} {len(names):7} {rate:11.0f} {rate / alone:5.2f} {processor_ms:12.1f} "
                    f"{os.getloadavg()[0]:5.1f}",
                    flush=True,
                )
                shutil.rmtree(folder)


if __name__ == "__main__":
    main(int(sys.argv[1]) if len(sys.argv) > 1 else 2000)
