"""Re-ranking as one would first write it in numpy: whole N x N float32 arrays, one loop over rows.

What the sparse form is timed against. Distances come from features; no opinions, no switches.
"""

import numpy as np


def distances(features, power=2, normalised=True):
    """(N, N) float32, each row divided by its largest."""
    squares = np.einsum("ij,ij->i", features, features)
    full = squares[:, None] + squares - 2 * (features @ features.T)
    np.maximum(full, 0, out=full)
    np.fill_diagonal(full, 0)
    if power != 2:
        full **= power / 2
    if normalised:
        full /= full.max(axis=1, keepdims=True)
    return full


def ranking(full):
    """(N, N) images by distance, each row's own first."""
    full = full.copy()
    np.fill_diagonal(full, -1)
    return np.argsort(full, axis=1, kind="stable").astype(np.int32)


def _mutual(lists, i):
    return lists[i][(lists[lists[i]] == i).any(axis=1)]


def _grown(ranks, i, k1):
    wide, half = ranks[:, : k1 + 1], ranks[:, : round(k1 / 2) + 1]
    base = _mutual(wide, i)
    members = [base]
    for j in base:
        near = _mutual(half, j)
        if 3 * np.isin(near, base).sum() > 2 * len(near):
            members.append(near)
    return np.unique(np.concatenate(members))


def _result(v, full, q, lambda_):
    columns = np.ascontiguousarray(v[q:].T)
    holders = [np.flatnonzero(column) for column in columns]
    result = np.empty((q, len(v) - q), np.float32)
    for i in range(q):
        m = np.zeros(len(v) - q, np.float32)
        for z in np.flatnonzero(v[i]):
            m[holders[z]] += np.minimum(v[i, z], columns[z, holders[z]])
        result[i] = (1 - lambda_) * (1 - m / (2 - m))
    return result + lambda_ * full[:q, q:]


def _weights(sets, full):
    v = np.zeros_like(full)
    for i, members in enumerate(sets):
        weight = np.exp(-full[i, members])
        v[i, members] = weight / weight.sum()
    return v


def k_reciprocal(features, q, k1=20, k2=6, lambda_=0.3):
    full = distances(features)
    ranks = ranking(full)
    v = _weights([_grown(ranks, i, k1) for i in range(len(full))], full)
    v = np.stack([v[near].mean(axis=0) for near in ranks[:, :k2]])
    return _result(v, full, q, lambda_)


def camera_jaccard(features, q, cameras, k1_intra=5, k1_inter=20, k2_intra=3, k2_inter=3, lambda_=0.3):
    full = distances(features)
    ranks = ranking(full)
    own = np.full((len(full), max(k1_intra + 1, k2_intra)), -1)
    others = np.full((len(full), max(k1_inter + 1, k2_inter)), -1)
    for i, rank in enumerate(ranks):
        same = cameras[rank] == cameras[i]
        for lists, listed in ((own, rank[same]), (others, rank[~same])):
            count = min(len(listed), lists.shape[1])
            lists[i, :count] = listed[:count]
    sets = []
    for i in range(len(full)):
        parts = []
        for lists in (own[:, : k1_intra + 1], others[:, : k1_inter + 1]):
            listed = lists[i][lists[i] >= 0]
            parts.append(listed[(lists[listed] == i).any(axis=1)])
        sets.append(np.concatenate(parts))
    v = _weights(sets, full)
    means = np.concatenate([own[:, :k2_intra], others[:, :k2_inter]], axis=1)
    v = np.stack([v[near[near >= 0]].mean(axis=0) for near in means])
    return _result(v, full, q, lambda_)


def ecn(features, q, k=25, t=3, q_near=8):
    full = distances(features, power=1, normalised=False)
    ranks = ranking(full)
    n = len(full)
    holders = [[] for _ in range(n)]
    for i in range(n):
        for place, z in enumerate(ranks[i, :k]):
            holders[z].append((i, k - place))
    columns = [np.array(some).reshape(-1, 2) for some in holders]
    similar = np.zeros((n, n), np.float32)
    for i in range(n):
        for place, z in enumerate(ranks[i, :k]):
            similar[i, columns[z][:, 0]] += (k - place) * columns[z][:, 1]
    first = ranks[:, 1 : t + 1]
    around = np.concatenate([first, ranks[first, 1 : q_near + 1].reshape(n, -1)], axis=1)
    result = np.empty((q, n - q), np.float32)
    for i in range(q):
        total = similar[around[i], q:].sum(axis=0) + similar[i][around[q:]].sum(axis=1)
        result[i] = -total / (2 * around.shape[1])
    return np.where(result == 0, full[:q, q:], result)
