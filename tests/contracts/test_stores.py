"""Our stores against the suites of their roles."""

from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from pipeline.deliver.outbox import Outbox
from pipeline.registry import build, known
from pipeline.settings import choose
from pipeline.store.archive import Sighting
from pipeline.testing import ListArchive, contracts
from pipeline.watchlist.changes import Add
from pipeline.watchlist.records import Identity, NewPicture
from pipeline.watchlist.roster import Store
from tests.tools.byte_search import traces

NOW = datetime(2026, 11, 30, tzinfo=UTC)


@pytest.fixture(params=known("store"))
def empty(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Any]:
    store = build("store", choose(request.param), tmp_path, "store")
    assert isinstance(store, Store)
    made = store.roster(tmp_path)
    yield made
    made.close()


class TestRosters(contracts.RosterContract):
    @pytest.fixture
    def roster(self, empty: Any) -> Any:
        return empty


class TestRosterHolds(contracts.HolderContract):
    @pytest.fixture
    def holder(self, empty: Any) -> Any:
        for name in ("anna", "ben"):
            who = Identity(name, None, None, None, NOW)
            empty.apply([Add(who, [NewPicture(name.encode(), NOW)])])
        return empty


class TestListArchive(contracts.ArchiveContract):
    @pytest.fixture
    def archive(self) -> ListArchive:
        return ListArchive()


class TestListArchiveHolds(contracts.HolderContract):
    @pytest.fixture
    def holder(self) -> ListArchive:
        archive, vector = ListArchive(), np.array([1, 0], np.float32)
        for n, name in enumerate(("anna", "ben")):
            archive.add(
                [
                    Sighting(
                        str(n), "door", "e", n, NOW, 0.0, (0, 0, 1, 1), "e", vector, b"", frozenset({name})
                    )
                ]
            )
        return archive


class TestOutboxHolds(contracts.HolderContract):
    @pytest.fixture
    def holder(self, tmp_path: Path) -> Iterator[Outbox]:
        outbox = Outbox(tmp_path / "outbox.db", ("a", "b"))
        for number, name in enumerate(("anna", "ben", "anna")):
            data = {"hit_id": f"h{number}", "state": "opened"}
            outbox.append([{"id": f"h{number}-1", "subject": name, "data": data}])
        yield outbox
        outbox.close()

    def test_nothing_of_it_is_left_on_the_disk_and_others_are_delivered(
        self, holder: Outbox, tmp_path: Path
    ) -> None:
        assert holder.traces("anna") == [
            f"outbox.db: {what}" for what in ("event h0-1", "event h2-1", "open hit h0", "open hit h2")
        ]
        holder.forget("anna")
        assert traces(tmp_path, {"anna": b"anna"}) == {"anna": []}
        assert [waiting.event["id"] for waiting in holder.take("a", 9)] == ["h1-1"]
