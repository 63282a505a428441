"""Scores and the cut of an embedder, against plain loops."""

from pathlib import Path

import numpy as np
import pytest

torch = pytest.importorskip("torch")

from engines.manifest import Preprocess  # noqa: E402
from pipeline.errors import InputError  # noqa: E402
from tests.trainers.datasets.trees import TREES  # noqa: E402
from tests.trainers.pictured import draw_people  # noqa: E402
from trainers.datasets.sample import Sample  # noqa: E402
from trainers.datasets.search import PictureSearch  # noqa: E402
from trainers.evaluate.feature_set import FeatureSet  # noqa: E402
from trainers.judging import at_cut, judge, need_judgement, operating_point, scores  # noqa: E402
from trainers.people import SetChoice  # noqa: E402

pytestmark = pytest.mark.torch

PICTURED = Preprocess(colour="rgb", scale=1 / 255, resize="stretch", size=(8, 8))


class Colours(torch.nn.Module):
    """The mean colours of the two halves, brought to unit length."""

    def forward(self, pictures: "torch.Tensor") -> "torch.Tensor":
        halves = pictures.unflatten(2, (2, -1)).mean((3, 4)).flatten(1) - 0.5
        return torch.nn.functional.normalize(halves, dim=1)


def test_people_who_differ_by_colour_are_found_by_colour(tmp_path: Path) -> None:
    folder = draw_people(tmp_path / "w", 24, seed=4, per_camera=3)
    network = Colours().train()
    judged = judge(network, PICTURED, SetChoice(folder=folder).searched(), torch.device("cpu"))
    assert network.training
    assert judged.query_features.shape == (24, 6)
    assert judged.gallery_features.shape == (48, 6)
    assert scores(judged)["mAP"] > 0.95
    point = operating_point(judged, "drawn people")
    assert at_cut(judged, point.max_distance)["recall_at_cut"] > 0.9
    assert point.chosen_on is not None
    assert "1% of strangers' tracklets" in point.chosen_on
    assert "20 enrolled people" in point.chosen_on


def test_a_stranger_is_taken_for_somebody_once_in_a_hundred() -> None:
    """The cut holds on watchlists drawn anew, by a plain loop."""
    rng = np.random.default_rng(0)
    people, cameras = np.repeat(np.arange(60), 6), np.tile([1, 1, 1, 2, 2, 2], 60)
    centres = rng.standard_normal((60, 8))
    rows = centres[people] + 0.5 * rng.standard_normal((360, 8))
    rows = (rows / np.linalg.norm(rows, axis=1, keepdims=True)).astype(np.float32)
    query = np.arange(360) % 3 == 0
    judged = FeatureSet(
        rows[query], rows[~query], people[query], people[~query], cameras[query], cameras[~query]
    )
    point = operating_point(judged, "made up")
    shares = at_cut(judged, point.max_distance)
    assert shares["strangers_at_cut"] == pytest.approx(0.01, abs=0.001)
    accepted, tries, own = 0, 0, []
    for _ in range(40):
        for person in range(60):
            mean = rows[(people == person) & (cameras == 1)].mean(0)
            mean /= np.linalg.norm(mean)
            enrolled = rng.choice([other for other in range(60) if other != person], 20, replace=False)
            pictures = [rng.choice(np.flatnonzero((people == other) & (cameras == 2))) for other in enrolled]
            accepted += (
                min(np.linalg.norm(rows[picture] - mean) for picture in pictures) <= point.max_distance
            )
            tries += 1
            itself = rows[(people == person) & (cameras == 2)]
            own.extend(np.linalg.norm(itself - mean, axis=1) <= point.max_distance)
    assert 0.003 < accepted / tries < 0.025
    assert shares["recall_at_cut"] == pytest.approx(np.mean(own), abs=0.05)
    assert at_cut(judged, 2.0) == {"recall_at_cut": 1, "strangers_at_cut": 1}


def test_a_set_without_an_official_search_is_refused(tmp_path: Path) -> None:
    folder = draw_people(tmp_path / "w", 4, seed=4, per_camera=1)  # one picture a camera: no gallery
    for picture in (folder / "bounding_box_test").glob("*.jpg"):
        picture.unlink()
    with pytest.raises(InputError):
        judge(Colours(), PICTURED, SetChoice(folder=folder).searched(), torch.device("cpu"))


def features(ids: "tuple[list[int], list[int]]", cameras: "tuple[list[int], list[int]]") -> FeatureSet:
    rng = np.random.default_rng(0)
    people = [
        np.eye(8)[np.abs(side) % 8] + 0.2 * rng.standard_normal((len(side), 8)) for side in map(np.array, ids)
    ]
    rows = [(side / np.linalg.norm(side, axis=1, keepdims=True)).astype(np.float32) for side in people]
    labels = [np.array(side) for side in (*ids, *cameras)]
    return FeatureSet(rows[0], rows[1], *labels)


def test_whom_nobody_searches_is_no_person_of_the_cut() -> None:
    """Distractors change neither the cut nor its figures, under whatever number they stand."""
    cut = {}
    for number in (0, -1, 77):
        ids = ([1, 2, 3], [1, 2, 3, *[number] * 6])
        judged = features(ids, ([1, 1, 1], [2, 2, 2, 1, 2, 1, 2, 1, 2]))
        cut[number] = operating_point(judged, "x").max_distance, at_cut(judged, 1.0)
    assert cut[0] == cut[-1] == cut[77]


def test_cameras_that_are_not_given_make_every_picture_a_tracklet() -> None:
    judged = features(([1, 2], [1, 2, 1, 2]), ([-1, -1], [-1] * 4))
    assert at_cut(judged, operating_point(judged, "x").max_distance)["recall_at_cut"] == 1.0


def test_a_set_that_cannot_judge_says_so_from_its_labels_alone() -> None:
    def search(rule: str, gallery: list[Sample], *more: Sample) -> PictureSearch:
        return PictureSearch((Sample(Path("none.jpg"), 1, 1, clothes=5), *more), tuple(gallery), rule)

    there = Sample(Path("none.jpg"), 1, 2, clothes=5)
    other = Sample(Path("none.jpg"), 2, 2, clothes=5)
    need_judgement(search("market", [there, other], other), "x")
    with pytest.raises(InputError, match="x cannot judge by the rule market: no query has a match"):
        need_judgement(search("market", [Sample(Path("none.jpg"), 1, 1)], other), "x")
    with pytest.raises(InputError, match="cannot judge by the rule clothes_changing"):
        need_judgement(search("clothes_changing", [there, other], other), "x")
    with pytest.raises(InputError, match="cannot choose a cut: it needs two people"):
        need_judgement(search("market", [there]), "x")


def test_a_set_is_judged_by_the_search_it_is_known_for(tmp_path: Path) -> None:
    TREES["ltcc"](tmp_path)
    ltcc = SetChoice(set="ltcc", folder=tmp_path)
    assert ltcc.searched().rule == "clothes_changing"
    assert ltcc.model_copy(update={"search": "standard"}).searched().rule == "clothes_general"
    rows = np.eye(2, dtype=np.float32)
    judged = FeatureSet(
        rows[:1], rows[[1, 0, 0]], *map(np.array, ([1], [1, 1, 2], [1], [2, 2, 2])),
        labels={"query_clothes": np.array([0]), "gallery_clothes": np.array([1, 0, 1])},
    )  # fmt: skip
    assert scores(judged, "clothes_changing") == {"mAP": 0.5, "R1": 0.0}
    assert scores(judged)["R1"] == 1.0
