"""Times the re-rankers beside a plain dense version and beside the bare N x N product; prints, asserts nothing.

    python -m tests.bench.rerank market            3,368 + 15,913, 256-d, each way beside the dense one
    python -m tests.bench.rerank msmt17            11,659 + 82,161, ours only
    python -m tests.bench.rerank sliding           1 % of a Market-size gallery added and removed
    python -m tests.bench.rerank scores            evaluation of Market size

Every way runs in a process of its own, so that peak memory is its own. Made-up people: normal features around
1,501 (4,101) centres.
"""

import argparse
import json
import subprocess
import sys
import time

import numpy as np

from pipeline.rerank import (
    Distances,
    SlidingGallery,
    camera_jaccard,
    camera_jaccard_blocks,
    ecn,
    ecn_blocks,
    k_reciprocal,
    k_reciprocal_blocks,
)
from tests.oracles import rerank_dense
from trainers.evaluate.peak import peak_mb, reset_peak
from trainers.metrics import retrieval_scores

SIZES = {
    "small": (300, 1500, 100),
    "market": (3368, 15913, 1501),
    "msmt17": (11659, 82161, 4101),
}
WAYS = ("k_reciprocal", "ecn", "ecn origdist", "camera_jaccard")


def people(size, width=256):
    """Unit features (N, D), cameras, queries."""
    queries, gallery, identities = SIZES[size]
    rng = np.random.default_rng(0)
    n = queries + gallery
    centres = rng.standard_normal((identities, width), np.float32)
    x = centres[rng.integers(0, identities, n)] + rng.standard_normal((n, width), np.float32)
    return x / np.linalg.norm(x, axis=1, keepdims=True), rng.integers(0, 6, n), queries


def ours(way, x, cameras, q, whole):
    d = Distances.from_features(x[:q], x[q:])
    blocks = {
        "k_reciprocal": lambda: k_reciprocal_blocks(d),
        "ecn": lambda: ecn_blocks(d),
        "ecn origdist": lambda: ecn_blocks(d, method="origdist"),
        "camera_jaccard": lambda: camera_jaccard_blocks(d, cameras[:q], cameras[q:]),
    }
    full = {
        "k_reciprocal": lambda: k_reciprocal(d),
        "ecn": lambda: ecn(d),
        "ecn origdist": lambda: ecn(d, method="origdist"),
        "camera_jaccard": lambda: camera_jaccard(d, cameras[:q], cameras[q:]),
    }
    if whole:
        full[way]()
    else:
        for _ in blocks[way]():
            pass


def dense(way, x, cameras, q):
    {
        "k_reciprocal": lambda: rerank_dense.k_reciprocal(x, q),
        "ecn": lambda: rerank_dense.ecn(x, q),
        "camera_jaccard": lambda: rerank_dense.camera_jaccard(x, q, cameras),
    }[way]()


def bare(x):
    """The N x N product alone, a block of rows at a time."""
    for start in range(0, len(x), 2048):
        x[start : start + 2048] @ x.T


def sliding(x, q):
    """Seconds of a first build, of 1 % added and removed, of the lists and of a re-ranking then, and of a full one."""
    n = (len(x) - q) // 100
    extra = x[q : q + n] + np.float32(0.01)
    steps = {}

    def timed(name, act):
        begun = time.perf_counter()
        result = act()
        steps[name] = time.perf_counter() - begun
        return result

    gallery = timed("first build", lambda: SlidingGallery(x[:q], x[q:]))
    timed("1 % added and removed", lambda: gallery.update(extra, np.arange(0, 100 * n, 100)))
    slid = timed("k_reciprocal after it", lambda: k_reciprocal(gallery.distances))
    now = np.concatenate([np.delete(x[q:], np.arange(0, 100 * n, 100), axis=0), extra])
    full = timed("k_reciprocal in full", lambda: k_reciprocal(Distances.from_features(x[:q], now)))
    return steps | {"equal": bool(np.array_equal(slid, full))}


def scores(x, cameras, q):
    """Seconds of the evaluation alone."""
    ids = np.random.default_rng(1).integers(0, 1501, len(x))
    table = Distances.from_features(x[:q], x[q:]).block(np.arange(q), q, len(x))
    begun = time.perf_counter()
    retrieval_scores(table, ids[:q], ids[q:], cameras[:q], cameras[q:])
    return {"evaluation": time.perf_counter() - begun}


def one(size, job, way):
    """Does one job in this process; prints seconds, processor seconds of all threads, and peak memory."""
    x, cameras, q = people(size)
    reset_peak()
    begun, cpu_begun = time.perf_counter(), time.process_time()
    jobs = {
        "ours": lambda: ours(way, x, cameras, q, whole=False),
        "ours whole": lambda: ours(way, x, cameras, q, whole=True),
        "dense": lambda: dense(way, x, cameras, q),
        "bare": lambda: bare(x),
        "sliding": lambda: sliding(x, q),
        "scores": lambda: scores(x, cameras, q),
    }
    more = jobs[job]()
    seconds, cpu = time.perf_counter() - begun, time.process_time() - cpu_begun
    print(json.dumps({"seconds": seconds, "cpu": cpu, "peak_mb": peak_mb(), "more": more}))


def apart(size, job, way="-"):
    """One job in a new process."""
    line = [sys.executable, "-m", "tests.bench.rerank", size, "--job", job, "--way", way]
    result = json.loads(subprocess.run(line, check=True, stdout=subprocess.PIPE).stdout)
    figures = f"{result['seconds']:8.2f} s {result['cpu']:8.2f} s of processor {result['peak_mb']:8.0f} MB"
    print(f"{job:11} {way:15} {figures}", flush=True)
    for name, value in (result["more"] or {}).items():
        print(f"    {name}: {value if isinstance(value, bool) else f'{value:.2f} s'}", flush=True)


def main():
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("size", choices=[*SIZES, "sliding", "scores"])
    parser.add_argument("--job")
    parser.add_argument("--way", default="-")
    asked = parser.parse_args()
    if asked.job:
        return one(asked.size, asked.job, asked.way)
    if asked.size in ("sliding", "scores"):
        return apart("market", asked.size)
    apart(asked.size, "bare")
    for way in WAYS:
        apart(asked.size, "ours", way)
        if asked.size != "msmt17":
            apart(asked.size, "ours whole", way)
        if asked.size != "msmt17" and way != "ecn origdist":
            apart(asked.size, "dense", way)
    return None


if __name__ == "__main__":
    main()
