"""Feature files with people that can be told apart, more or less."""

import numpy as np


def arrays(seed=0, queries=20, gallery=120, people=15, cameras=3, judged=8):
    """The arrays of a contract file, a verifier's opinions included."""
    rng = np.random.default_rng(seed)
    centres = rng.standard_normal((people, 16))

    def some(n):
        ids = rng.integers(0, people, n)
        x = centres[ids] + 1.2 * rng.standard_normal((n, 16))
        return (
            (x / np.linalg.norm(x, axis=1, keepdims=True)).astype(np.float32),
            ids,
            rng.integers(1, cameras + 1, n),
        )

    q, q_ids, q_cameras = some(queries)
    g, g_ids, g_cameras = some(gallery)
    candidates = np.argsort(((q[:, None] - g[None]) ** 2).sum(-1), axis=1)[:, :judged]
    p_no = np.where(g_ids[candidates] == q_ids[:, None], 0.2, 0.8).astype(np.float32)
    return {
        "query_features": q, "gallery_features": g, "query_ids": q_ids, "gallery_ids": g_ids,
        "query_cameras": q_cameras, "gallery_cameras": g_cameras, "candidates": candidates, "p_no": p_no,
    }  # fmt: skip
