"""The ONNX embedder: crops to unit rows, by manifest."""

import numpy as np
import pytest

from engines.errors import EngineError, OutputError
from engines.testing import brightness_network, stripe_embedder, write_engine
from pipeline.registry import build
from pipeline.settings import choose
from plugins.embedders.onnx import OnnxEmbedder

SIZE = (64, 32)


def embedder(path, **settings):
    return OnnxEmbedder(OnnxEmbedder.Config(engine=path, **settings))


def crops(n, seed=0):
    rng = np.random.default_rng(seed)
    return [rng.integers(0, 256, (*rng.integers(40, 200, 2), 3), np.uint8) for _ in range(n)]


@pytest.mark.parametrize(("batch", "max_batch"), [(None, None), (None, 3), (1, 1), (4, None)])
def test_rows_are_the_stripes_of_each_crop(batch, max_batch, tmp_path):
    path = write_engine(tmp_path, stripe_embedder(SIZE, batch=batch), max_batch=max_batch)
    made = embedder(path)
    plain = [np.full((50, 20, 3), colour, np.uint8) for colour in [(255, 0, 0), (10, 80, 200), (1, 1, 1)] * 2]

    rows = made.embed(plain)

    assert made.dimension == rows.shape[1] == 24  # three colours of eight stripes, flattened
    expected = np.array([np.repeat(crop[0, 0].astype(float), 8) for crop in plain])
    assert rows == pytest.approx(expected / np.linalg.norm(expected, axis=1, keepdims=True), abs=1e-5)


def test_the_operating_point_is_the_manifests(tmp_path):
    network = stripe_embedder(SIZE)
    point = {"max_distance": 0.7, "chosen_on": "a clip"}
    assert embedder(write_engine(tmp_path / "a", network, operating_point=point)).max_distance == 0.7
    assert embedder(write_engine(tmp_path / "b", network)).max_distance is None


def test_a_crop_without_a_vector_is_named(tmp_path):
    path = write_engine(tmp_path, brightness_network({"y": np.ones((1, 8))}, SIZE))
    black = np.zeros((60, 30, 3), np.uint8)
    with pytest.raises(OutputError, match="engine tiny: the vector of picture 2 of 3 has no length"):
        embedder(path).embed([*crops(1), black, *crops(1)])


def test_a_network_full_of_nan_stops_the_start(tmp_path):
    path = write_engine(tmp_path, brightness_network({"y": np.full((1, 8), np.nan)}, SIZE))
    with pytest.raises(OutputError, match="engine tiny: the vector of picture 1 of 2 is not a number"):
        embedder(path)


@pytest.mark.parametrize(
    ("keys", "says"),
    [
        ({"file": "tiny.pth"}, "pickle"),
        ({"max_batch": 2}, r"\(1, 3, 64, 32\).*\(2, 3, 64, 32\)"),
        ({"role": "detector", "decoder": {"kind": "ssd"}}, "no embedder"),
    ],
)
def test_an_engine_that_does_not_fit_stops_the_start(keys, says, tmp_path):
    path = write_engine(tmp_path, stripe_embedder(SIZE, batch=1), **keys)
    with pytest.raises(EngineError, match=says) as caught:
        build("embedder", choose("onnx", engine=path.name), tmp_path, "embedder")
    assert caught.value.exit_code == 2
