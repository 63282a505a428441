"""What happens to the members of a group, and to the topics between two machines."""

import time

from tests.faults.faults import Dice, fault
from tests.faults.machine_faults import put
from tests.faults.site import Site
from tests.faults.two_machines import TwoMachines


def _two(site: Site) -> TwoMachines:
    assert isinstance(site, TwoMachines)
    return site


@fault("member")
def member_killed(site: Site, dice: Dice) -> None:
    """Until it is back the other one has all streams."""
    site.wait(site.new_hits(), "hits")
    time.sleep(dice.rng.uniform(0, 1.5))
    member = _two(site).one_of(dice.rng)
    member.kill()
    time.sleep(dice.seconds(0, 12))
    member.start()


@fault("member")
def member_stopped(site: Site, dice: Dice) -> None:
    member = _two(site).one_of(dice.rng)
    assert member.stop() == 0
    site.wait(site.new_hits(), "the other member makes hits")
    time.sleep(dice.seconds(0, 4))
    member.start()


@fault("member")
def both_members_killed(site: Site, dice: Dice) -> None:
    site.wait(site.new_hits(), "hits")
    for member in _two(site).members:
        member.kill()
    time.sleep(dice.seconds(1, 6))
    for member in _two(site).members:
        member.start()


@fault("member")
def edge_killed(site: Site, dice: Dice) -> None:
    site.wait(site.new_hits(), "hits")
    time.sleep(dice.rng.uniform(0, 1.5))
    site.kill()
    site.start()


@fault("member")
def broker_killed_between_two_machines(site: Site, dice: Dice) -> None:
    site.broker.kill()
    time.sleep(dice.seconds(2, 8))
    site.broker.start()


@fault("member")
def poison_on_the_tracklets_topic(site: Site, dice: Dice) -> None:
    values = [b"\xff\xfe not json", b"[1, 2]", b"", dice.rng.randbytes(5_000), b'{"id": 7}']
    put(site, _two(site).names["topic"], values)
    site.wait(lambda: _two(site).dead_letters.read() is not None and _two(site).dead_letters.unreadable >= len(values),
              "dead letters")  # fmt: skip


@fault("member")
def poison_on_the_watchlist_topic(site: Site, dice: Dice) -> None:
    put(site, _two(site).names["watchlist"], [b"\xff not json", b"{}", dice.rng.randbytes(100)])
    time.sleep(dice.seconds(1, 3))
