"""MUSE in small: each re-ranker without a second opinion, with a verifier's, and with another embedder's instead.

python -m tests.bench.verifier SETS VERIFIER --embedders person-hall person-small --cache build/verifier/bench

SETS holds `calibrate`, where alpha is chosen for every row, 0 among the weights, and the targets. The last embedder is
the control: its distance stands for an opinion, and its own rows show what it does alone.
"""

import argparse
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from engines.lmm.answers import p_no
from engines.lmm.pairs import open_pairs
from engines.lmm.pictures import Picture, prepare
from engines.manifest import Manifest, load_manifest
from engines.network import VectorNetwork
from engines.sessions.open import open_session
from engines.shelf import ZOO, Shelf
from pipeline.rerank import MuEntries
from trainers.datasets.pictures import read_picture
from trainers.datasets.sample import JUNK, Sample
from trainers.datasets.search import PictureSearch, official
from trainers.evaluate.encoding import Encoding
from trainers.evaluate.feature_cache import FeatureCache
from trainers.evaluate.feature_set import FeatureSet, nearest_rows
from trainers.evaluate.rerankers import choose
from trainers.evaluate.rules import RULES
from trainers.metrics.pair_auc import pair_auc

ALPHAS = (0.0, 0.05, 0.1, 0.2, 0.3, 0.5)
TARGETS = ("street", "night", "park")
HELD_OUT = "calibrate"
RERANKERS = ("none", "k_reciprocal", "ecn", "camera_jaccard")
TOP_C = 40
Rows = NDArray[np.int64]
Opinion = Callable[["Lists"], NDArray[np.float32]]


class Lists:
    """An embedder's shortlists in one set, and how they rank."""

    def __init__(self, name: str, search: PictureSearch, encoding: Encoding) -> None:
        self.name, self.search = name, search
        self.data: FeatureSet = encoding.features(search)
        self.d = self.data.distances()
        self.candidates = nearest_rows(self.d, TOP_C)

    def raw(self, candidates: Rows) -> NDArray[np.float32]:
        """(Q, C) distances of the candidates of each query."""
        rows = np.repeat(np.arange(len(candidates)), candidates.shape[1])
        return self.d.pairs(rows, candidates.ravel() + self.d.n_queries).reshape(candidates.shape)

    def score(self, reranker: str, said: NDArray[np.float32] | None, alpha: float) -> tuple[float, float]:
        """MAP and Rank-1, in per cent."""
        (chosen,) = choose([reranker])
        mu = None if said is None or not alpha else MuEntries(self.candidates, said, alpha)
        cameras = self.data.query_cameras, self.data.gallery_cameras
        table = np.concatenate([block for _, block in chosen.blocks(self.d, *cameras, mu)])
        found = RULES[self.search.rule](table, self.data)
        return 100 * float(found["mAP"]), 100 * float(found["R1"])

    def auc(self, said: NDArray[np.float32]) -> float:
        """Over the pairs of the shortlists: one person by two cameras against two people."""
        data = self.data
        people, cameras = data.gallery_ids[self.candidates], data.gallery_cameras[self.candidates]
        own = people == data.query_ids[:, None]
        known = people != JUNK
        return pair_auc(said[own & known & (cameras != data.query_cameras[:, None])], said[~own & known])


def asked(engine: Manifest) -> Opinion:
    """A verifier's opinions."""
    scorer = open_pairs(engine, device="cpu", batch=64, read_mb=256)

    def picture(sample: Sample) -> Picture:
        return prepare([read_picture(sample)], engine.preprocess)[0]

    def said(lists: Lists) -> NDArray[np.float32]:
        gallery = [picture(sample) for sample in lists.search.gallery]
        answers = []
        for sample, rows in zip(lists.search.query, lists.candidates, strict=True):
            first = picture(sample)
            answers.append(p_no(scorer.score([(first, gallery[row]) for row in rows]), engine.tau or 5.0))
            scorer.forget(first)
        return np.stack(answers)

    return said


def measured(other: Encoding) -> Opinion:
    """Half of another embedder's distance, which lies in the range of p_no."""
    return lambda lists: Lists(lists.name, lists.search, other).raw(lists.candidates) / 2


def encoding(name: str, cache: FeatureCache) -> Encoding:
    """An embedder by its name in `engines list`."""
    manifest = load_manifest(Shelf(ZOO).find(name))
    return Encoding(VectorNetwork(manifest, open_session(manifest)), manifest.digest, cache)


def rows_of(lists: dict[str, Lists], opinions: dict[str, Opinion]) -> Iterator[str]:
    """A line of the table for each re-ranker and opinion."""
    said = {who: {name: ask(each) for name, each in lists.items()} for who, ask in opinions.items()}
    own = {name: each.raw(each.candidates) for name, each in lists.items()}
    for who, by_set in {"its own distance": own, **said}.items():
        aucs = [f"{100 * lists[name].auc(by_set[name]):.1f}" for name in TARGETS]
        yield f"| AUC of {who} | | {' | '.join(aucs)} | |"
    for reranker in RERANKERS:
        plain = [lists[name].score(reranker, None, 0) for name in TARGETS]
        yield _line(reranker, "-", plain, plain)
        for who, by_set in said.items():
            tried = {alpha: lists[HELD_OUT].score(reranker, by_set[HELD_OUT], alpha)[0] for alpha in ALPHAS}
            alpha = max(tried, key=tried.__getitem__)  # the smallest of equals
            found = [lists[name].score(reranker, by_set[name], alpha) for name in TARGETS]
            yield _line(f"{reranker} + {who}", f"{alpha:g}", found, plain)


def _line(method: str, alpha: str, found: list[tuple[float, float]], plain: list[tuple[float, float]]) -> str:
    cells = [f"{mean_ap:.1f} / {rank_1:.1f}" for mean_ap, rank_1 in found]
    gain = np.mean([one[0] - other[0] for one, other in zip(found, plain, strict=True)])
    return f"| {method} | {alpha} | {' | '.join(cells)} | {gain:+.1f} |"


def main() -> None:
    """Prints a table of each embedder."""
    parser = argparse.ArgumentParser()
    parser.add_argument("sets", type=Path)
    parser.add_argument("verifiers", type=Path, nargs="+")
    parser.add_argument("--embedders", nargs="+", default=["person-hall", "person-small"])
    parser.add_argument("--cache", type=Path, required=True)
    args = parser.parse_args()
    verifiers = {engine.name: asked(engine) for engine in map(load_manifest, args.verifiers)}
    searches = {name: official("world", args.sets / name, 1) for name in (HELD_OUT, *TARGETS)}
    with FeatureCache(args.cache) as cache:
        known = {name: encoding(name, cache) for name in args.embedders}
        for name, own in known.items():
            lists = {place: Lists(place, search, own) for place, search in searches.items()}
            control = args.embedders[-1]
            others = {f"distance of {control}": measured(known[control])} if control != name else {}
            print(f"\n| {name} | alpha | {' | '.join(TARGETS)} | mean mAP |\n|---|---|---|---|---|---|")
            for line in rows_of(lists, verifiers | others):
                print(line, flush=True)


if __name__ == "__main__":
    main()
