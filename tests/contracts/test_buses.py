"""What every bus promises, inside a process and between processes."""

import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from pipeline import registry
from pipeline.messages import TrackKey
from pipeline.protocols import Bus
from pipeline.remote_bus import RemoteBus
from pipeline.settings import choose
from pipeline.testing import tracklet
from tests.servers.kafka import KafkaBroker


def build(use: str, **settings: Any) -> Any:
    return registry.build("bus", choose(use, **settings), Path(), "bus")


def test_every_bus_is_one_of_two_kinds() -> None:
    made = {"memory": build("memory"), "kafka": build("kafka", bootstrap="127.0.0.1:9")}
    assert made.keys() == registry.known("bus").keys(), "a bus that no test here knows"
    for bus in made.values():
        assert isinstance(bus, Bus if bus.in_process else RemoteBus)


def test_inside_a_process_the_other_side_is_waited_for() -> None:
    bus = build("memory", max_waiting=2)
    sent = [tracklet(TrackKey("door", "e1", n)) for n in range(50)]
    sender = threading.Thread(target=bus.publish, args=(sent,))
    sender.start()
    received: list[Any] = []
    while len(received) < 50:
        fresh = bus.receive(10, 5.0)
        assert 0 < len(fresh) <= 10
        received += fresh
    sender.join()
    assert received == sent
    assert bus.receive(10, 0.0) == []


@pytest.fixture
def remote(kafka_broker: KafkaBroker, tmp_path: Path) -> Iterator[Any]:
    def make() -> Any:
        names = {key: f"{tmp_path.name}-{key}" for key in ("topic", "dead_letters", "watchlist", "group")}
        made.append(build("kafka", bootstrap=kafka_broker.bootstrap, partitions=2, **names))
        return made[-1]

    made: list[Any] = []
    yield make
    for bus in made:
        bus.close()


def event(n: int) -> dict[str, Any]:
    return {"id": f"t{n}", "partitionkey": f"cam-{n % 3}", "data": {"n": n}}


def receive(bus: Any, count: int) -> list[Any]:
    messages: list[Any] = []
    for _ in range(100):
        messages += bus.receive(10, 0.3).messages
        if len(messages) >= count:
            return messages
    raise AssertionError(messages)


@pytest.mark.kafka
def test_between_processes_nothing_is_passed_on_before_it_is_committed(remote: Any) -> None:
    remote().publish([event(n) for n in range(12)])
    first = remote()
    before = receive(first, 12)
    first.close()
    second = remote()
    after = receive(second, 12)
    assert sorted(m.value for m in after) == sorted(m.value for m in before), "all of it again"
    second.commit({m.partition: m.offset + 1 for m in after})
    second.close()
    remote().publish([event(12)])
    (only,) = receive(remote(), 1)
    assert b'"n":12' in only.value
