"""Prints the largest difference of every re-ranker from the looped float64 definition, over random hard sets.

python -m tests.bench.differences [SETS]
"""

import sys

import numpy as np

from pipeline.rerank import camera_jaccard, ecn, k_reciprocal, mu_distance
from tests.oracles import rerank as oracle
from tests.pipeline.rerank.sets import made

CALLS = {
    "mu_distance": (lambda d, c, mu: mu_distance(d, mu), lambda f, c: f[: c.q, c.q :]),
    "k_reciprocal": (lambda d, c, mu: k_reciprocal(d, mu=mu), lambda f, c: oracle.k_reciprocal(f, c.q)),
    "ecn rankdist": (lambda d, c, mu: ecn(d, mu=mu), lambda f, c: oracle.ecn(f, c.q)),
    "ecn origdist": (
        lambda d, c, mu: ecn(d, method="origdist", mu=mu),
        lambda f, c: oracle.ecn(f, c.q, method="origdist"),
    ),
    "camera_jaccard": (
        lambda d, c, mu: camera_jaccard(d, c.cameras[: c.q], c.cameras[c.q :], mu=mu),
        lambda f, c: oracle.camera_jaccard(f, c.q, c.cameras),
    ),
}


def main(sets):
    print(f"{sets} sets of up to 61 images, half of them with most distances tied, a third with equal images")
    for name, (real, want) in CALLS.items():
        worst = {"features": 0.0, "matrices": 0.0}
        for seed in range(sets):
            case = made(seed)
            for alpha in (0.2,) if name == "mu_distance" else (None, 0.2):
                true = want(case.full(alpha), case)
                mu = None if alpha is None else case.mu(alpha)
                for kind, d in (("features", case.d), ("matrices", case.matrices)):
                    error = np.abs(real(d, case, mu) - true) / np.maximum(np.abs(true), 1)
                    worst[kind] = max(worst[kind], float(error.max()))
        print(f"{name:15} from features {worst['features']:.1e}, from matrices {worst['matrices']:.1e}")


if __name__ == "__main__":
    main(int(sys.argv[1]) if len(sys.argv) > 1 else 200)
