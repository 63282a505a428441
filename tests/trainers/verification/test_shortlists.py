"""Shortlists: AUC, alpha and cut against plain loops."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from pipeline.errors import InputError
from trainers.datasets.sample import Sample
from trainers.datasets.search import PictureSearch
from trainers.judging import ACCEPTED
from trainers.verification.shortlists import JudgeSettings, Shortlists

TOP = 6


def sample(identity: int, camera: int) -> Sample:
    return Sample(path=Path(f"{identity}-{camera}.png"), identity=identity, camera=camera)


GALLERY = tuple(sample(i, camera) for i in (*range(8), -1) for camera in (1, 2, 3))
SEARCH = PictureSearch(tuple(sample(i, 1) for i in range(8)), GALLERY)


def vectors(samples: Any) -> NDArray[np.float32]:
    """People near a direction of their own, pictures spread around it."""
    rows = []
    for each in samples:
        person = np.random.default_rng(each.identity + 10).normal(size=6)
        rows.append(person + np.random.default_rng([each.identity + 1, each.camera]).normal(0, 0.9, 6))
    return np.float32([row / np.linalg.norm(row) for row in rows])


def knows(queries: Any, gallery: Any, candidates: NDArray[np.int64]) -> NDArray[np.float32]:
    """Always right, in its own degree."""
    own = np.array(
        [[gallery[c].identity == q.identity for c in row] for q, row in zip(queries, candidates, strict=True)]
    )
    return np.where(own, 0.1, 0.9).astype(np.float32)


def misleads(*asked: Any) -> NDArray[np.float32]:
    return 1 - knows(*asked)


def guesses(lists: Shortlists, count: int) -> list[NDArray[np.float32]]:
    shape = lists.candidates.shape
    return [np.random.default_rng(seed).uniform(size=shape).astype(np.float32) for seed in range(count)]


@pytest.fixture
def lists() -> Shortlists:
    return Shortlists(SEARCH, vectors, JudgeSettings(top_c=TOP), "here")


def test_auc_counts_pairs_of_one_person_by_two_cameras_against_those_of_two_people(lists: Shortlists) -> None:
    d = np.linalg.norm(vectors(SEARCH.query)[:, None] - vectors(GALLERY), axis=2)
    same, other = [], []
    for q, row in enumerate(np.argsort(d, axis=1)[:, :TOP]):
        for c in row:
            if GALLERY[c].identity not in (-1, q):
                other.append(d[q, c])
            elif GALLERY[c].identity == q and GALLERY[c].camera != 1:
                same.append(d[q, c])
    expected = np.mean([(a < b) + 0.5 * (a == b) for a in same for b in other])
    assert lists.auc(lists.ask(knows)) == {"AUC": 1.0, "distance_AUC": round(float(expected), 4)}
    assert lists.auc(lists.ask(misleads))["AUC"] == 0


def test_alpha_is_zero_where_the_verifier_misleads_and_not_where_it_knows(lists: Shortlists) -> None:
    assert lists.best_alpha(lists.ask(misleads)) == 0
    alpha = lists.best_alpha(lists.ask(knows))
    found = lists.scores(lists.ask(knows), alpha)
    assert alpha > 0
    assert found["mu_mAP"] > found["mAP"]
    unmoved = lists.scores(lists.ask(misleads), 0.0)
    assert unmoved["mu_mAP"] == unmoved["mAP"]


def test_a_verifier_that_knows_nothing_has_no_weight(lists: Shortlists) -> None:
    weights = [lists.best_alpha(guess) for guess in guesses(lists, 20)]
    highest = [
        max(JudgeSettings().alphas, key=lambda a: lists.scores(guess, a)["mu_mAP"])
        for guess in guesses(lists, 20)
    ]
    assert sum(map(bool, highest)) > 5, "by the highest mAP alone chance would decide"
    assert sum(map(bool, weights)) <= 2


def test_the_cut_is_a_quantile_of_strangers_fused_distances(lists: Shortlists) -> None:
    asked: dict[str, Any] = {}

    def watch(queries: Any, gallery: Any, candidates: NDArray[np.int64]) -> NDArray[np.float32]:
        asked["rows"] = candidates
        for query, row in zip(queries, candidates, strict=True):
            people = [gallery[c].identity for c in row]
            assert len(set(people)) == len(people) == 7  # everybody else, once
            assert query.identity not in people
            assert -1 not in people
            assert all(gallery[c].camera != query.camera for c in row)
        return np.full(candidates.shape, 0.5, np.float32)

    cut = lists.cut(watch, alpha=0.25)
    d = np.linalg.norm(vectors(SEARCH.query)[:, None] - vectors(GALLERY), axis=2)
    fused = 0.75 * np.take_along_axis(d, asked["rows"], 1) + 0.25 * 2 * 0.5
    assert cut == pytest.approx(np.quantile(fused.min(axis=1), ACCEPTED), abs=1e-5)


def test_fewer_queries_are_spread_over_the_set() -> None:
    few = Shortlists(SEARCH, vectors, JudgeSettings(top_c=TOP, queries=3), "here")
    assert few.candidates.shape == (3, TOP)
    assert [q.identity for q in few._search.query] == [0, 4, 7]


def test_lists_of_one_kind_of_pair_cannot_judge() -> None:
    alone = PictureSearch(SEARCH.query[:1], tuple(each for each in GALLERY if each.identity == 0))
    with pytest.raises(
        InputError, match="here cannot judge a verifier: its shortlists have no pair of two people"
    ):
        Shortlists(alone, vectors, JudgeSettings(), "here")
    strangers = PictureSearch(SEARCH.query[:1], tuple(each for each in GALLERY if each.identity > 0))
    with pytest.raises(InputError, match="no pair of one person by two cameras"):
        Shortlists(strangers, vectors, JudgeSettings(), "here")
