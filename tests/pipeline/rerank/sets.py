"""Made-up sets that are hard on re-rankers: ties, equal images, few images, lonely cameras."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from pipeline.rerank import Distances, MuEntries
from tests.oracles import rerank as oracle


@dataclass(frozen=True)
class Made:
    features: NDArray[np.float32]
    cameras: NDArray[np.int64]
    q: int
    candidates: NDArray[np.int64]
    p_no: NDArray[np.float32]

    @property
    def d(self) -> Distances:
        return Distances.from_features(self.features[: self.q], self.features[self.q :])

    @property
    def matrices(self) -> Distances:
        full = oracle.euclidean(self.features)
        q = self.q
        return Distances.from_matrices(full[:q, q:], full[:q, :q], full[q:, q:])

    def mu(self, alpha: float) -> MuEntries:
        return MuEntries(self.candidates, self.p_no, alpha)

    def full(self, alpha: float | None) -> NDArray[np.float64]:
        raw, q = oracle.euclidean(self.features), self.q
        opinions = () if alpha is None else (self.candidates, self.p_no, alpha)
        return oracle.whole(raw[:q, q:], raw[:q, :q], raw[q:, q:], *opinions)


def made(seed: int, q: int | None = None, g: int | None = None, lattice: bool | None = None) -> Made:
    """A small set; on a lattice of whole numbers most distances are tied."""
    rng = np.random.default_rng(seed)
    q, g = q or int(rng.integers(1, 12)), g or int(rng.integers(1, 50))
    width = int(rng.integers(2, 8))
    tied = seed % 2 == 0 if lattice is None else lattice
    x = rng.integers(-2, 3, (q + g, width)) if tied else rng.standard_normal((q + g, width))
    if seed % 3 == 0:
        x[rng.integers(0, q + g, 6)] = x[0]
    judged = min(g, int(rng.integers(1, 8)))
    return Made(
        x.astype(np.float32),
        rng.integers(0, 3, q + g),
        q,
        np.argsort(rng.random((q, g)), axis=1)[:, :judged],
        rng.random((q, judged)).astype(np.float32),
    )
