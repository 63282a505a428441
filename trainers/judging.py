"""How good an embedder is on people it never saw: its rows, its ranking, its cut."""

from collections.abc import Sequence

import numpy as np
import torch
from numpy.typing import NDArray

from engines.manifest import OperatingPoint, Preprocess
from engines.preprocess import preprocess
from pipeline.errors import InputError
from trainers.datasets.pictures import Image, embedded
from trainers.datasets.sample import JUNK, Sample
from trainers.datasets.search import PictureSearch
from trainers.evaluate.feature_set import FeatureSet
from trainers.evaluate.rules import RULES

GALLERY = 20  # people on a watchlist of the operating point
ACCEPTED = 0.01  # share of strangers that it lets through
DRAWS = 20  # watchlists drawn for each stranger
TRACKLETS = 4000  # at most, of a set whose cameras are not given
NOT_GIVEN = -1  # camera
ASKED = 256  # queries whose labels are tried at once


def scores(judged: FeatureSet, rule: str = "market") -> dict[str, float]:
    """MAP and R1 to four places, in [0, 1], by a rule of `evaluate protocol`."""
    found = RULES[rule](judged.unit_distances(), judged)
    return {name: round(float(found[name]), 4) for name in ("mAP", "R1")}


def need_judgement(search: PictureSearch, where: str) -> None:
    """Checks, by labels alone, that a set can rank and that a cut can be chosen on it.

    Raises:
        InputError: No query has a match under the rule, or nobody is seen twice, or nobody is a stranger to anybody.
    """
    need_ranking(search, where)
    arrays = search.arrays(lambda samples: np.ones((len(samples), 1), np.float32))
    _need_cut(FeatureSet.of(arrays), where)


def need_ranking(search: PictureSearch, where: str) -> None:
    """Asks the rule itself, with one picture of each person, camera and clothes, whether anything can be found.

    Raises:
        InputError: No query has a match.
    """
    queries, gallery = (
        np.array(sorted({(sample.identity, sample.camera, sample.clothes) for sample in samples}))
        for samples in (search.query, search.gallery)
    )
    nowhere = np.zeros((len(gallery), 1), np.float32)
    for start in range(0, len(queries), ASKED):
        asked = queries[start : start + ASKED]
        people, cameras = (asked[:, 0], gallery[:, 0]), (asked[:, 1], gallery[:, 1])
        labels = {"query_clothes": asked[:, 2], "gallery_clothes": gallery[:, 2]}
        data = FeatureSet(nowhere[:1].repeat(len(asked), 0), nowhere, *people, *cameras, labels=labels)
        try:
            RULES[search.rule](data.unit_distances(), data)
        except InputError as error:
            refusal = error
        else:
            return
    raise InputError(f"{where} cannot judge by the rule {search.rule}: {refusal.problem}", refusal.fix)


def judge(
    module: torch.nn.Module, settings: Preprocess, search: PictureSearch, device: torch.device
) -> FeatureSet:
    """Embeds queries and gallery, fed exactly as the engine will be.

    Raises:
        InputError: A picture cannot be read.
    """
    return FeatureSet.of(search.arrays(lambda samples: embed(module, settings, samples, device)))


@torch.inference_mode()
def embed(
    module: torch.nn.Module, settings: Preprocess, samples: Sequence[Sample], device: torch.device
) -> NDArray[np.float32]:
    """(N, D) unit rows; the module is left in the mode that it was in."""
    training = module.training
    module.eval()

    def rows(images: list[Image]) -> NDArray[np.float32]:
        tensor, _ = preprocess(images, settings)
        made: NDArray[np.float32] = module(torch.from_numpy(tensor).to(device)).float().cpu().numpy()
        return made

    found = np.concatenate([vectors for _, vectors in embedded(samples, rows)])
    module.train(training)
    return found


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


def _need_cut(judged: FeatureSet, where: str) -> None:
    _, people, cameras = _counted(judged)
    seen = np.unique(np.stack([people, cameras], 1), axis=0)[:, 0]
    if len(np.unique(seen)) < 2 or len(seen) == len(np.unique(seen)):
        raise InputError(
            f"{where} cannot choose a cut: it needs two people, and one of them in two cameras",
            "take a held-out set whose people are seen by several cameras",
        )


def _counted(judged: FeatureSet) -> tuple[NDArray[np.float32], NDArray[np.int64], NDArray[np.int64]]:
    """Rows, people and cameras of those who are searched; where cameras are not given, every picture has its own.

    Whom nobody searches may be anybody: the distractors of a gallery have one number for all of them.
    """
    rows = np.concatenate([judged.query_features, judged.gallery_features])
    people = np.concatenate([judged.query_ids, judged.gallery_ids])
    cameras = np.concatenate([judged.query_cameras, judged.gallery_cameras])
    if (cameras == NOT_GIVEN).all():
        cameras = np.arange(len(cameras))
    counted = np.isin(people, judged.query_ids) & (people != JUNK)
    return rows[counted], people[counted], cameras[counted]


def _distances(judged: FeatureSet) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Of every tracklet to the nearest on each of its watchlists of others, and to every picture of its own person."""
    rows, people, cameras = _counted(judged)
    rng = np.random.default_rng(0)
    tracklets = np.unique(np.stack([people, cameras], 1), axis=0)
    if len(tracklets) == len(people) > TRACKLETS:
        tracklets = tracklets[np.sort(rng.choice(len(tracklets), TRACKLETS, replace=False))]
    strangers: list[float] = []
    own: list[float] = []
    for person, camera in tracklets:
        mean = rows[(people == person) & (cameras == camera)].mean(0)
        elsewhere = np.flatnonzero(cameras != camera)
        distances = np.sqrt(np.maximum(0, 2 - 2 * rows[elsewhere] @ (mean / np.linalg.norm(mean))))
        own.extend(distances[people[elsewhere] == person])
        if (people[elsewhere] != person).any():
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
