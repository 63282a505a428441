"""Features of picture sets by one embedder, each picture once."""

import hashlib
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Self

import numpy as np
from numpy.typing import NDArray

from engines.manifest import load_manifest
from engines.network import VectorNetwork
from engines.sessions.open import open_session
from pipeline.protocols import Embedder
from trainers.datasets.pictures import BATCH, embedded, read_bytes
from trainers.datasets.sample import Sample
from trainers.datasets.search import PictureSearch
from trainers.evaluate.feature_cache import FeatureCache
from trainers.evaluate.feature_set import FeatureSet

EmbedText = Callable[[Sequence[str]], NDArray[np.float32]]


class Encoding:
    """Embeds what the cache does not know.

    Args:
        embedder: What makes the vectors.
        digest: Names the embedder in the cache.
        cache: Vectors of pictures made before.
        embed_text: Makes the vectors of texts; None where the embedder reads none.

    Attributes:
        digest: The embedder's identity.
        made: Vectors that the cache did not have.
    """

    def __init__(
        self, embedder: Embedder, digest: str, cache: FeatureCache, embed_text: EmbedText | None = None
    ) -> None:
        self._embed_text = embed_text
        self._embedder, self.digest, self._cache = embedder, digest, cache
        self.made = 0

    @classmethod
    def by_engine(cls, engine: Path, cache: FeatureCache) -> Self:
        """By the embedder of a manifest.

        Raises:
            EngineError: It cannot be opened, or is no embedder.
        """
        manifest = load_manifest(engine)
        return cls(VectorNetwork(manifest, open_session(manifest)), manifest.digest, cache)

    def features(self, search: PictureSearch) -> FeatureSet:
        """The set's features and labels.

        Raises:
            InputError: A picture is missing or damaged.
        """
        return FeatureSet.of(search.arrays(self.vectors, self._text_vectors if self._embed_text else None))

    def _text_vectors(self, texts: Sequence[str]) -> NDArray[np.float32]:
        assert self._embed_text is not None
        parts = [self._embed_text(texts[at : at + BATCH]) for at in range(0, len(texts), BATCH)]
        return np.concatenate(parts)

    def vectors(self, samples: Sequence[Sample]) -> NDArray[np.float32]:
        """(N, D) of pictures.

        Raises:
            InputError: A picture is missing or damaged.
        """
        names = [_name(sample) for sample in samples]
        known = self._cache.find(self.digest, names)
        new = {name: sample for name, sample in zip(names, samples, strict=True) if name not in known}
        waiting = iter(new)
        for part, vectors in embedded(list(new.values()), self._embedder.embed):
            made = [next(waiting) for _ in part]
            self._cache.keep(self.digest, made, vectors)
            known |= dict(zip(made, vectors, strict=True))
            self.made += len(part)
        return np.stack([known[name] for name in names])


def _name(sample: Sample) -> str:
    """Of the pixels that a sample shows."""
    content = hashlib.sha256(read_bytes(sample.path)).hexdigest()
    return content if sample.box is None else f"{content} {sample.box}"
