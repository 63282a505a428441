"""Our stores against the suites of their roles."""

from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from pipeline.registry import build, known
from pipeline.settings import choose
from pipeline.store.archive import Sighting
from pipeline.testing import ListArchive, contracts
from pipeline.watchlist.changes import Add
from pipeline.watchlist.records import Identity, NewPicture
from pipeline.watchlist.roster import Store

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
