"""Re-ranking as the definitions read: dense matrices, loops, float64. Slow on purpose."""

import numpy as np
from numpy.typing import NDArray

Array = NDArray[np.float64]


def whole(q_g, q_q, g_g, candidates=None, p_no=None, alpha=0.0) -> Array:
    """(N, N) distances, float32 values in float64, with the verifier's opinions mixed in."""
    q = len(q_q)
    full = np.block([[q_q, q_g], [q_g.T, g_g]]).astype(np.float32).astype(np.float64)
    if candidates is not None:
        for i, row in enumerate(candidates):
            for j, p in zip(row, p_no[i], strict=True):
                mixed = np.float32((1 - alpha) * full[i, q + j] + alpha * 2 * float(p))
                full[i, q + j] = full[q + j, i] = mixed
    return full


def euclidean(x) -> Array:
    x = np.asarray(x, np.float64)
    return np.sqrt(((x[:, None, :] - x[None, :, :]) ** 2).sum(-1))


def cosine(x) -> Array:
    x = np.asarray(x, np.float64)
    x = x / np.linalg.norm(x, axis=1, keepdims=True)
    return euclidean(x) ** 2 / 2


def ranking(full: Array, i: int) -> list[int]:
    """All images by distance from i, then by index; i first."""
    return [i, *sorted((j for j in range(len(full)) if j != i), key=lambda j: (full[i, j], j))]


def normalised(full: Array, power: float) -> Array:
    powered = full**power
    largest = powered.max(axis=1, keepdims=True)
    return powered / np.where(largest > 0, largest, 1)


def _mutual(lists: list[list[int]], i: int) -> set[int]:
    return {j for j in lists[i] if i in lists[j]}


def _grown(ranks: list[list[int]], i: int, k1: int) -> set[int]:
    wide = [r[: k1 + 1] for r in ranks]
    half = [r[: round(k1 / 2) + 1] for r in ranks]
    base = _mutual(wide, i)
    grown = set(base)
    for j in base:
        near = _mutual(half, j)
        if len(near & base) > 2 / 3 * len(near):
            grown |= near
    return grown


def _weights(sets: list[set[int]], rows: Array) -> Array:
    v = np.zeros_like(rows)
    for i, members in enumerate(sets):
        for j in members:
            v[i, j] = np.exp(-rows[i, j])
        v[i] /= v[i].sum()
    return v


def _result(v: Array, rows: Array, q: int, lambda_: float) -> Array:
    jaccard = np.zeros((q, len(v) - q))
    for i in range(q):
        for j in range(q, len(v)):
            m = np.minimum(v[i], v[j]).sum()
            jaccard[i, j - q] = 1 - m / (2 - m)
    return (1 - lambda_) * jaccard + lambda_ * rows[:q, q:]


def k_reciprocal(full: Array, q: int, k1=20, k2=6, lambda_=0.3, power=2.0) -> Array:
    rows, ranks = normalised(full, power), [ranking(full, i) for i in range(len(full))]
    v = _weights([_grown(ranks, i, k1) for i in range(len(full))], rows)
    if k2 > 1:
        v = np.array([v[r[:k2]].mean(axis=0) for r in ranks])
    return _result(v, rows, q, lambda_)


def camera_jaccard(
    full: Array, q: int, cameras, k1_intra=5, k1_inter=20, k2_intra=3, k2_inter=3, lambda_=0.3, power=2.0,
    camera_sets=True, camera_expansion=True, k1=20, k2=6,
) -> Array:  # fmt: skip
    n = len(full)
    rows, ranks = normalised(full, power), [ranking(full, i) for i in range(n)]
    own = [[j for j in ranks[i] if cameras[j] == cameras[i]] for i in range(n)]
    others = [[j for j in ranks[i] if cameras[j] != cameras[i]] for i in range(n)]
    if camera_sets:
        intra, inter = [r[: k1_intra + 1] for r in own], [r[: k1_inter + 1] for r in others]
        sets = [_mutual(intra, i) | _mutual(inter, i) for i in range(n)]
    else:
        sets = [_grown(ranks, i, k1) for i in range(n)]
    v = _weights(sets, rows)
    if camera_expansion:
        v = np.array([v[own[i][:k2_intra] + others[i][:k2_inter]].mean(axis=0) for i in range(n)])
    elif k2 > 1:
        v = np.array([v[r[:k2]].mean(axis=0) for r in ranks])
    return _result(v, rows, q, lambda_)


def ecn(full: Array, q: int, k=25, t=3, q_near=8, method="rankdist") -> Array:
    n = len(full)
    ranks = [ranking(full, i) for i in range(n)]
    around = []
    for i in range(n):
        first = ranks[i][1 : t + 1]
        around.append(first + [z for e in first for z in ranks[e][1 : q_near + 1]])
    pull = np.zeros((n, n))
    for i in range(n):
        for place, z in enumerate(ranks[i][:k]):
            pull[i, z] = k - place
    table = full if method == "origdist" else pull @ pull.T
    result = np.zeros((q, n - q))
    for i in range(q):
        for j in range(q, n):
            total = sum(table[e, j] for e in around[i]) + sum(table[e, i] for e in around[j])
            mean = total / (2 * len(around[i]))
            result[i, j - q] = mean if method == "origdist" else (-mean if mean else full[i, j])
    return result
