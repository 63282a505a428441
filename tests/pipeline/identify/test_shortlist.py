"""The shortlist against the obvious definition."""

import numpy as np
import pytest

from pipeline.identify.calibration import Cuts
from pipeline.identify.shortlist import Matcher
from pipeline.plugged import PluggedIndex
from pipeline.testing import tracklet
from pipeline.watchlist.snapshot import WatchlistSnapshot
from tests.support.evidence import exact


def snapshot(
    identity_ids: list[str], vectors: np.ndarray, is_text: np.ndarray | None = None
) -> WatchlistSnapshot:
    return WatchlistSnapshot(
        version=1,
        identities={},
        enrolment_ids=np.arange(10, 10 + len(identity_ids)),
        identity_ids=tuple(identity_ids),
        is_text=np.zeros(len(identity_ids), bool) if is_text is None else is_text,
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
    matcher = Matcher(exact(), top_c, Cuts(0.5))
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


@pytest.mark.parametrize("seed", range(5))
@pytest.mark.parametrize("top_c", [1, 3, 40])
def test_texts_are_ranked_among_pictures_by_what_is_left_to_their_cuts(seed: int, top_c: int) -> None:
    rng = np.random.default_rng(seed)
    names = [f"p{i}" for i in rng.integers(0, 8, 30)]
    vectors = rng.normal(size=(30, 6))
    is_text = rng.random(30) < 0.3
    vectors[is_text, 0] += 4  # no crop comes near
    vectors /= np.linalg.norm(vectors, axis=1, keepdims=True)
    people = snapshot(names, vectors, is_text)
    index = exact()
    matcher = Matcher(index, top_c, Cuts(0.5, 1.2), texts=exact())
    matcher.use(people)
    asked = [tracklet(embedding=rng.normal(size=6) * [-1, 1, 1, 1, 1, 1]) for _ in range(4)]
    kinds = set()
    for question, candidates in zip(asked, matcher.shortlist(asked), strict=True):
        distances = np.linalg.norm(people.vectors.astype(np.float32) - question.embedding, axis=1)
        counted = distances - 0.7 * is_text
        best = {name: min(d for n, d in zip(names, counted, strict=True) if n == name) for name in names}
        assert [c.identity_id for c in candidates] == sorted(best, key=best.__getitem__)[:top_c]
        assert [c.rank for c in candidates] == list(range(1, len(candidates) + 1))
        for c in candidates:
            row = c.enrolment_id - 10
            kinds.add(bool(is_text[row]))
            assert c.is_text == is_text[row]
            assert c.distance - 0.7 * c.is_text == pytest.approx(best[c.identity_id], abs=2e-3)
            assert c.distance == pytest.approx(distances[row], abs=2e-3)
    assert kinds == {False, True} or top_c == 1


def test_texts_are_left_out_with_a_word_where_nothing_says_how_far_they_may_lie(
    caplog: pytest.LogCaptureFixture,
) -> None:
    matcher = Matcher(exact(), 5, Cuts(0.5))
    matcher.use(snapshot(["p1", "p2"], np.eye(2), np.array([True, False])))
    (candidates,) = matcher.shortlist([tracklet(embedding=np.array([1.0, 0.0]))])
    assert [c.identity_id for c in candidates] == ["p2"]
    assert "1 texts are not compared: set decision.max_distance_text" in caplog.text


def test_an_empty_watchlist_knows_nobody() -> None:
    matcher = Matcher(exact(), 5, Cuts(0.5))
    assert matcher.shortlist([tracklet()]) == [[]]
    matcher.use(snapshot([], np.zeros((0, 2))))
    assert matcher.shortlist([tracklet(), tracklet()]) == [[], []]


class Torn:
    """An index that fails at one of its calls."""

    def __init__(self, call: str) -> None:
        self._call = call

    def build(self, vectors: object) -> None:
        if self._call == "build":
            raise MemoryError

    def search(self, queries: object, k: int) -> None:
        raise RuntimeError("the index is gone")


@pytest.mark.parametrize("call", ["build", "search"])
def test_without_an_index_that_works_everybody_is_compared(call: str) -> None:
    rng = np.random.default_rng(3)
    vectors = rng.normal(size=(40, 6))
    vectors /= np.linalg.norm(vectors, axis=1, keepdims=True)
    people = snapshot([f"p{i % 9}" for i in range(40)], vectors)
    asked = [tracklet(embedding=rng.normal(size=6)) for _ in range(5)]
    found = []
    for index in (exact(), PluggedIndex.of(Torn(call))):
        matcher = Matcher(index, 4, Cuts(0.5))
        matcher.use(people)
        found.append([[(c.identity_id, c.rank) for c in each] for each in matcher.shortlist(asked)])
    assert found[0] == found[1]
