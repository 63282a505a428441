"""The short form of every fault: once, as brief as it can be; `make faults` is the long form."""

import json
import os
from collections.abc import Iterator
from typing import Any

import pytest

from tests.faults.campaign import Play, small_disk
from tests.faults.faults import Fault, every_fault
from tests.faults.ledger import Findings, left_open
from tests.faults.site import Site
from tests.servers.availability import need

pytestmark = [pytest.mark.kafka, pytest.mark.rtsp, pytest.mark.slow]


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory, kafka_broker: Any) -> Iterator[Site]:
    folder = tmp_path_factory.mktemp("site")
    with (
        small_disk(folder / "disk", os.geteuid() == 0) as disk,
        Site(folder, kafka_broker, disk, brisk=True) as site,
    ):
        yield site


@pytest.fixture(scope="module")
def play(site: Site) -> Play:
    return Play(site)


def _cases() -> list[Any]:
    return [
        pytest.param(fault, marks=[pytest.mark.root] if "root" in fault.needs else [], id=name)
        for name, fault in every_fault().items()
        if fault.kind not in ("member", "verifier")
    ]


@pytest.mark.parametrize("fault", _cases())
def test_nothing_is_lost_and_nothing_doubled(play: Play, fault: Fault) -> None:
    for program in fault.needs:
        if program == "root":
            if os.geteuid() != 0:
                pytest.skip("needs root: it changes the machine")
        else:
            need(program)
    outcome = play.inject(fault, seed=fault.name, short=True)
    assert (outcome.lost, outcome.doubled, outcome.disordered) == (0, 0, 0)
    assert outcome.recover_s < 45, outcome
    if fault.kind == "rtsp":
        assert outcome.spared_fps is not None
        assert outcome.spared_fps > 5, "the other stream suffered"


def test_in_the_end_nothing_is_lost_or_doubled_and_no_hit_is_left_open(play: Play, site: Site) -> None:
    assert site.stop() == 0
    assert site.audit() == Findings((), (), ())
    assert not site.opened()
    assert not left_open(site.topic.read())
    assert len(site.topic.messages) > 50


def test_hits_that_a_killed_run_left_open_were_closed_as_interrupted(site: Site) -> None:
    events = [json.loads(entry.body)["data"] for entry in site.topic.read()]
    interrupted = [event for event in events if event["reason"] == "interrupted"]
    assert interrupted
    assert {event["state"] for event in interrupted} == {"closed"}
