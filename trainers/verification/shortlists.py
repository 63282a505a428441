"""What a verifier is judged by: an embedder's shortlists, pair by pair and as rankings."""

from collections.abc import Callable, Sequence
from typing import Annotated

import numpy as np
from numpy.typing import NDArray
from pydantic import Field

from pipeline.errors import InputError
from pipeline.rerank import MuEntries
from pipeline.settings import Settings
from trainers.datasets.sample import JUNK, Sample
from trainers.datasets.search import PictureSearch
from trainers.evaluate.feature_set import FeatureSet, nearest_rows
from trainers.evaluate.rerankers import choose
from trainers.evaluate.rules import RULES
from trainers.judging import ACCEPTED, GALLERY, NOT_GIVEN
from trainers.metrics.pair_auc import pair_auc

Ask = Callable[[Sequence[Sample], Sequence[Sample], NDArray[np.int64]], NDArray[np.float32]]
"""(Q, C) p_no of queries and the candidates (Q, C) among pictures."""
SURE = 2.5  # standard errors by which a verifier must make the lists better: the best of several weights is taken
PLAIN, RERANKED = "none", "k_reciprocal"


class JudgeSettings(Settings):
    """How a verifier is judged."""

    top_c: int = Field(default=40, ge=1, le=1000, description="Length of the shortlists.")
    queries: int | None = Field(default=None, ge=1, description="Of each set at most; null = all.")
    alphas: tuple[Annotated[float, Field(ge=0, lt=1)], ...] = Field(
        default=(0.0, 0.05, 0.1, 0.2, 0.3, 0.5), min_length=1, description="Weights that are tried; 0 = none."
    )
    pairs: int = Field(default=64, ge=1, le=100_000, description="Pairs in one run.")
    pictures_mb: int = Field(
        default=512, ge=1, le=10**6, description="Memory for pictures that were looked at."
    )


