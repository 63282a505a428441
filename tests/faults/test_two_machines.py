"""The short form of every fault between two machines: `run`, two members of `verify`, and Kafka between them."""

from collections.abc import Iterator
from typing import Any

import pytest

from tests.faults.campaign import Play
from tests.faults.faults import Fault, every_fault
from tests.faults.ledger import Findings, left_open
from tests.faults.two_machines import TwoMachines

pytestmark = [pytest.mark.kafka, pytest.mark.rtsp, pytest.mark.slow]


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory, kafka_broker: Any) -> Iterator[TwoMachines]:
    with TwoMachines(tmp_path_factory.mktemp("site"), kafka_broker, brisk=True) as site:
        yield site


@pytest.fixture(scope="module")
def play(site: TwoMachines) -> Play:
    return Play(site)


@pytest.mark.parametrize(
    "fault",
    [pytest.param(fault, id=name) for name, fault in every_fault().items() if fault.kind == "member"],
)
def test_nothing_is_lost_and_nothing_doubled(play: Play, fault: Fault) -> None:
    outcome = play.inject(fault, seed=fault.name, short=True)
    assert (outcome.lost, outcome.doubled, outcome.disordered) == (0, 0, 0)


def test_in_the_end_nothing_is_lost_or_doubled_and_no_hit_is_left_open(play: Play, site: TwoMachines) -> None:
    assert site.stop() == 0
    site.wait(lambda: not left_open(site.topic.read()), "all hits are closed")
    assert [member.stop() for member in site.members] == [0, 0]
    assert site.delivered()
    assert site.audit() == Findings((), (), ())
    assert len(site.topic.messages) > 50
