"""Scores of an engine on labels, for the gate of `musewatch engines build`: found by role as `musewatch.gate`."""

from collections.abc import Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from engines.network import BoxNetwork, VectorNetwork
from trainers.datasets.pictures import embedded
from trainers.datasets.sample import Sample
from trainers.datasets.search import market_tree
from trainers.detection.judge import truth_of
from trainers.detection.picture_store import PictureStore
from trainers.evaluate.feature_set import FeatureSet
from trainers.evaluate.rules import RULES
from trainers.metrics.boxes import Found, box_scores

BATCH = 64


def embedder(network: VectorNetwork, folder: Path) -> dict[str, float]:
    """`mAP` and `R1` on a Market-1501 tree, by its rule.

    Raises:
        InputError: The folder is none, or a picture cannot be read.
    """
    search = market_tree(folder)

    def rows(samples: Sequence[Sample]) -> NDArray[np.float32]:
        return np.concatenate([vectors for _, vectors in embedded(samples, network.embed)])

    judged = FeatureSet.of(search.arrays(rows))
    found = RULES[search.rule](judged.unit_distances(), judged)
    return {name: float(found[name]) for name in ("mAP", "R1")}


def detector(network: BoxNetwork, folder: Path) -> dict[str, float]:
    """`AP50`, and `recall` at a precision of 0.9, on a folder of `world frames`.

    Raises:
        InputError: The folder holds no such pictures.
    """
    store = PictureStore((folder,))
    truths, found = [], []
    for start in range(0, len(store), BATCH):
        batch = [store[number] for number in range(start, min(len(store), start + BATCH))]
        truths += [truth_of(picture) for picture in batch]
        found += [
            Found(boxes.xyxy, boxes.score) for boxes in network.find([picture.image for picture in batch])
        ]
    scores = box_scores(truths, found)
    return {"AP50": scores.ap, "recall": scores.recall}
