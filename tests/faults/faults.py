"""What can happen to a site: every fault by name, and what it needs to be played."""

import os
import random
from collections.abc import Callable
from dataclasses import dataclass

from tests.faults.site import Site
from tests.servers.availability import available


@dataclass(frozen=True, slots=True)
class Dice:
    """What chance decides in one injection.

    Attributes:
        rng: Seeded.
        short: Take the shortest time of every range.
    """

    rng: random.Random
    short: bool = False

    def seconds(self, low_s: float, high_s: float) -> float:
        """A time within the range."""
        return low_s if self.short else self.rng.uniform(low_s, high_s)


Inject = Callable[[Site, Dice], None]
"""Hurts a site that is well; returns as soon as the cause is over."""


@dataclass(frozen=True, slots=True)
class Fault:
    """One kind of fault.

    Attributes:
        name: In the table.
        inject: Plays it.
        kind: What it happens to; `member` needs two machines, `verifier` a site that has one.
        needs: Programs beside Kafka and the cameras; `root` is one of them.
    """

    name: str
    inject: Inject
    kind: str
    needs: tuple[str, ...] = ()

    @property
    def playable(self) -> bool:
        """Whether this machine can play it."""
        return all(os.geteuid() == 0 if need == "root" else available(need) for need in self.needs)


FAULTS: dict[str, Fault] = {}


def fault(kind: str, *needs: str) -> Callable[[Inject], Inject]:
    """Makes a function known as the fault of its name."""

    def keep(inject: Inject) -> Inject:
        name = inject.__name__.replace("_", " ")
        FAULTS[name] = Fault(name, inject, kind, needs)
        return inject

    return keep


def every_fault() -> dict[str, Fault]:
    """All faults, in a fixed order."""
    import tests.faults.camera_faults
    import tests.faults.machine_faults
    import tests.faults.member_faults
    import tests.faults.verifier_faults  # noqa: F401

    return FAULTS
