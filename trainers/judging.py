"""How good an embedder is on people it never saw: its rows, its ranking, its cut."""

from collections.abc import Sequence

import numpy as np
import torch
from numpy.typing import NDArray

from engines.manifest import OperatingPoint, Preprocess
from engines.preprocess import preprocess
from pipeline.errors import InputError
from trainers.datasets.catalogue import load
from trainers.datasets.sample import JUNK, Sample
from trainers.evaluate.feature_set import FeatureSet
from trainers.people import SetChoice, read_picture

GALLERY = 20  # people on a watchlist of the operating point
ACCEPTED = 0.01  # share of strangers that it lets through
DRAWS = 20  # watchlists drawn for each stranger


def scores(judged: FeatureSet) -> dict[str, float]:
    """MAP and R1 to four places, in [0, 1], by the Market-1501 rule."""
    return {name: round(value, 4) for name, value in judged.plain_scores().items()}


def judge(
    module: torch.nn.Module, settings: Preprocess, choice: SetChoice, device: torch.device
) -> FeatureSet:
    """Embeds the queries and the gallery of a set, fed exactly as the engine will be.

    Raises:
        InputError: The set cannot be read, or has no queries or gallery.
    """
    (folder,) = choice.folders()
    splits = load(choice.set, folder, choice.trial).splits
    if not (splits.get("query") and splits.get("gallery")):
        raise InputError(f"{folder} has no queries or no gallery", "take a set with an official search")
    parts = []
    for split in ("query", "gallery"):
        samples = splits[split]
        parts.append(
            (
                embed(module, settings, samples, device),
                np.array([sample.identity for sample in samples]),
                np.array([sample.camera for sample in samples]),
            )
        )
    (query, query_ids, query_cameras), (gallery, gallery_ids, gallery_cameras) = parts
    return FeatureSet(query, gallery, query_ids, gallery_ids, query_cameras, gallery_cameras)


@torch.inference_mode()
def embed(
    module: torch.nn.Module,
    settings: Preprocess,
    samples: Sequence[Sample],
    device: torch.device,
    batch: int = 64,
) -> NDArray[np.float32]:
    """(N, D) unit rows; the module is left in the mode that it was in."""
    training = module.training
    module.eval()
    rows = []
    for start in range(0, len(samples), batch):
        images = [read_picture(sample) for sample in samples[start : start + batch]]
        tensor, _ = preprocess(images, settings)
        rows.append(module(torch.from_numpy(tensor).to(device)).float().cpu().numpy())
    module.train(training)
    return np.concatenate(rows)


def operating_point(judged: FeatureSet, where: str) -> OperatingPoint:
    """The cut at which a stranger is taken for one of 20 enrolled people once in a hundred.

    A tracklet is the mean of all pictures of a person by one camera, brought to unit length. A watchlist is one
    picture each of `GALLERY` other people by another camera; `DRAWS` are drawn for each tracklet. The cut is the 1 %
    quantile of the distance to the nearest of them.

    Args:
        judged: People and pictures that the network has not learned.
        where: What they are, for the record.
    """
    strangers, _ = _distances(judged)
    rule = f"{ACCEPTED:.0%} of strangers' tracklets taken for one of {GALLERY} enrolled people ({where})"
    return OperatingPoint(max_distance=round(float(np.quantile(strangers, ACCEPTED)), 3), chosen_on=rule)


def at_cut(judged: FeatureSet, max_distance: float) -> dict[str, float]:
    """What a cut does to other people: shares in [0, 1].

    Returns:
        `recall_at_cut`: tracklets within the cut of a picture of the same person by another camera.
        `strangers_at_cut`: tracklets within the cut of anybody of a watchlist that they are not on.
    """
    strangers, own = _distances(judged)
    return {
        "recall_at_cut": round(float(np.mean(own <= max_distance)), 4),
        "strangers_at_cut": round(float(np.mean(strangers <= max_distance)), 4),
    }


def _distances(judged: FeatureSet) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Of every tracklet to the nearest on each of its watchlists of others, and to every picture of its own person."""
    rows = np.concatenate([judged.query_features, judged.gallery_features])
    people = np.concatenate([judged.query_ids, judged.gallery_ids])
    cameras = np.concatenate([judged.query_cameras, judged.gallery_cameras])
    rng = np.random.default_rng(0)
    strangers: list[float] = []
    own: list[float] = []
    for person, camera in np.unique(np.stack([people, cameras], 1)[people != JUNK], axis=0):
        mean = rows[(people == person) & (cameras == camera)].mean(0)
        elsewhere = np.flatnonzero((cameras != camera) & (people != JUNK))
        distances = np.sqrt(np.maximum(0, 2 - 2 * rows[elsewhere] @ (mean / np.linalg.norm(mean))))
        own.extend(distances[people[elsewhere] == person])
        strangers.extend(_nearest(distances, people[elsewhere], person, rng) for _ in range(DRAWS))
    return np.array(strangers), np.array(own)


def _nearest(
    distances: NDArray[np.float32], people: NDArray[np.int64], person: int, rng: np.random.Generator
) -> float:
    """The distance to the nearest of a watchlist of others, one random picture each."""
    others = np.unique(people[people != person])
    enrolled = rng.choice(others, min(GALLERY, len(others)), replace=False)
    shuffled = rng.permutation(len(people))
    _, first = np.unique(people[shuffled], return_index=True)  # one random picture of everybody
    chosen = shuffled[first]
    return float(distances[chosen[np.isin(people[chosen], enrolled)]].min())
