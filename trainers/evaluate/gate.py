"""Scores of an engine on labels, for the gate of `musewatch engines build`: found by role as `musewatch.gate`."""

from collections.abc import Iterator, Sequence
from pathlib import Path

import cv2
import numpy as np
from numpy.typing import NDArray

from engines.network import BoxNetwork, VectorNetwork
from pipeline.errors import InputError
from trainers.detection.judge import truth_of
from trainers.detection.picture_store import PictureStore
from trainers.evaluate.feature_set import FeatureSet
from trainers.evaluate.picture_set import Picture, read_market
from trainers.metrics.boxes import Found, box_scores

BATCH = 64


def embedder(network: VectorNetwork, folder: Path) -> dict[str, float]:
    """`mAP` and `R1` on a Market-1501 tree, by its rule.

    Raises:
        InputError: The folder is none, or a picture cannot be read.
    """
    pictures = read_market(folder)
    query, gallery = (_rows(network, part) for part in (pictures.query, pictures.gallery))
    ids, cameras = (
        [
            np.array([getattr(picture, label) for picture in part])
            for part in (pictures.query, pictures.gallery)
        ]
        for label in ("id", "camera")
    )
    return FeatureSet(query, gallery, ids[0], ids[1], cameras[0], cameras[1]).plain_scores()


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


def _rows(network: VectorNetwork, pictures: Sequence[Picture]) -> NDArray[np.float32]:
    return np.concatenate([network.embed(batch) for batch in _batches(pictures)])


def _batches(pictures: Sequence[Picture]) -> Iterator[list[NDArray[np.uint8]]]:
    for start in range(0, len(pictures), BATCH):
        yield [_read(picture.path) for picture in pictures[start : start + BATCH]]


def _read(path: Path) -> NDArray[np.uint8]:
    image = cv2.imread(str(path), cv2.IMREAD_COLOR)
    if image is None:
        raise InputError(f"{path} is not a picture", "take it out of the set, or get it again")
    return np.asarray(image, np.uint8)
