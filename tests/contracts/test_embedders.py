"""What every embedder promises, on people of the demo's clips."""

import re

import numpy as np
import pytest

from engines.testing import stripe_embedder, write_engine
from pipeline.protocols import Embedder, TextEmbedder
from pipeline.registry import build, known
from pipeline.settings import choose
from tests.servers import hall
from tests.tiny_weights import TINY


def onnx_engine(folder):
    return {"engine": str(write_engine(folder, stripe_embedder((64, 32), stripes=16)))}


def tiny_weights_of(name):
    return lambda folder: {"weights": str(TINY[name](folder / name)), "device": "cpu"}


SETTINGS = {"onnx": onnx_engine} | {name: tiny_weights_of(name) for name in TINY}


@pytest.fixture(
    params=[pytest.param(name, marks=pytest.mark.torch if name in TINY else ()) for name in known("embedder")]
)
def embedder(request, tmp_path):
    settings = SETTINGS.get(request.param, lambda folder: {})(tmp_path)
    return build("embedder", choose(request.param, **settings), tmp_path, "embedder")


@pytest.fixture(scope="module")
def looks():
    """Crops of three people by id, each two thirds of a second apart and of different sizes; views of frames."""
    crops = {}
    for frame in hall.frames("hall-1", [180, 200, 220, 300, 320]):
        for person in hall.people("hall-1", frame.index):
            if person.visibility > 0.95 and person.height_px > 120:
                crops.setdefault(person.id, []).append(hall.crop(frame, person.box))
    assert {who: len(seen) for who, seen in crops.items()} == {9: 5, 7: 2, 10: 2}
    return crops


def test_it_is_an_embedder(embedder):
    assert isinstance(embedder, Embedder)


def test_rows_are_unit_vectors(embedder, looks):
    crops = [crop for seen in looks.values() for crop in seen]
    rows = embedder.embed(crops)
    assert rows.shape == (len(crops), embedder.dimension)
    assert rows.dtype == np.float32
    assert np.linalg.norm(rows, axis=1) == pytest.approx(1, abs=1e-5)


def test_company_changes_nothing(embedder, looks):
    crops = [crop for seen in looks.values() for crop in seen]
    together = embedder.embed(crops)
    for crop, row in zip(crops, together, strict=True):
        assert embedder.embed([crop])[0] == pytest.approx(row, abs=1e-5)


@pytest.mark.parametrize("embedder", [name for name in known("embedder") if name not in TINY], indirect=True)
def test_one_person_is_nearer_than_another(embedder, looks):
    rows = {who: embedder.embed(seen) for who, seen in looks.items()}
    for who, own in rows.items():
        same = np.linalg.norm(own[0] - own[1])
        others = np.concatenate([found for other, found in rows.items() if other != who])
        assert same < np.linalg.norm(others - own[0], axis=1).min()


def test_no_crops_no_rows(embedder):
    assert embedder.embed([]).shape == (0, embedder.dimension)


def test_one_that_reads_texts_puts_them_beside_crops(embedder):
    if getattr(embedder, "reads_text", False):
        rows = embedder.embed_text(["a woman in red", "a man with a black coat"])
        assert (rows.shape, rows.dtype) == ((2, embedder.dimension), np.float32)
        assert np.linalg.norm(rows, axis=1) == pytest.approx(1, abs=1e-5)
        assert embedder.embed_text(["a man with a black coat"])[0] == pytest.approx(rows[1], abs=1e-5)
    else:
        assert not isinstance(embedder, TextEmbedder) or not embedder.reads_text


def test_what_it_says_of_itself(embedder):
    digest = getattr(embedder, "engine_digest", None)
    assert digest is None or re.fullmatch("sha256:[0-9a-f]{64}", digest)
    cut = getattr(embedder, "max_distance", None)
    assert cut is None or 0 < cut <= 2
    assert getattr(embedder, "min_height_px", 1) >= 1
