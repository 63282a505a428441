"""Our buses against the suites of their kind."""

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from pipeline import registry
from pipeline.protocols import Bus
from pipeline.remote_bus import RemoteBus
from pipeline.settings import choose
from pipeline.testing import ListBus, ListPipe, contracts
from tests.servers.kafka import KafkaBroker


def build(use: str, **settings: Any) -> Any:
    return registry.build("bus", choose(use, **settings), Path(), "bus")


def test_every_bus_is_one_of_two_kinds() -> None:
    made = {"memory": build("memory"), "kafka": build("kafka", bootstrap="127.0.0.1:9")}
    assert made.keys() == registry.known("bus").keys(), "a bus that no test here knows"
    for bus in made.values():
        assert isinstance(bus, Bus if bus.in_process else RemoteBus)


class TestInsideAProcess(contracts.BusContract):
    @pytest.fixture(params=[lambda: build("memory", max_waiting=2), ListPipe], ids=["memory", "fake"])
    def bus(self, request: pytest.FixtureRequest) -> Any:
        return request.param()


@pytest.fixture
def connect(kafka_broker: KafkaBroker, tmp_path: Path) -> Iterator[Callable[[], Any]]:
    """Processes on the same topics and in the same group."""

    def make() -> Any:
        names = {key: f"{tmp_path.name}-{key}" for key in ("topic", "dead_letters", "watchlist", "group")}
        made.append(build("kafka", bootstrap=kafka_broker.bootstrap, partitions=2, **names))
        return made[-1]

    made: list[Any] = []
    yield make
    for bus in made:
        bus.close()


@pytest.mark.kafka
class TestOnKafka(contracts.RemoteBusContract):
    @pytest.fixture
    def new_bus(self, connect: Callable[[], Any]) -> Callable[[], Any]:
        return connect


@pytest.mark.kafka
class TestTableOnKafka(contracts.TableContract):
    @pytest.fixture
    def new_table(self, connect: Callable[[], Any]) -> Callable[[], Any]:
        return lambda: connect().watchlist


class TestFakeRemoteBus(contracts.RemoteBusContract):
    @pytest.fixture
    def new_bus(self) -> Callable[[], Any]:
        bus = ListBus()
        return lambda: bus


class TestFakeTable(contracts.TableContract):
    @pytest.fixture
    def new_table(self) -> Callable[[], Any]:
        bus = ListBus()
        return lambda: bus.watchlist
