"""Scores and the cut of an embedder, against plain loops."""

from pathlib import Path

import numpy as np
import pytest

torch = pytest.importorskip("torch")

from engines.manifest import Preprocess  # noqa: E402
from pipeline.errors import InputError  # noqa: E402
from tests.trainers.pictured import draw_people  # noqa: E402
from trainers.evaluate.feature_set import FeatureSet  # noqa: E402
from trainers.judging import at_cut, judge, operating_point, scores  # noqa: E402
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
    judged = judge(network, PICTURED, SetChoice(folder=folder), torch.device("cpu"))
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
        judge(Colours(), PICTURED, SetChoice(folder=folder), torch.device("cpu"))
