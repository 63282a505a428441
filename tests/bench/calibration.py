"""What a calibration promised against what it gave: false alarms asked for and measured, from 10 to 10,000 enrolled.

python -m tests.bench.calibration                       vectors drawn
python -m tests.bench.calibration TREE --engine NAME    pictures of a Market-1501 tree, for as many as it holds
"""

import argparse
from collections.abc import Iterator
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from scipy.optimize import isotonic_regression

from pipeline.registry import build
from pipeline.settings import choose
from trainers.datasets.pictures import embedded
from trainers.datasets.search import market_tree
from trainers.metrics.impostors import SIZES, Searches, cut_bands, likelihood, many_pictures

ASKED = (0.01, 0.05)
ENROLLED = (10, 100, 500, 1000, 10_000)
SEEN = 0  # which picture of a person is looked for; the others are enrolled
Vectors = NDArray[np.float32]


def drawn(seed: int, people: int = 12_900, pictures: int = 6, numbers: int = 32) -> Vectors:
    """(people, pictures, numbers) unit vectors: people of twelve kinds, pictures of a person apart by noise."""
    rng = np.random.default_rng(seed)
    kinds = 0.8 * rng.standard_normal((12, numbers))
    centres = kinds[rng.integers(0, 12, people)] + rng.standard_normal((people, numbers))
    made = centres[:, None] + 0.5 * rng.standard_normal((people, pictures, numbers))
    return (made / np.linalg.norm(made, axis=-1, keepdims=True)).astype(np.float32)


def pictured(tree: Path, engine: str) -> Vectors:
    """(people, pictures, D) of those of whom a tree has two pictures."""
    embedder = build("embedder", choose("onnx", engine=engine), Path(), "embedder")
    search = market_tree(tree)
    samples = [*search.query, *search.gallery]
    rows = np.concatenate([vectors for _, vectors in embedded(samples, embedder.embed)])
    own: dict[int, list[int]] = {}
    for place, sample in enumerate(samples):
        own.setdefault(sample.identity, []).append(place)
    return rows[np.array([places[:2] for places in own.values() if len(places) > 1])]


def distances(seen: Vectors, enrolled: Vectors) -> NDArray[np.float64]:
    """(S, N) to the nearest picture of each; (S, D), (N, K, D)."""
    best = np.full((len(seen), len(enrolled)), -1.0, np.float32)
    for k in range(enrolled.shape[1]):
        np.maximum(best, seen @ enrolled[:, k].T, out=best)
    nearest: NDArray[np.float64] = np.sqrt(np.maximum(2.0 - 2.0 * best, 0))
    return nearest


def pairs(people: Vectors) -> Searches:
    """Each seen once, and enrolled by all their other pictures."""
    enrolled = people[:, SEEN + 1 :]
    count, each = enrolled.shape[:2]
    rows = enrolled.reshape(-1, 1, people.shape[2])
    identities = np.repeat(np.arange(count), each)
    same = np.arange(count)[:, None] == identities
    return Searches(distances(people[:, SEEN], rows), same, ~same, np.arange(count), identities)


def measured(people: Vectors, known: int, seed: int) -> Iterator[str]:
    """Rows of a table: calibrated on the first `known`, measured on watchlists of the others."""
    calibrated = pairs(people[:known])
    many = many_pictures(calibrated)
    rest = np.random.default_rng(seed).permutation(people[known:])
    strangers, others = rest[: len(rest) // 5, SEEN], rest[len(rest) // 5 :, SEEN + 1 :]
    for asked in ASKED:
        bands = cut_bands(calibrated, asked)
        for count in (n for n in ENROLLED if n <= len(others)):
            for each in sorted({1, others.shape[1]}):
                cut, low, high = (np.interp(np.log(count * each**many), np.log(SIZES), row) for row in bands)
                lists = min(len(others) // count, 20)
                near = distances(strangers, others[: lists * count, :each])
                rate = (near.reshape(len(strangers), lists, count).min(axis=2) <= cut).mean()
                yield f"| {asked:.0%} | {count} | {each} | {cut:.3f} ({low:.3f}-{high:.3f}) | {rate:.2%} |"


def fits(people: Vectors) -> dict[str, float]:
    """Log loss on held-out people of the two monotone fits, as many genuine as impostor pairs by weight."""
    half = len(people) // 2
    known, held_out = pairs(people[:half]), pairs(people[half:])
    x, same = (
        np.concatenate([a, b])
        for a, b in (
            (known.distances[known.genuine], known.distances[known.impostor]),
            (np.ones(known.genuine.sum()), np.zeros(known.impostor.sum())),
        )
    )
    weight = np.where(same == 1, 0.5 / (same == 1).sum(), 0.5 / (same == 0).sum())
    order = np.argsort(x)
    steps = isotonic_regression(same[order], weights=weight[order], increasing=False).x
    intercept, slope = likelihood(known.distances[known.genuine], known.distances[known.impostor])

    def loss(told: NDArray[np.float64], truth: bool) -> float:
        kept = np.clip(told, 1e-6, 1 - 1e-6)
        return float(-np.log(kept if truth else 1 - kept).mean()) / 2

    result = {"logistic": 0.0, "isotonic": 0.0}
    for chosen, truth in ((held_out.genuine, True), (held_out.impostor, False)):
        d = held_out.distances[chosen]
        result["logistic"] += loss(1 / (1 + np.exp(-(intercept + slope * d))), truth)
        result["isotonic"] += loss(np.interp(d, x[order], steps), truth)
    return result


def main() -> None:
    """Prints the table."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("tree", nargs="?", type=Path)
    parser.add_argument("--engine", default="person-small")
    parser.add_argument("--known", type=int, default=300)
    parser.add_argument("--seed", type=int, default=0)
    chosen = parser.parse_args()
    people = pictured(chosen.tree, chosen.engine) if chosen.tree else drawn(chosen.seed)
    print(f"{len(people)} people, {people.shape[1]} pictures each, calibrated on {chosen.known}\n")
    print("| asked | enrolled | pictures each | cut (95 % band) | measured |\n|---|---|---|---|---|")
    for row in measured(people, chosen.known, chosen.seed):
        print(row)
    print(
        "\nlog loss on held-out people:",
        {k: round(v, 4) for k, v in fits(people[: 2 * chosen.known]).items()},
    )


if __name__ == "__main__":
    main()
