"""Damaged inputs: what each says."""

import numpy as np
import pytest

from pipeline.errors import ConfigError, InputError
from pipeline.rerank import (
    Distances,
    MuEntries,
    SlidingGallery,
    camera_jaccard,
    ecn,
    k_reciprocal,
    mu_distance,
)

X = np.random.default_rng(0).standard_normal((12, 4)).astype(np.float32)
D = Distances.from_features(X[:3], X[3:])


def holed(value):
    x = X.copy()
    x[4, 1] = value
    return x


@pytest.mark.parametrize(
    ("act", "says"),
    [
        (lambda: Distances.from_features(X[:3], holed(np.nan)), "not finite in 1 rows, first in row 4"),
        (
            lambda: Distances.from_features(holed(np.inf), X),
            "query features holds a value that is not finite",
        ),
        (lambda: Distances.from_features(X[:3], X[3:, :2]), r"gallery features has shape \(9, 2\), expected"),
        (lambda: Distances.from_features(X[0], X), r"query features has shape \(4,\)"),
        (lambda: Distances.from_features(X[:3], X[:0]), "3 queries and 0 gallery images"),
        (lambda: Distances.from_features(X[:0], X), "0 queries and 12 gallery images"),
        (lambda: Distances.from_features([["a"]], X), "not numbers"),
        (lambda: Distances.from_features(X * 1e30, X), "a feature is larger than 1e"),
        (lambda: Distances.from_features(np.zeros((1, 4)), X, "cosine"), "image 0 .* only zeros"),
        (lambda: Distances.from_matrices(abs(X), X, X), r"q_q has shape \(12, 4\), expected \(12, 12\)"),
        (lambda: Distances.from_matrices(-np.ones((1, 2)), np.ones((1, 1)), np.ones((2, 2))), "not negative"),
        (lambda: MuEntries([[0, 1]], [[0.5]], 0.2), "must have one shape"),
        (lambda: MuEntries([[0.0]], [[0.5]], 0.2), "must be gallery rows"),
        (lambda: MuEntries([[0]], [[1.5]], 0.2), "1.5 is not a probability"),
        (lambda: MuEntries([[0]], [[np.nan]], 0.2), "p_no holds a value that is not finite"),
        (lambda: MuEntries([[4, 4]], [[0.1, 0.2]], 0.2), "lists candidate 4 twice"),
        (lambda: mu_distance(D, MuEntries([[9]] * 3, [[0.1]] * 3, 0.2)), "query 0 lists candidate 9"),
        (lambda: mu_distance(D, MuEntries([[-1]] * 3, [[0.1]] * 3, 0.2)), "rows 0 to 8"),
        (lambda: ecn(D, mu=MuEntries([[1]], [[0.1]], 0.2)), "1 rows for 3 queries"),
        (lambda: camera_jaccard(D, [0, 1], np.zeros(9, int)), r"query cameras has shape \(2,\)"),
        (lambda: camera_jaccard(D, [0, 1, 2], [np.nan] * 9), "gallery cameras must be whole numbers"),
        (lambda: SlidingGallery(X[:3], X[3:]).update(remove=[9]), "gallery row 9 is not there"),
        (lambda: SlidingGallery(X[:3], X[3:]).update(remove=range(9)), "no gallery image would be left"),
        (lambda: SlidingGallery(X[:3], X[3:]).update(add=X[:, :2]), r"add has shape \(12, 2\)"),
    ],
)
def test_data(act, says):
    with pytest.raises(InputError, match=says):
        act()


@pytest.mark.parametrize(
    ("act", "says"),
    [
        (lambda: k_reciprocal(D, k1=0), "k1 = 0 must be a whole number of at least 1"),
        (lambda: k_reciprocal(D, k2=1.5), "k2 = 1.5"),
        (lambda: k_reciprocal(D, lambda_=1.2), "lambda_ = 1.2 must be in"),
        (lambda: k_reciprocal(D, power=0), "power = 0"),
        (lambda: ecn(D, method="rank"), "use rankdist or origdist"),
        (lambda: Distances.from_features(X, X, "manhattan"), "metric 'manhattan' is not known"),
        (lambda: MuEntries([[0]], [[0.1]], 2), "alpha = 2 must be in"),
        (lambda: Distances.from_features(X, X, memory_mb=0), "memory_mb = 0"),
    ],
)
def test_parameters(act, says):
    with pytest.raises(ConfigError, match=says):
        act()


def test_equal_rows_and_a_single_image_a_side_are_no_damage():
    same = np.ones((4, 3), np.float32)
    d = Distances.from_features(same[:1], same[1:])
    for result in (k_reciprocal(d), ecn(d, method="origdist"), camera_jaccard(d, [0], [0, 0, 1])):
        assert np.isfinite(result).all()
    assert k_reciprocal(Distances.from_features(X[:1], X[1:2])).shape == (1, 1)
