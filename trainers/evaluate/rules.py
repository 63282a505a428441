"""The scoring rules that a set can name."""

from collections.abc import Callable, Mapping
from functools import partial

import numpy as np
from numpy.typing import NDArray

from pipeline.errors import InputError
from trainers.evaluate.feature_set import FeatureSet
from trainers.metrics.retrieval import RetrievalScores, all_camera_scores, clothes_scores, retrieval_scores
from trainers.metrics.scenes import GALLERY_SIZES, scene_galleries, scene_scores
from trainers.metrics.single_shot import single_shot_scores, sysu_scores

Scores = Mapping[str, float]
Rule = Callable[[NDArray[np.float32], FeatureSet], Scores]


def score_row(scores: RetrievalScores) -> dict[str, float]:
    """The scores of a table's row.

    Raises:
        InputError: No query has a match.
    """
    if not (scores.first > 0).any():
        raise InputError(
            "no query has a match in the gallery", "under the Market rule: the same id in another camera"
        )
    ranks = {f"R{k}": float(scores.cmc[k - 1]) for k in (1, 5, 10)}
    return {"mAP": scores.mAP, **ranks, "mINP": scores.mINP}


def _by_camera(score: Callable[..., RetrievalScores], table: NDArray[np.float32], data: FeatureSet) -> Scores:
    return score_row(score(table, data.query_ids, data.gallery_ids, data.query_cameras, data.gallery_cameras))


def _all_cameras(table: NDArray[np.float32], data: FeatureSet) -> Scores:
    return score_row(all_camera_scores(table, data.query_ids, data.gallery_ids))


def _clothes(setting: str, table: NDArray[np.float32], data: FeatureSet) -> Scores:
    worn = [_label(data, f"{side}_clothes") for side in ("query", "gallery")]
    score = partial(clothes_scores, setting=setting)
    return score_row(
        score(
            table, data.query_ids, data.gallery_ids, data.query_cameras, data.gallery_cameras,
            worn[0], worn[1],
        )
    )  # fmt: skip


def _scenes(size: int, table: NDArray[np.float32], data: FeatureSet) -> Scores:
    """A scene is as far as the nearest person in it; R1 is PS-ReID's top-1."""
    scenes, number = np.unique(_label(data, "gallery_scenes"), return_inverse=True)
    distances = np.full((len(table), len(scenes)), np.inf, np.float32)
    present = np.zeros((len(table), len(scenes)), np.bool_)
    for person, scene in enumerate(number):
        np.minimum(distances[:, scene], table[:, person], out=distances[:, scene])
        present[:, scene] |= data.query_ids == data.gallery_ids[person]
    scores = scene_scores(distances, present, scene_galleries(present, size))
    return {"mAP": scores.mAP, "R1": scores.top1}


def _label(data: FeatureSet, name: str) -> NDArray[np.int64]:
    if name not in data.labels:
        raise InputError(f"the rule needs {name}, one number for each image")
    return data.labels[name]


RULES: dict[str, Rule] = {
    "market": partial(_by_camera, retrieval_scores),
    "all_cameras": _all_cameras,
    "text_to_image": _all_cameras,
    "single_shot": partial(_by_camera, single_shot_scores),
    "clothes_general": partial(_clothes, "general"),
    "clothes_changing": partial(_clothes, "changing"),
    "clothes_same": partial(_clothes, "same"),
    "sysu_all": partial(_by_camera, partial(sysu_scores, search="all")),
    "sysu_indoor": partial(_by_camera, partial(sysu_scores, search="indoor")),
    **{f"scenes_{size}": partial(_scenes, size) for size in GALLERY_SIZES},
}
