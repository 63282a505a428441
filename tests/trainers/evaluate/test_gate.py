"""The gate's scorers: what they say of engines whose worth is known."""

import json
from importlib.metadata import entry_points

import cv2
import numpy as np
import pytest

from engines.manifest import load_manifest
from engines.network import BoxNetwork, VectorNetwork
from engines.sessions.open import open_session
from engines.testing import brightness_network, stripe_embedder, write_engine
from pipeline.errors import InputError

pytest.importorskip("torch", reason="needs torch")
pytestmark = pytest.mark.torch

SIZE = (64, 32)


def scorer(role):
    (point,) = entry_points(group="musewatch.gate", name=role)
    return point.load()


@pytest.fixture
def market(tmp_path):
    """Three people in three colours, two cameras, and a passer-by in the colour of the first."""
    colours = {1: (200, 30, 30), 2: (30, 200, 30), 3: (30, 30, 200)}
    for split, camera in (("query", 1), ("bounding_box_test", 2)):
        (tmp_path / "market" / split).mkdir(parents=True)
        for person, colour in colours.items():
            picture = np.full((*SIZE, 3), colour, np.uint8)
            cv2.imwrite(str(tmp_path / "market" / split / f"000{person}_c{camera}s1_000001_00.png"), picture)
    return tmp_path / "market"


def embedder(tmp_path):
    manifest = load_manifest(write_engine(tmp_path / "embedder", stripe_embedder(SIZE)))
    return VectorNetwork(manifest, open_session(manifest))


def test_an_embedder_that_sees_colours_tells_these_people_apart(market, tmp_path):
    assert scorer("embedder")(embedder(tmp_path), market) == {"mAP": 1.0, "R1": 1.0}
    other = market / "bounding_box_test" / "0001_c2s1_000001_00.png"
    cv2.imwrite(str(other), np.full((*SIZE, 3), (30, 200, 30), np.uint8))
    worse = scorer("embedder")(embedder(tmp_path), market)
    # the second person's query now has two equally near, of which the first is another
    assert worse["R1"] == pytest.approx(2 / 3)
    assert worse["mAP"] < 1


def test_a_damaged_picture_is_named(market, tmp_path):
    (market / "query" / "0001_c1s1_000001_00.png").write_bytes(b"")
    with pytest.raises(InputError, match=r"0001_c1s1_000001_00\.png: not a picture"):
        scorer("embedder")(embedder(tmp_path), market)
    with pytest.raises(InputError):
        scorer("embedder")(embedder(tmp_path), market / "query")


def test_a_detector_is_scored_on_frames(tmp_path):
    """It finds one box in each picture, with a score that grows with brightness."""
    (tmp_path / "frames").mkdir()
    people = json.dumps({"boxes": [[10, 10, 20, 50]], "visible": [1.0]})
    images = np.stack([np.full((*SIZE, 3), level, np.uint8) for level in (255, 235)])
    np.save(tmp_path / "frames" / "a.npy", images)
    (tmp_path / "frames" / "a.jsonl").write_text(f"{people}\n{people}\n")
    rows = np.zeros((1, 1, 6), np.float32)
    rows[0, 0] = [10, 10, 30, 60, 0.9, 0]
    manifest = load_manifest(
        write_engine(
            tmp_path / "detector",
            brightness_network({"rows": rows}, SIZE),
            role="detector",
            decoder={"kind": "end_to_end"},
        )
    )
    network = BoxNetwork(manifest, open_session(manifest), min_score=0.02)
    scores = scorer("detector")(network, tmp_path / "frames")
    assert set(scores) == {"AP50", "recall"}
    assert scores["AP50"] == pytest.approx(1.0)
    assert scores["recall"] == pytest.approx(1.0)
    with pytest.raises(InputError):
        scorer("detector")(network, tmp_path)