class Shortlists:
    """The nearest gallery pictures of each query.

    Args:
        search: Queries and gallery.
        vectors: The embedder.
        settings: How many of them.
        where: What they are, for messages.

    Raises:
        InputError: Nothing on the lists is of one person, or nothing of two.
    """

    def __init__(
        self,
        search: PictureSearch,
        vectors: Callable[[Sequence[Sample]], NDArray[np.float32]],
        settings: JudgeSettings,
        where: str,
    ) -> None:
        wanted = min(settings.queries or len(search.query), len(search.query))
        chosen = np.unique(np.linspace(0, len(search.query) - 1, wanted).round().astype(int))
        self._whole, self._vectors = search, vectors
        self._search = PictureSearch(tuple(search.query[row] for row in chosen), search.gallery, search.rule)
        self._alphas = settings.alphas
        self._data = FeatureSet.of(self._search.arrays(vectors))
        self._d = self._data.distances()
        self.candidates = nearest_rows(self._d, settings.top_c)
        self._same, self._other = self._kinds()
        if not (self._same.any() and self._other.any()):
            raise InputError(
                f"{where} cannot judge a verifier: its shortlists have no pair of "
                f"{'two people' if self._same.any() else 'one person by two cameras'}",
                "take a set with more people, seen by several cameras",
            )

    def ask(self, ask: Ask) -> NDArray[np.float32]:
        """(Q, C) p_no of all shortlists."""
        return ask(self._search.query, self._search.gallery, self.candidates)

    def auc(self, p_no: NDArray[np.float32]) -> dict[str, float]:
        """AUC over all pairs of the shortlists, of the verifier and of the distance."""
        return {"AUC": self._auc(p_no), "distance_AUC": self._auc(self._raw())}

    def best_alpha(self, p_no: NDArray[np.float32]) -> float:
        """The weight with the highest mAP, the smallest of equals; 0 where its gain may be chance."""
        found = {alpha: self._scores(p_no, alpha, PLAIN)["mAP"] for alpha in sorted(self._alphas)}
        best = max(found, key=found.__getitem__)
        return best if self._surely_gains(p_no, best) else 0.0

    def _surely_gains(self, p_no: NDArray[np.float32], alpha: float) -> bool:
        """Whether the lists get better by more than `SURE` standard errors over the queries."""
        raw = self._raw()
        fused = MuEntries(self.candidates, p_no, alpha).mix(raw)
        rows = [row for row in range(len(raw)) if self._same[row].any()]
        gains = np.array([self._precision(fused, row) - self._precision(raw, row) for row in rows])
        return len(gains) > 1 and bool(gains.mean() > SURE * gains.std(ddof=1) / np.sqrt(len(gains)))

    def _precision(self, distances: NDArray[np.float32], row: int) -> float:
        """Average precision of one list."""
        counts = self._same[row] | self._other[row]
        order = np.argsort(distances[row][counts], kind="stable")
        places = np.flatnonzero(self._same[row][counts][order]) + 1
        return float((np.arange(1, len(places) + 1) / places).mean())

    def scores(self, p_no: NDArray[np.float32], alpha: float, reranker: str = PLAIN) -> dict[str, float]:
        """MAP and R1 of the ranking without and with the verifier, to four places."""
        plain, mu = self._scores(None, 0.0, reranker), self._scores(p_no, alpha, reranker)
        named = {name: plain[name] for name in ("mAP", "R1")} | {
            f"mu_{name}": mu[name] for name in ("mAP", "R1")
        }
        return {name: round(float(value), 4) for name, value in named.items()}

    def cut(self, ask: Ask, alpha: float, seed: int = 0) -> float:
        """The fused distance at which a stranger's picture is taken for one of 20 enrolled people once in a hundred.

        All queries of the set are strangers once, however few are asked about to judge.

        A watchlist is one picture each of `GALLERY` other people by another camera; one is drawn for each query.
        """
        rng = np.random.default_rng(seed)
        data = FeatureSet.of(self._whole.arrays(self._vectors))
        watchlists = [_others(data, query, rng) for query in range(len(data.query_ids))]
        length = min(map(len, watchlists))
        drawn = np.stack([rows[:length] for rows in watchlists])
        rows, d = np.repeat(np.arange(len(drawn)), length), data.distances()
        raw = d.pairs(rows, drawn.ravel() + d.n_queries).reshape(drawn.shape)
        if alpha:
            raw = MuEntries(drawn, ask(self._whole.query, self._whole.gallery, drawn), alpha).mix(raw)
        return float(np.quantile(raw.min(axis=1), ACCEPTED))

    def _kinds(self) -> tuple[NDArray[np.bool_], NDArray[np.bool_]]:
        """Of each pair of the lists: whether it is of one person by two cameras, and whether it is of two people."""
        data, cameras = self._data, self._data.gallery_cameras[self.candidates]
        people = data.gallery_ids[self.candidates]
        own = people == data.query_ids[:, None]
        elsewhere = (cameras != data.query_cameras[:, None]) | (cameras == NOT_GIVEN)
        return own & elsewhere & (people != JUNK), ~own & (people != JUNK)

    def _raw(self) -> NDArray[np.float32]:
        rows = np.repeat(np.arange(len(self.candidates)), self.candidates.shape[1])
        return self._d.pairs(rows, self.candidates.ravel() + self._d.n_queries).reshape(self.candidates.shape)

    def _auc(self, distances: NDArray[np.float32]) -> float:
        return round(pair_auc(distances[self._same], distances[self._other]), 4)

    def _scores(self, p_no: NDArray[np.float32] | None, alpha: float, reranker: str) -> dict[str, float]:
        mu = None if p_no is None else MuEntries(self.candidates, p_no, alpha)
        (chosen,) = choose([reranker])
        cameras = self._data.query_cameras, self._data.gallery_cameras
        table = np.concatenate([block for _, block in chosen.blocks(self._d, *cameras, mu)])
        return dict(RULES[self._search.rule](table, self._data))


def _others(data: FeatureSet, query: int, rng: np.random.Generator) -> NDArray[np.int64]:
    """Rows of one picture each of `GALLERY` other people, by another camera than the query's."""
    elsewhere = (data.gallery_cameras != data.query_cameras[query]) | (data.gallery_cameras == NOT_GIVEN)
    strange = (data.gallery_ids != data.query_ids[query]) & (data.gallery_ids != JUNK)
    rows = rng.permutation(np.flatnonzero(strange & elsewhere))
    _, first = np.unique(data.gallery_ids[rows], return_index=True)
    one_each: NDArray[np.int64] = rows[rng.permutation(first)[:GALLERY]]
    return one_each
