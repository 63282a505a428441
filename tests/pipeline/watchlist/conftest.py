"""The watchlist of `tests.pipeline.watchlist.office`, open."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from pipeline.watchlist.roster import WatchlistStore
from tests.pipeline.watchlist.office import NOW, anna, picture
from tests.support.pictures import BLUE


@pytest.fixture
def office(tmp_path: Path) -> Iterator[WatchlistStore]:
    with WatchlistStore.in_folder(tmp_path / "office") as store:
        store.add(anna(until=NOW), [picture(), picture(BLUE)])
        yield store
