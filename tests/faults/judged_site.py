"""A site whose hits a language model behind a server judges."""

import json
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from typing import Any

import yaml

from pipeline.watchlist.records import Identity, NewPicture
from pipeline.watchlist.roster import WatchlistStore
from tests.faults.site import Site
from tests.plugins.test_verifier_openai import MANIFEST
from tests.servers.openai import Stub, serving
from tests.support.enrolment_desk import CODEC
from tests.support.pictures import person
from tests.support.walks import HEIGHT_PX

GUEST, GREEN = "guest", (60, 160, 60)


class JudgedSite(Site):
    """As a site, and a verifier is asked about everybody who may be known.

    Attributes:
        judge: The server; as a fault has it, or answering well.
    """

    judge: Stub

    def __enter__(self) -> "JudgedSite":
        self.judge = Stub()
        self._owned.enter_context(serving(self.judge))
        super().__enter__()
        (self.folder / "verifier.yaml").write_text(yaml.safe_dump(MANIFEST | {"alpha": 0.1}))
        self._guest_comes()
        return self

    @contextmanager
    def answering(self, how: str) -> Iterator[None]:
        """The judge answers like this; before, somebody leaves, so that no earlier answer is remembered."""
        with WatchlistStore.in_folder(self.data_dir) as store:
            store.remove(GUEST)
        self.judge.how = how
        yield
        self.judge.how = "well"
        self._guest_comes()

    def marked(self) -> int:
        """Events so far of hits that say that they were decided without the verifier."""
        return sum("verifier" in decision["degraded"] for decision in self._decisions())

    def judged(self) -> int:
        """Events so far of hits that the verifier had a say in."""
        return sum(decision["p_no"] is not None for decision in self._decisions())

    def _decisions(self) -> list[dict[str, Any]]:
        return [json.loads(entry.body)["data"]["decision"] for entry in self._ledger.entries()]

    def _guest_comes(self) -> None:
        now = datetime.now(UTC)
        with WatchlistStore.in_folder(self.data_dir) as store:
            picture = NewPicture(CODEC.encode(person(HEIGHT_PX, GREEN), 95), now)
            store.add(Identity(GUEST, None, None, None, now), [picture])

    def _outgoing(self) -> dict[str, Any]:
        verifier = {
            "use": "openai", "url": self.judge.url, "model": "m", "engine": "verifier.yaml", "timeout_s": 0.5,
            "tries": 1, "failures": 2, "pause_s": 0.5,
        }  # fmt: skip
        return super()._outgoing() | {
            "verifier": verifier,
            "decision": {"cooldown_s": 0, "max_distance": 0.5},
        }
