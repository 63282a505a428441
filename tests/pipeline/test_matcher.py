"""The shortlist against the obvious definition."""

import numpy as np
import pytest

from pipeline.matcher import Matcher
from pipeline.testing import tracklet
from pipeline.watchlist.snapshot import WatchlistSnapshot
from plugins.index_exact import ExactIndex


def snapshot(identity_ids: list[str], vectors: np.ndarray) -> WatchlistSnapshot:
    return WatchlistSnapshot(
        version=1,
        identities={},
        enrolment_ids=np.arange(10, 10 + len(identity_ids)),
        identity_ids=tuple(identity_ids),
        vectors=vectors.astype(np.float16),
        engine_digest="sha256:x",
        next_change=None,
        _store=None,  # type: ignore[arg-type]
    )


@pytest.mark.parametrize("seed", range(5))
@pytest.mark.parametrize("top_c", [1, 3, 40])
def test_the_nearest_enrolment_of_each_of_the_nearest_identities(seed: int, top_c: int) -> None:
    rng = np.random.default_rng(seed)
    names = [f"p{i}" for i in rng.integers(0, 8, 30)]
    vectors = rng.normal(size=(30, 6))
    vectors /= np.linalg.norm(vectors, axis=1, keepdims=True)
    people = snapshot(names, vectors)
    matcher = Matcher(ExactIndex(ExactIndex.Config()), top_c)
    matcher.use(people)
    asked = [tracklet(embedding=rng.normal(size=6)) for _ in range(4)]
    for question, candidates in zip(asked, matcher.shortlist(asked), strict=True):
        distances = np.linalg.norm(people.vectors.astype(np.float32) - question.embedding, axis=1)
        best = {name: min(d for n, d in zip(names, distances, strict=True) if n == name) for name in names}
        expected = sorted(best, key=best.__getitem__)[:top_c]
        assert [c.identity_id for c in candidates] == expected
        assert [c.rank for c in candidates] == list(range(1, len(expected) + 1))
        for c in candidates:
            assert c.distance == pytest.approx(best[c.identity_id], abs=2e-3)
            assert names[c.enrolment_id - 10] == c.identity_id


def test_an_empty_watchlist_knows_nobody() -> None:
    matcher = Matcher(ExactIndex(ExactIndex.Config()), 5)
    assert matcher.shortlist([tracklet()]) == [[]]
    matcher.use(snapshot([], np.zeros((0, 2))))
    assert matcher.shortlist([tracklet(), tracklet()]) == [[], []]
