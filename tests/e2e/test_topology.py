"""Cameras here, the group there: hits as in one process, and what becomes of them when something dies."""

import json
import logging
import signal
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from kafka import KafkaProducer
from prometheus_client import generate_latest

from pipeline.errors import ConfigError
from pipeline.messages import EndReason, TrackKey
from pipeline.runner.runner import Runner
from pipeline.watchlist.roster import WatchlistStore
from plugins.kafka.link import KafkaLink, TopicReader
from tests.pipeline.runner.rig import Rig, clip, play, plug_in
from tests.servers.kafka import KafkaBroker
from tests.servers.topology import EMBEDDER, PATIENCE_S, SITE, Topology, lives, once, sighting, story
from tests.support.pictures import BLUE, GREEN, RED

pytestmark = [
    pytest.mark.kafka,
    # kafka-python leaves the sockets of failed connections to the garbage collector
    pytest.mark.filterwarnings("ignore:unclosed <s:ResourceWarning"),
    pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning"),
]
ENDED = EndReason.TRACK_ENDED


@pytest.fixture
def topology(kafka_broker: KafkaBroker, tmp_path: Path) -> Iterator[Topology]:
    made = Topology(kafka_broker, tmp_path)
    yield made
    made.close()


@pytest.fixture
def rig(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Rig:
    plug_in(monkeypatch)
    return Rig(tmp_path)


def key(track: int, stream: str = "door", epoch: str = "e1") -> TrackKey:
    return TrackKey(stream, epoch, track)


def test_hits_are_those_of_one_process(topology: Topology, rig: Rig) -> None:
    play("door", clip(40, RED, GREEN))
    play("yard", clip(40, BLUE))
    shared = {"site": SITE, "decision": {"cooldown_s": 0}}
    rig.enrol("anna", RED)
    rig.enrol("luca", BLUE)
    alone = Runner(rig.config("door", "yard", **shared)).run()
    assert alone.hits == 2

    topology.enrol("anna", RED)
    topology.enrol("luca", BLUE)
    edge = Runner(rig.config("door", "yard", **shared, bus=topology.bus_choice, data_dir="edge-data")).run()
    assert (edge.hits, edge.outbox, edge.failure) == (0, 0, None)
    with topology.member("gpu"):
        found = topology.wait_for_hits(
            lambda events: [e["data"]["state"] for e in events].count("closed") == 2
        )
    assert sorted(e["id"] for e in found) == sorted(e["id"] for e in rig.events)
    for here, there in zip(sorted(found, key=_id), sorted(rig.events, key=_id), strict=True):
        for name in ("type", "source", "subject", "time", "partitionkey"):
            assert here[name] == there[name]
        for name in ("first_pts_s", "last_pts_s", "decided_pts_s", "captured_at", "engines", "reason"):
            assert here["data"][name] == there["data"][name]
        assert here["data"]["best"]["box"] == there["data"]["best"]["box"]
        theirs = there["data"]["decision"]["distance"]
        assert here["data"]["decision"]["distance"] == pytest.approx(theirs, abs=0.01), "float16, JPEG"


def _id(event: dict[str, Any]) -> str:
    return str(event["id"])


def test_a_member_killed_is_replaced_and_nothing_is_lost_or_doubled(topology: Topology) -> None:
    topology.enrol("anna", RED)
    topology.enrol("luca", BLUE)
    streams = [f"cam-{n}" for n in range(8)]

    def all_say(number: int, track: int, end: EndReason | None = None) -> None:
        topology.send(
            *(sighting(RED if n % 2 else BLUE, key(track, s), number, end) for n, s in enumerate(streams))
        )

    members = [topology.start_member(name) for name in ("one", "two")]
    try:
        all_say(1, track=1)
        topology.wait_for_hits(lambda events: len(lives(events)) == 8)
        until_s = time.monotonic() + PATIENCE_S
        while not all("gained" in topology.log(name) for name in ("one", "two")):
            assert time.monotonic() < until_s
            time.sleep(0.1)
        all_say(1, track=2)
        members[0].kill()  # track 1 is open and reported; track 2 is on its way
        killed_s = time.monotonic()
        all_say(2, track=2)
        all_say(2, track=1, end=ENDED)
        all_say(3, track=2, end=ENDED)
        done = {(stream, track): ["opened", "closed"] for stream in streams for track in (1, 2)}
        found = topology.wait_for_hits(lambda events: lives(events) == done)
        took_s = time.monotonic() - killed_s
        assert took_s < 6 + 10, "the session time, and what a loaded machine needs on top"
        assert {story(e)[2] for e in found} == {"anna", "luca"}
        assert len({e["data"]["hit_id"] for e in found}) == 16
        # The dead one comes back: what it left open is not closed again, by nobody.
        members[0] = topology.start_member("one")
        all_say(1, track=3, end=ENDED)
        done |= {(stream, 3): ["opened", "closed"] for stream in streams}
        topology.wait_for_hits(lambda events: lives(events) == done)
        members[1].send_signal(signal.SIGTERM)
        assert members[1].wait(30) == 0, topology.log("two")
        assert lives(topology.hits()) == done
    finally:
        for member in members:
            member.kill()
            member.wait()


def test_who_takes_over_goes_on_where_the_other_was_seen_to_stop(topology: Topology) -> None:
    """Open hits are closed by the successor, closed ones stay so, and no id is sent twice for what was reported."""
    topology.enrol("anna", RED)
    with topology.member("one"):
        topology.send(sighting(RED, key(1)), sighting(RED, key(2), 2), sighting(RED, key(2), 3, ENDED))
        before = topology.wait_for_hits(lambda events: len(events) == 3)
    assert lives(before) == {("door", 1): ["opened"], ("door", 2): ["opened", "closed"]}
    with topology.member("two"):
        topology.send(sighting(RED, key(1), 4, ENDED))
        after = topology.wait_for_hits(lambda events: len(events) >= 4)
    assert len(after) == len(once(after)) == 4, "nothing was said again"
    assert lives(after)["door", 1] == ["opened", "closed"]
    assert {e["data"]["reason"] for e in after if e["data"]["state"] == "closed"} == {"track_ended"}


def test_poison_and_strangers_cost_nobody_else_anything(
    topology: Topology, caplog: pytest.LogCaptureFixture
) -> None:
    topology.enrol("anna", RED)
    poison = (b"\xff\xfe", b"[1]", b'{"id": "x", "partitionkey": "door"}', None)
    topology.publisher.publish([])
    with KafkaProducer(bootstrap_servers=topology.broker.bootstrap) as producer:
        for body in poison:
            producer.send(f"{topology.name}-topic", body, key=b"door").get(timeout=5)
        producer.send(f"{topology.name}-watchlist", b"not an identity", key=b"ghost").get(timeout=5)
    topology.send(sighting(RED, key(7)), engine="sha256:another")
    topology.send(sighting(RED, key(8)), site="south-hall")
    topology.send(sighting(RED, key(1), end=ENDED), age_s=3600)
    with caplog.at_level(logging.INFO), topology.member("gpu") as member:
        found = topology.wait_for_hits(lambda events: len(events) == 2)
        letters = topology.dead_letters(5)
        counted = {
            reason: member.telemetry.refused.labels(reason)._value.get()
            for reason in ("unreadable", "engine", "site")
        }
        shown = generate_latest(member.telemetry.registry).decode()
    assert lives(found) == {("door", 1): ["opened", "closed"]}
    assert found[0]["data"]["decision"]["degraded"] == ["late"]
    by_topic = {name: [dict(m.headers) for m in letters if _origin(m) == f"{topology.name}-{name}"]
                for name in ("topic", "watchlist")}  # fmt: skip
    assert [len(headers) for headers in by_topic.values()] == [4, 1]
    assert {m.value for m in letters} == {*poison, b"not an identity"}
    assert [int(h["origin-offset"]) for h in by_topic["topic"]] == [0, 1, 2, 3]
    assert all(h["error"] for headers in by_topic.values() for h in headers)
    assert counted == {"unreadable": 4, "engine": 1, "site": 1}
    (refusal,) = [r.getMessage() for r in caplog.records if "sha256:another" in r.getMessage()]
    assert EMBEDDER.digest in refusal, "both digests"
    for metric in ("musewatch_bus_lag 0.0", "musewatch_tracklet_age_seconds"):
        assert metric in shown


def _origin(letter: Any) -> str:
    return str(dict(letter.headers)["origin-topic"].decode())


def test_members_follow_the_watchlist_and_start_with_the_brokers(topology: Topology) -> None:
    topology.enrol("anna", RED)
    with topology.member("gpu"):
        topology.send(sighting(RED, key(1)), sighting(BLUE, key(2)))
        topology.wait_for_hits(lambda events: lives(events).keys() == {("door", 1)})
        topology.enrol("luca", BLUE)  # who is in view is asked about at once
        topology.wait_for_hits(lambda events: lives(events).keys() == {("door", 1), ("door", 2)})
        topology.publisher.watchlist.write([("anna", None)])
        until_s = time.monotonic() + PATIENCE_S
        while topology_ids(topology, "gpu") != ["luca"]:
            assert time.monotonic() < until_s
            time.sleep(0.1)
        topology.send(sighting(RED, key(3), end=ENDED), sighting(BLUE, key(4), end=ENDED))
        found = topology.wait_for_hits(lambda events: ("door", 4) in lives(events))
        assert ("door", 3) not in lives(found)
    topology.publisher.watchlist.write([("luca", None)])
    topology.enrol("anna", RED)
    with topology.member("gpu"):  # luca went while it was away: the snapshot on disk is not believed
        topology.send(sighting(BLUE, key(5), end=ENDED), sighting(RED, key(6), end=ENDED))
        found = topology.wait_for_hits(lambda events: ("door", 6) in lives(events))
        assert ("door", 5) not in lives(found)


def topology_ids(topology: Topology, name: str) -> list[str]:
    """Who is in a member's own store."""
    with WatchlistStore.in_folder(topology.config(name).data_dir) as store:
        return [identity.id for identity in store.identities()]


def test_a_sender_that_died_leaves_nothing_open(topology: Topology) -> None:
    topology.enrol("anna", RED)
    with topology.member("gpu", verify={"forget_s": 2}):
        topology.send(sighting(RED, key(1)), sighting(RED, key(1, "yard")))
        topology.wait_for_hits(lambda events: len(events) == 2)
        topology.send(sighting(GREEN, key(1, "door", epoch="e2")))  # the edge is back
        found = topology.wait_for_hits(lambda events: len(events) == 4)  # the yard's never comes back
    closed = [e["data"] for e in found if e["data"]["state"] == "closed"]
    assert [(d["stream_id"], d["reason"]) for d in closed] == [
        ("door", "interrupted"),
        ("yard", "interrupted"),
    ]


def test_a_broker_that_is_away_costs_a_run_nothing(topology: Topology, rig: Rig) -> None:
    """Down at the start and killed under way: the edge goes on, and everything arrives when it is back."""
    play("door", clip(60, RED, GREEN))
    config = rig.config("door", site=SITE, bus=topology.bus_choice, data_dir="edge", outbox={"drain_s": 0})
    topology.broker.kill()
    try:
        first = Runner(config).run()
        assert first.failure is None
        assert first.outbox > 0
        assert first.streams[0].frames_inferred == 60
    finally:
        topology.broker.start()
    play("door", clip(1))
    again = Runner(
        config.model_copy(update={"outbox": config.outbox.model_copy(update={"drain_s": 30})})
    ).run()
    assert again.outbox == 0
    ids = {json.loads(body)["id"] for body in tracklets(topology)}
    assert len(ids) == first.outbox


def tracklets(topology: Topology) -> list[bytes]:
    """Everything on the topic of tracklets."""
    reader = TopicReader(KafkaLink(bootstrap=topology.broker.bootstrap), f"{topology.name}-topic")
    try:
        return [record.value for record in reader.to_end()]
    finally:
        reader.close()


def test_a_bus_that_stays_inside_has_no_members(topology: Topology) -> None:
    with pytest.raises(ConfigError, match="no group to join"), topology.member("gpu", bus={"use": "memory"}):
        pass
