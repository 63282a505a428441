"""A site in two halves: `run` at the cameras, two members of `verify` behind Kafka."""

import os
import random
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

from tests.faults.ledger import Findings, Ledger, Topic, audit
from tests.faults.program import Program
from tests.faults.site import PEOPLE, Site
from tests.servers.kafka import KafkaBroker
from tests.support.enrolment_desk import CODEC
from tests.support.pictures import person
from tests.support.walks import HEIGHT_PX

SESSION_S = 6  # after which the broker gives a dead member's streams to another


class TwoMachines(Site):
    """As a site, and its hits are made by two members of a group.

    Attributes:
        members: The two.
        names: Of the topics and the group.
    """

    def __init__(
        self,
        folder: Path,
        broker: KafkaBroker | None = None,
        data_dir: Path | None = None,
        *,
        brisk: bool = False,
    ) -> None:
        super().__init__(folder, broker, data_dir, brisk=brisk)
        mark = os.urandom(4).hex()
        self.names = {
            name: f"faults.{name}.{mark}" for name in ("topic", "dead_letters", "watchlist", "group")
        }
        self.members = [Program(folder, "verify", f"member-{number}.yaml") for number in (1, 2)]

    def start(self, **variables: str) -> None:
        """Starts `run`, and the members that are not there."""
        super().start(**variables)
        for member in self.members:
            if not member.alive:
                member.start()

    def __exit__(self, *error: object) -> None:
        for member in self.members:
            member.kill()
        super().__exit__(*error)

    def programs(self) -> Sequence[Program]:
        return [self, *self.members]

    def one_of(self, rng: random.Random) -> Program:
        """A member by chance."""
        return rng.choice(self.members)

    def delivered(self) -> bool:
        """Both topics have all that any outbox has held."""
        asked = {entry.id for entry in self._ledger.entries()}
        hits = {entry.id for ledger in self._ledgers for entry in ledger.entries()}
        there = {entry.id for entry in self.topic.read()}
        return hits <= there and asked <= {entry.id for entry in self.tracklets.read()}

    def audit(self) -> Findings:
        asked = self._ledger.entries()
        taken = [ledger.entries() for ledger in self._ledgers]
        found, sent = audit(taken, self.topic.read()), {entry.id for entry in self.tracklets.read()}
        lost = tuple(entry.id for entry in asked if entry.id not in sent)
        return Findings(found.lost + lost, found.doubled, found.disordered)

    def taken(self) -> int:
        return sum(len(ledger.entries()) for ledger in self._ledgers)

    def _bus(self) -> dict[str, Any]:
        settings = {
            "use": "kafka",
            **self._kafka(),
            "session_timeout_s": SESSION_S,
            "partitions": 4,
        }
        return {"bus": settings | self.names}

    def _outgoing(self) -> dict[str, Any]:
        return self._bus()

    def _prepare(self) -> None:
        self._ledger = Ledger(self.data_dir / "outbox.db", ["bus"])
        self._ledgers = []
        for member in self.members:
            data_dir = self.data_dir / member.listen.replace(":", "-")
            document = {"data_dir": str(data_dir), "telemetry": {"listen": member.listen}}
            self.configure(member.config, document | super()._outgoing() | self._bus())
            self._ledgers.append(Ledger(data_dir / "outbox.db", ["kafka"]))
        self.tracklets = Topic(self.broker.bootstrap, self.names["topic"])
        self.dead_letters = Topic(self.broker.bootstrap, self.names["dead_letters"])
        with ThreadPoolExecutor() as desks:
            list(desks.map(self._enrol, PEOPLE.items()))

    def _enrol(self, person_of_shirt: tuple[str, tuple[int, int, int]]) -> None:
        name, shirt = person_of_shirt
        picture = self.folder / f"{name}.jpg"
        picture.write_bytes(CODEC.encode(person(HEIGHT_PX, shirt), 95))
        enrolled = ("--id", name, "--image", str(picture), "--whole")
        self.command("watchlist", "add", "-c", self.members[0].config, *enrolled)
