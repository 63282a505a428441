"""What happens to the verifier: hits come all the same, by the plain distance, and say so."""

import time

from tests.faults.faults import Dice, fault
from tests.faults.judged_site import JudgedSite
from tests.faults.site import Site

RUBBISH = ("other_tokens", "nan", "nothing", "no_json", "a_list", "cut", "refused")


def _suffer(site: Site, dice: Dice, how: str) -> None:
    """Until hits are marked, and a while longer; then until they are judged again."""
    assert isinstance(site, JudgedSite)
    marked = site.marked()
    with site.answering(how):
        site.wait(lambda: site.marked() > marked, "marked hits")
        time.sleep(dice.seconds(0, 4))
    judged = site.judged()
    site.wait(lambda: site.judged() > judged, "hits are judged again")


@fault("verifier")
def verifier_killed(site: Site, dice: Dice) -> None:
    """Its server breaks off whatever is asked."""
    _suffer(site, dice, "gone")


@fault("verifier")
def verifier_hung(site: Site, dice: Dice) -> None:
    _suffer(site, dice, "slow")


@fault("verifier")
def verifier_out_of_memory(site: Site, dice: Dice) -> None:
    _suffer(site, dice, "out_of_memory")


@fault("verifier")
def verifier_answers_rubbish(site: Site, dice: Dice) -> None:
    _suffer(site, dice, dice.rng.choice(RUBBISH))
