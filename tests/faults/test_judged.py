"""The short form of every fault of a verifier."""

from collections.abc import Iterator
from typing import Any

import pytest

from tests.faults.campaign import Play
from tests.faults.faults import Fault, every_fault
from tests.faults.judged_site import JudgedSite
from tests.faults.ledger import Findings, left_open

pytestmark = [pytest.mark.kafka, pytest.mark.rtsp, pytest.mark.slow]


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory, kafka_broker: Any) -> Iterator[JudgedSite]:
    with JudgedSite(tmp_path_factory.mktemp("site"), kafka_broker, brisk=True) as site:
        yield site


@pytest.fixture(scope="module")
def play(site: JudgedSite) -> Play:
    return Play(site)


@pytest.mark.parametrize(
    "fault",
    [pytest.param(fault, id=name) for name, fault in every_fault().items() if fault.kind == "verifier"],
)
def test_nothing_is_lost_and_what_was_not_judged_says_so(play: Play, fault: Fault) -> None:
    outcome = play.inject(fault, seed=fault.name, short=True)
    assert (outcome.lost, outcome.doubled, outcome.disordered) == (0, 0, 0)
    assert outcome.spared_fps is not None
    assert outcome.spared_fps > 5, "frames waited for the verifier"


def test_in_the_end_nothing_is_lost_or_doubled_and_no_hit_is_left_open(play: Play, site: JudgedSite) -> None:
    assert site.stop() == 0
    assert site.audit() == Findings((), (), ())
    assert not site.opened()
    assert not left_open(site.topic.read())
