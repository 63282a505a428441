"""One watchlist with one person of two pictures, for the tests of what carries watchlists about."""

from datetime import UTC, datetime

import numpy as np

from pipeline.watchlist.records import Identity, NewPicture
from pipeline.watchlist.roster import WatchlistStore
from tests.support.enrolment_desk import CODEC
from tests.support.pictures import RED, person

NOW = datetime(2026, 11, 21, 7, 0, 0, 120_003, tzinfo=UTC)
VECTOR = np.array([0.6, 0.8], np.float32)


def picture(shirt: tuple[int, int, int] = RED, height: int = 80) -> NewPicture:
    return NewPicture(CODEC.encode(person(height, shirt), 95), NOW, "sha256:e", VECTOR)


def anna(**changes: object) -> Identity:
    return Identity("anna", changes.get("name", "Åsa"), "test", changes.get("until"), NOW)  # type: ignore[arg-type]


def people(store: WatchlistStore) -> dict[str, list[str]]:
    return {i.id: [e.sha256 for e in store.enrolments(i.id)] for i in store.identities()}
