"""Processes, the broker, the disk, the clock, and what strangers put onto our topic."""

import shutil
import time
import warnings
from contextlib import suppress
from pathlib import Path

from kafka import KafkaProducer

from tests.faults.faults import Dice, fault
from tests.faults.site import HURT, SPARED, Site
from tests.servers.availability import faketime

LONG_S = 600.0


@fault("process")
def run_killed(site: Site, dice: Dice) -> None:
    site.wait(site.new_hits(), "hits")
    time.sleep(dice.rng.uniform(0, 1.5))
    site.kill()
    site.start()


@fault("process")
def run_killed_while_starting(site: Site, dice: Dice) -> None:
    site.kill()
    site.start()
    time.sleep(dice.seconds(1, 8))
    site.kill()
    site.start()


@fault("broker")
def broker_killed(site: Site, dice: Dice) -> None:
    site.wait(site.new_hits(), "hits")
    time.sleep(dice.rng.uniform(0, 1.5))
    site.broker.kill()
    time.sleep(dice.seconds(2, 8))
    site.broker.start()


@fault("broker")
def broker_stopped(site: Site, dice: Dice) -> None:
    site.broker.stop()
    time.sleep(dice.seconds(1, 8))
    site.broker.start()


@fault("broker")
def broker_frozen(site: Site, dice: Dice) -> None:
    site.broker.freeze()
    try:
        time.sleep(dice.seconds(3, 15))
    finally:
        site.broker.thaw()


@fault("broker")
def broker_down_at_start(site: Site, dice: Dice) -> None:
    site.stop()
    site.broker.kill()
    site.start()
    site.wait(lambda: site.frames(SPARED) > 0, "streams in spite of no broker")
    site.wait(site.new_hits(), "hits in spite of no broker")
    time.sleep(dice.seconds(0, 10))
    site.broker.start()


@fault("broker")
def run_and_broker_killed(site: Site, dice: Dice) -> None:
    site.broker.kill()
    site.wait(site.new_hits(), "hits that wait")
    time.sleep(dice.seconds(0, 3))
    site.kill()
    site.start()
    site.broker.start()


def broker_down_for_long(site: Site, dice: Dice) -> None:
    """Ten minutes; `python -m tests.faults --long` plays it first."""
    site.broker.kill()
    del dice
    time.sleep(LONG_S)
    site.broker.start()


@fault("disk", "root")
def disk_full(site: Site, dice: Dice) -> None:
    filler = site.data_dir / "filler"

    def told() -> bool:
        _fill(filler)  # what deleted evidence makes room for is taken too
        return site.metric("musewatch_storage_failing") == 1

    site.wait(told, "the metric tells", 60)
    assert site.problems(), "/readyz says nothing of the full disk"
    time.sleep(dice.seconds(1, 5))
    site.wait(site.flows_in_trouble(HURT, SPARED), "streams go on")
    filler.unlink()


@fault("disk", "root")
def disk_full_and_run_killed(site: Site, dice: Dice) -> None:
    filler = site.data_dir / "filler"
    _fill(filler)
    time.sleep(dice.seconds(2, 4))
    site.kill()
    filler.unlink()
    site.start()


@fault("topic")
def poison_on_the_hits_topic(site: Site, dice: Dice) -> None:
    values = [b"\xff\xfe not json", b"[1, 2]", b'"text"', b"", dice.rng.randbytes(5_000), b'{"id": 7}']
    dice.rng.shuffle(values)
    put(site, site.topic_name, values)
    topic = ("--bootstrap", site.broker.bootstrap, "--topic", site.topic_name)
    wanted = len(site.topic.read())
    tail = site.command(
        "hits", "tail", *topic, "--from-start", "--max", str(wanted), "--timeout", "10", "--json"
    )
    assert len(tail.splitlines()) == wanted, "hits tail stumbled over poison"


@fault("clock", "faketime")
def clock_jumps(site: Site, dice: Dice) -> None:
    """An hour or so ahead, then behind, while the program runs."""
    site.stop()
    offset = site.folder / "offset"
    offset.write_text("+0s", encoding="utf-8")
    site.start(
        LD_PRELOAD=str(faketime()), FAKETIME_TIMESTAMP_FILE=str(offset), FAKETIME_NO_CACHE="1",
        FAKETIME_DONT_FAKE_MONOTONIC="1", DONT_FAKE_MONOTONIC="1",
    )  # fmt: skip
    jumps = [dice.rng.randrange(600, 86_400), -dice.rng.randrange(600, 86_400)]
    for seconds in jumps if dice.short else [0, *jumps, 0]:
        offset.write_text(f"{seconds:+d}s", encoding="utf-8")
        site.wait(site.flows(HURT, SPARED), "frames on a clock that jumped")
        site.wait(site.new_hits(), "hits on a clock that jumped")
        time.sleep(dice.seconds(0, 2))
    site.stop()
    site.start()


def put(site: Site, topic: str, values: list[bytes], key: bytes = b"stranger") -> None:
    """Publishes what nobody of ours would."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ResourceWarning)
        producer = KafkaProducer(bootstrap_servers=site.broker.bootstrap)
        for value in values:
            producer.send(topic, value, key=key).get(timeout=20)
        producer.close()


def _fill(path: Path) -> None:
    """Leaves no byte on a file's disk."""
    with suppress(OSError), path.open("ab", buffering=0) as file:
        while True:
            file.write(bytes(min(shutil.disk_usage(path.parent).free, 1 << 20) or 4096))
