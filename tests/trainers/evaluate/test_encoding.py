"""Searches by text go through the embedder's own text tower; one that has none is named."""

from pathlib import Path

import cv2
import numpy as np
import pytest

from pipeline.errors import ConfigError
from trainers.datasets.sample import Sample
from trainers.datasets.search import by_text
from trainers.evaluate.encoding import Encoding
from trainers.evaluate.feature_cache import FeatureCache
from trainers.evaluate.rules import RULES

SHADES = {"dark": 20, "grey": 120, "light": 230}


class Reading:
    """Brightness as a direction, of pictures and of the words for it."""

    dimension = 2

    def embed(self, crops):
        return self._rows([float(crop.mean()) for crop in crops])

    def embed_text(self, texts):
        return self._rows([float(SHADES[text]) for text in texts])

    def _rows(self, shades):
        angle = np.array(shades) / 256
        return np.stack([np.cos(angle), np.sin(angle)], axis=1).astype(np.float32)


@pytest.fixture
def samples(tmp_path: Path) -> list[Sample]:
    found = []
    for number, (word, shade) in enumerate(SHADES.items()):
        path = tmp_path / f"{word}.png"
        cv2.imwrite(str(path), np.full((64, 32, 3), shade, np.uint8))
        found.append(Sample(path, number, text=(word,)))
    return found


def test_every_text_is_a_query_and_finds_its_picture(samples, tmp_path):
    embedder = Reading()
    with FeatureCache(tmp_path / "cache") as cache:
        encoding = Encoding(embedder, "reading", cache, embedder.embed_text)
        data = encoding.features(by_text(samples, samples))
    scores = RULES["text_to_image"](data.unit_distances(), data)
    assert (len(data.query_ids), scores["mAP"], scores["R1"]) == (3, 1.0, 1.0)


def test_an_embedder_that_reads_nothing_is_named(samples, tmp_path):
    with FeatureCache(tmp_path / "cache") as cache, pytest.raises(ConfigError, match="reads none"):
        Encoding(Reading(), "pictures alone", cache).features(by_text(samples, samples))
