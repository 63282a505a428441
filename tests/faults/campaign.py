"""Plays faults on a site one after another, waits until it is well again, and holds it to the contract."""

import logging
import random
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, replace
from pathlib import Path
from subprocess import run

from tests.faults.faults import Dice, Fault
from tests.faults.ledger import Findings
from tests.faults.site import HURT, SPARED, Site

DISK_MB = 64
SETTLE_S = 60.0


@dataclass(frozen=True, slots=True)
class Outcome:
    """What one injection came to.

    Attributes:
        fault: Its name.
        seed: Of its dice.
        recover_s: From the end of the cause until frames flow, nothing is wrong, and all that the outbox had
            taken is on the topic.
        spared_fps: Frame rate of the other stream from the fault to the recovery; None when the program itself died.
        seen: What /readyz said first; empty = it stayed ready.
        said: The first warning or error in the log.
        lost: New since the last injection.
        doubled: As `lost`.
        disordered: As `lost`.
    """

    fault: str
    seed: str
    recover_s: float
    spared_fps: float | None
    seen: str
    said: str
    lost: int
    doubled: int
    disordered: int


class Play:
    """One site, any number of injections.

    Args:
        site: Entered; the program is started here.
    """

    def __init__(self, site: Site) -> None:
        self._site = site
        self._known = Findings((), (), ())
        logging.getLogger("kafka").setLevel(logging.CRITICAL + 1)
        site.start()
        self._well()
        site.wait(site.new_hits(), "hits come")

    def inject(self, fault: Fault, seed: str, *, short: bool = False) -> Outcome:
        """Plays a fault on a site that is well.

        In short form hits made since are left to the next injection, or to an audit at the end: what the outbox had
        taken before is on the topic all the same, for the recovery waits for it.

        Raises:
            TimeoutError: The site does not get well again.
        """
        site, dice = self._site, Dice(random.Random(seed), short)
        self._well()
        log_before, pid, frames = len(site.log()), site.pid, site.frames(SPARED)
        start_s = time.monotonic()
        with _watching(site) as seen:
            fault.inject(site, dice)
        over_s = time.monotonic()
        self._recover()
        end_s = time.monotonic()
        fps = (site.frames(SPARED) - frames) / (end_s - start_s) if site.pid == pid else None
        said = [line for line in site.log()[log_before:] if " warning " in line or " error " in line]
        if not short:
            self._wait_for_new_hits()
        lost, doubled, disordered = self._new_findings(lost_too=not short)
        return Outcome(
            fault.name, seed, round(end_s - over_s, 2), fps and round(fps, 1), next(iter(seen), ""),
            said[0].partition(" ")[2] if said else "", lost, doubled, disordered,
        )  # fmt: skip

    def _well(self) -> None:
        self._site.wait(self._site.flows(HURT, SPARED), "the site is well")

    def _recover(self) -> None:
        flows = self._site.flows(HURT, SPARED)
        self._site.wait(flows, "frames flow and nothing is wrong")
        self._site.wait_for_delivery(SETTLE_S)

    def _wait_for_new_hits(self) -> None:
        """Until some have gone all the way."""
        site = self._site
        site.wait(site.new_hits(), "hits come again")
        with suppress(TimeoutError):  # what is not delivered by then, the audit counts as lost
            site.wait_for_delivery(SETTLE_S)

    def _new_findings(self, *, lost_too: bool) -> tuple[int, int, int]:
        """Counts of what is wrong beyond what was known."""
        found, known = self._site.audit(), self._known
        if not lost_too:  # on its way, perhaps
            found = replace(found, lost=known.lost)
        self._known = found
        pairs = (
            (found.lost, known.lost),
            (found.doubled, known.doubled),
            (found.disordered, known.disordered),
        )
        lost, doubled, disordered = (len(set(now) - set(before)) for now, before in pairs)
        return lost, doubled, disordered


@contextmanager
def _watching(site: Site) -> Iterator[list[str]]:
    """Notes what /readyz complains of meanwhile."""
    seen: list[str] = []
    over = threading.Event()

    def watch() -> None:
        while not over.wait(0.2):
            seen.extend(problem for problem in site.troubles() if problem not in seen)

    thread = threading.Thread(target=watch, daemon=True)
    thread.start()
    try:
        yield seen
    finally:
        over.set()
        thread.join()


@contextmanager
def small_disk(folder: Path, root: bool) -> Iterator[Path]:
    """A disk of its own for a program's data where one may mount it, else a folder."""
    folder.mkdir()
    if not root:
        yield folder
        return
    run(["mount", "-t", "tmpfs", "-o", f"size={DISK_MB}m", "tmpfs", str(folder)], check=True)
    try:
        yield folder
    finally:
        run(["umount", "-l", str(folder)], check=True)
