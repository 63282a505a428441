"""What an embedder learns of other engines: their vectors of the learned pictures, and of pictures without labels."""

import math
from collections.abc import Sequence
from pathlib import Path
from typing import Annotated, Any

import numpy as np
import torch
from pydantic import Field
from torch import Tensor, nn

from engines.shelf import EnginePath
from pipeline.errors import InputError
from pipeline.settings import ConfigPath, Settings
from trainers.datasets.sample import Sample
from trainers.evaluate.encoding import Encoding
from trainers.evaluate.feature_cache import FeatureCache
from trainers.people import People, contents_of

PICTURES = {".jpg", ".jpeg", ".png", ".bmp", ".webp"}
Weight = Annotated[float, Field(ge=0, le=100)]


class DistillationSettings(Settings):
    """What is learned of other embedders beside the labels."""

    engines: tuple[EnginePath, ...] = Field(
        min_length=1, description="Manifests, or names in `engines list`; the rows of several are joined."
    )
    vectors: Weight = Field(
        default=1.0, description="Weight of 1 - cosine between what is read off a row and the teachers' row."
    )
    relations: Weight = Field(
        default=10.0, description="Weight of the mean squared difference of the batch's cosines."
    )
    folders: tuple[ConfigPath, ...] = Field(
        default=(), description="Pictures of people without labels, at any depth: the teachers' alone."
    )
    count: int = Field(default=32, ge=2, description="Of those pictures in a batch.")


def with_teachers(given: object) -> object:
    """`teacher: MANIFEST` and `teacher: [MANIFEST, ...]` in long: `teacher: {engines: [MANIFEST, ...]}`."""
    if isinstance(given, str | Path):
        return {"engines": [given]}
    return {"engines": given} if isinstance(given, list | tuple) else given


class Distillation(nn.Module):
    """Knows the teachers' rows of all pictures; a linear layer, needed in training alone, reads them off ours.

    Args:
        settings: How much is learned.
        vectors: (N, T) the teachers' rows, of unit length.
        dimension: Of our rows.

    Source: vectors: Hinton et al., Distilling the Knowledge in a Neural Network, 2015; relations: Tung and Mori,
    Similarity-Preserving Knowledge Distillation, 2019.
    """

    vectors: Tensor

    def __init__(self, settings: DistillationSettings, vectors: Tensor, dimension: int) -> None:
        super().__init__()
        self._settings = settings
        self.register_buffer("vectors", vectors, persistent=False)
        self.read = nn.Linear(dimension, vectors.shape[1])

    def forward(self, rows: Tensor, numbers: Tensor) -> dict[str, Tensor]:
        """`taught`, the weighted sum, and its parts `vectors` and `relations`, unweighted.

        Args:
            rows: (B, D) ours, of unit length.
            numbers: (B,) which pictures they are of.
        """
        wanted = self.vectors[numbers]
        vectors = (1 - nn.functional.cosine_similarity(self.read(rows), wanted, dim=1)).mean()
        relations = (rows @ rows.T - wanted @ wanted.T).square().mean()
        taught = self._settings.vectors * vectors + self._settings.relations * relations
        return {"taught": taught, "vectors": vectors, "relations": relations}


def joined_vectors(
    engines: Sequence[Path], samples: Sequence[Sample], cache: FeatureCache
) -> tuple[Tensor, list[str]]:
    """(N, T) rows of unit length, those of the engines side by side and of equal weight, and the engines' digests.

    An engine's rows are taken from their mean: what all pictures share tells nobody apart, and a network that ends in a
    batch norm cannot show it.

    Raises:
        EngineError: An engine cannot be opened.
        InputError: A picture is missing or damaged.
    """
    parts, digests = [], []
    for engine in engines:
        encoding = Encoding.by_engine(engine, cache)
        rows = torch.from_numpy(encoding.vectors(samples))
        apart = nn.functional.normalize(rows, dim=1)
        parts.append(nn.functional.normalize(apart - apart.mean(0), dim=1) / math.sqrt(len(engines)))
        digests.append(encoding.digest)
    return torch.cat(parts, 1), digests


def unlabelled(folders: Sequence[Path]) -> People:
    """Every picture of some folders as a person of its own, each content once.

    Raises:
        InputError: A folder has no pictures, or one cannot be read.
    """
    found: list[Sample] = []
    for folder in folders:
        paths = sorted(path for path in folder.rglob("*") if path.suffix.lower() in PICTURES)
        if not paths:
            raise InputError(f"{folder} has no pictures", f"they end in {', '.join(sorted(PICTURES))}")
        found += [Sample(path, identity=0) for path in paths]
    samples = tuple(dict(zip(contents_of(found), found, strict=True)).values())
    count = len(samples)
    owners = tuple(("", sample.path, "", 0) for sample in samples)
    everyone: Any = np.arange(count)
    return People(samples, everyone, np.zeros(count, np.int64), tuple(folders), owners)
