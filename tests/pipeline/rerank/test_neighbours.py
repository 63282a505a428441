"""The tile pass against sorting every row; also for sets that change."""

import numpy as np
import pytest

from pipeline.rerank import (
    Distances,
    MuEntries,
    SlidingGallery,
    camera_jaccard,
    ecn,
    ecn_blocks,
    k_reciprocal,
)
from pipeline.rerank.neighbours import neighbourhood
from pipeline.rerank.tiles import Kind, Want
from tests.oracles.rerank import euclidean, ranking
from tests.pipeline.rerank.sets import made

WANTS = [Want(7), Want(3, Kind.SAME), Want(9, Kind.OTHER)]


def sorted_lists(full, cameras, want):
    fits = {
        Kind.ALL: lambda i, j: True,
        Kind.SAME: lambda i, j: cameras[i] == cameras[j],
        Kind.OTHER: lambda i, j: cameras[i] != cameras[j],
    }[want.kind]
    lists = [[j for j in ranking(full, i)[1:] if fits(i, j)][: want.depth] for i in range(len(full))]
    return np.array([row + [-1] * (want.depth - len(row)) for row in lists])


@pytest.mark.parametrize("seed", range(8))
@pytest.mark.parametrize("alpha", [None, 0.5])
@pytest.mark.parametrize("tile", [None, 7, 40])
def test_lists_are_those_of_sorting(seed, alpha, tile):
    case = made(seed, q=9, g=100)
    d = case.d if alpha is None else case.d.with_mu(case.mu(alpha))
    full = case.full(alpha)
    found = neighbourhood(d, WANTS, case.cameras, largest=True, tile=tile)
    for want, lists in zip(WANTS, found.lists, strict=True):
        np.testing.assert_array_equal(lists.cols, sorted_lists(full, case.cameras, want))
    np.testing.assert_array_equal(found.largest, full.max(axis=1).astype(np.float32))


def test_equal_images_are_listed_by_index_after_the_row_itself():
    x = np.zeros((300, 4), np.float32)
    found = neighbourhood(Distances.from_features(x[:10], x[10:]), [Want(5)], tile=32)
    lists = found.lists[0].with_self(6)
    assert lists[200].tolist() == [200, 0, 1, 2, 3, 4]
    assert lists[2].tolist() == [2, 0, 1, 3, 4, 5]


def test_hundreds_of_farthest_and_nearest_images_at_one_distance():
    x = np.eye(3, dtype=np.float32)[np.arange(1300) % 3]
    found = neighbourhood(Distances.from_features(x[:10], x[10:]), [Want(4)], largest=True, tile=1024)
    assert found.lists[0].cols[7].tolist() == [1, 4, 10, 13]
    np.testing.assert_array_equal(found.largest, np.full(1300, np.sqrt(2), np.float32))


def test_a_large_set_needs_few_rows_done_again(monkeypatch):
    x = np.random.default_rng(0).standard_normal((1500, 32)).astype(np.float32)
    from pipeline.rerank import neighbours

    again = []
    in_full = neighbours._in_full
    monkeypatch.setattr(
        neighbours, "_in_full", lambda d, rows, *a: (again.append(len(rows)), in_full(d, rows, *a))
    )
    neighbourhood(Distances.from_features(x[:300], x[300:]), [Want(24)], largest=True)
    assert again[0] < 15


def test_lists_longer_than_a_tile_and_than_the_first_sample():
    x = np.random.default_rng(1).standard_normal((1100, 8)).astype(np.float32)
    d = Distances.from_features(x[:100], x[100:])
    for depth in (50, 600):
        want = neighbourhood(Distances.from_matrices(*three(x, 100)), [Want(depth)], largest=True)
        for tile in (64, 1024):
            found = neighbourhood(d, [Want(depth)], largest=True, tile=tile)
            np.testing.assert_array_equal(found.lists[0].cols, want.lists[0].cols)
            np.testing.assert_array_equal(found.largest, want.largest)


def three(x, q):
    full = euclidean(x)
    return full[:q, q:], full[:q, :q], full[q:, q:]


def test_memory_decides_blocks_and_not_results():
    case = made(1, q=40, g=300)
    x = case.features
    few = Distances.from_features(x[:40], x[40:], memory_mb=1)
    many = Distances.from_features(x[:40], x[40:], memory_mb=512)
    assert few.rows_at_once(300_000) == 1
    np.testing.assert_array_equal(k_reciprocal(few), k_reciprocal(many))


def test_ecn_holds_the_sums_of_few_queries_where_memory_is_short():
    x = made(2, q=300, g=2000).features
    few, many = (Distances.from_features(x[:300], x[300:], memory_mb=mb) for mb in (1, 512))
    starts = [start for start, _ in ecn_blocks(few, method="origdist")]
    assert starts == sorted(starts)
    assert len(starts) > 2
    np.testing.assert_allclose(ecn(few, method="origdist"), ecn(many, method="origdist"), atol=2e-6)


@pytest.mark.parametrize("seed", range(6))
def test_a_sliding_gallery_equals_a_fresh_one(seed):
    case = made(seed, q=11, g=90)
    rng = np.random.default_rng(seed)
    queries, gallery = case.features[:11], case.features[11:]
    query_cameras, cameras = case.cameras[:11], case.cameras[11:]
    sliding = SlidingGallery(
        queries, gallery, query_cameras=query_cameras, gallery_cameras=cameras, tile=int(rng.integers(10, 50))
    )
    for _ in range(5):
        gone = rng.choice(len(gallery), int(rng.integers(0, 20)), replace=False)
        came = made(seed + 100, q=1, g=20).features[: int(rng.integers(0, 15)), :1] + gallery[:1]
        came_cameras = rng.integers(0, 3, len(came))
        sliding.update(came, gone, came_cameras)
        gallery = np.concatenate([np.delete(gallery, gone, axis=0), came])
        cameras = np.concatenate([np.delete(cameras, gone), came_cameras])
        fresh = Distances.from_features(queries, gallery)
        opinions = MuEntries(
            np.argsort(rng.random((11, len(gallery))), axis=1)[:, :6], rng.random((11, 6)), alpha=0.4
        )
        for mu in (None, opinions):
            np.testing.assert_array_equal(k_reciprocal(sliding.distances, mu=mu), k_reciprocal(fresh, mu=mu))
        np.testing.assert_array_equal(ecn(sliding.distances, k=40), ecn(fresh, k=40))  # deeper than kept
        np.testing.assert_array_equal(
            camera_jaccard(sliding.distances, query_cameras, cameras),
            camera_jaccard(fresh, query_cameras, cameras),
        )
