"""Retrieval measures against sorting and counting by hand, on sets with ties, junk and lonely queries."""

import numpy as np
import pytest

from pipeline.errors import InputError
from tests.oracles import measures as oracle
from trainers.metrics import all_camera_scores, clothes_scores, retrieval_scores
from trainers.metrics.retrieval import RetrievalScores
from trainers.metrics.single_shot import single_shot_scores, sysu_scores

SEEDS = range(10)


class Case:
    def __init__(self, seed, people=6, cameras=3):
        rng = np.random.default_rng(seed)
        q, g = int(rng.integers(5, 20)), int(rng.integers(1, 60))
        self.distances = rng.random((q, g)).astype(np.float32)
        if seed % 2:
            self.distances = np.round(self.distances * 6).astype(np.float32)
        self.q_ids, self.g_ids = rng.integers(0, people, q), rng.integers(-1, people, g)
        self.q_cams, self.g_cams = rng.integers(1, cameras + 1, q), rng.integers(1, cameras + 1, g)
        self.g_cams[self.g_ids == 2] = 1  # an identity of one camera
        self.q_cams[self.q_ids == 2] = 1  # ...whose queries have no match
        self.q_clothes, self.g_clothes = rng.integers(0, 2, q), rng.integers(0, 2, g)
        self.q_ids[0], self.g_ids[0], self.q_cams[0], self.g_cams[0] = 0, 0, 1, 2  # one match at least
        self.labels = (self.q_ids, self.g_ids, self.q_cams, self.g_cams)


def same(scores, want):
    mean_ap, mean_inp, cmc, ap = want
    np.testing.assert_allclose([scores.mAP, scores.mINP], [mean_ap, mean_inp], rtol=1e-12)
    np.testing.assert_allclose(scores.cmc, cmc, rtol=1e-12)
    np.testing.assert_allclose(scores.ap, ap, rtol=1e-12)


@pytest.mark.parametrize("seed", SEEDS)
def test_market_rule(seed):
    c = Case(seed)
    want = oracle.retrieval(c.distances, c.q_ids, c.g_ids, lambda i, j: c.q_cams[i] == c.g_cams[j], 50)
    same(retrieval_scores(c.distances, *c.labels), want)


@pytest.mark.parametrize("seed", SEEDS)
def test_all_cameras(seed):
    c = Case(seed)
    same(
        all_camera_scores(c.distances, c.q_ids, c.g_ids, max_rank=10),
        oracle.retrieval(c.distances, c.q_ids, c.g_ids, lambda i, j: False, 10),
    )


@pytest.mark.parametrize("seed", SEEDS)
@pytest.mark.parametrize("setting", ["general", "changing", "same"])
def test_clothes(seed, setting):
    c = Case(seed)
    c.q_clothes[0], c.g_clothes[0] = 0, int(setting == "changing")

    def left_out(i, j):
        alike = c.q_clothes[i] == c.g_clothes[j]
        other = {"general": False, "changing": alike, "same": not alike}[setting]
        return c.q_cams[i] == c.g_cams[j] or other

    got = clothes_scores(c.distances, *c.labels, c.q_clothes, c.g_clothes, setting)
    same(got, oracle.retrieval(c.distances, c.q_ids, c.g_ids, left_out, 50))


@pytest.mark.parametrize("seed", SEEDS)
def test_single_shot_is_the_mean_over_all_draws(seed):
    rng = np.random.default_rng(seed)
    distances = rng.integers(0, 9, (6, 11)).astype(np.float32) if seed % 2 else rng.random((6, 11))
    labels = rng.integers(0, 4, 6), rng.integers(-1, 5, 11), rng.integers(1, 3, 6), rng.integers(1, 3, 11)
    labels[0][0], labels[1][0], labels[2][0], labels[3][0] = 0, 0, 1, 2
    mean_ap, cmc, ap = oracle.single_shot(distances, *labels, 5)
    got = single_shot_scores(distances, *labels, max_rank=5)
    np.testing.assert_allclose(got.mAP, mean_ap)
    np.testing.assert_allclose(got.cmc, cmc)
    np.testing.assert_allclose(got.ap, ap)


@pytest.mark.parametrize("search", ["all", "indoor"])
@pytest.mark.parametrize("seed", SEEDS)
def test_sysu_with_all_images_drawn(seed, search):
    """With more shots than images every draw is the whole gallery, which can be counted by hand."""
    c = Case(seed, cameras=6)
    c.q_cams[0], c.g_cams[0] = 3, 1
    allowed = {"all": (1, 2, 4, 5), "indoor": (1, 2)}[search]
    aps, firsts = [], []
    for i, row in enumerate(c.distances):
        skip = {2} if c.q_cams[i] == 3 else set()
        usable = [j for j in range(len(row)) if c.g_ids[j] >= 0 and c.g_cams[j] in set(allowed) - skip]
        ranking = sorted(usable, key=lambda j: (row[j], j))
        hits = [c.g_ids[j] == c.q_ids[i] for j in ranking]
        if c.q_cams[i] in (3, 6) and any(hits):
            places = [place for place, hit in enumerate(hits, 1) if hit]
            aps.append(np.mean([n / place for n, place in enumerate(places, 1)]))
            names = list(dict.fromkeys(c.g_ids[j] for j in ranking))
            firsts.append(names.index(c.q_ids[i]) + 1)
    got = sysu_scores(c.distances, *c.labels, search=search, shots=99, trials=2, max_rank=8)
    assert got.mAP == pytest.approx(np.mean(aps))
    np.testing.assert_allclose(got.cmc, [np.mean([f <= k for f in firsts]) for k in range(1, 9)])


def test_sysu_draws_one_image_of_each_identity_and_camera_and_repeats_with_its_seed():
    c = Case(4, cameras=6)
    c.q_cams[:] = 6
    first, again, other = (sysu_scores(c.distances, *c.labels, seed=s) for s in (1, 1, 2))
    assert first.mAP == again.mAP != other.mAP


def test_blocks_of_queries_join_to_the_whole():
    c = Case(3)
    parts = [
        retrieval_scores(c.distances[rows], c.q_ids[rows], c.g_ids, c.q_cams[rows], c.g_cams)
        for rows in (slice(0, 2), slice(2, None))
    ]
    whole = retrieval_scores(c.distances, *c.labels)
    assert RetrievalScores.joined(parts).mAP == whole.mAP
    np.testing.assert_array_equal(RetrievalScores.joined(parts).cmc, whole.cmc)


def test_no_query_with_a_match_is_nan_and_not_zero():
    scores = retrieval_scores([[0.1]], [1], [2], [1], [2])
    assert np.isnan(scores.mAP)
    assert np.isnan(scores.cmc).all()


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (([[np.nan, 1]], [0], [0, 1], [0], [1, 1]), "distance of query 0 to gallery image 0 is not a number"),
        (([0.1], [0], [0], [0], [1]), r"distances have shape \(1,\)"),
        ((np.zeros((1, 0)), [0], [], [0], []), "neither empty"),
        (([[0.1]], [0, 1], [0], [0], [1]), r"query ids has shape \(2,\)"),
        (([[0.1]], [0], [0], [0], [1, 1]), r"gallery cameras has shape \(2,\)"),
        (([[0.1]], ["a"], [0], [0], [1]), "query ids must be whole numbers"),
    ],
)
@pytest.mark.parametrize("score", [retrieval_scores, single_shot_scores, sysu_scores])
def test_refusals(score, arguments, says):
    with pytest.raises(InputError, match=says):
        score(*arguments)
