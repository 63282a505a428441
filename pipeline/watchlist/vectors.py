"""Vectors of enrolled pictures and texts: whose engine made them, checked, and kept as float16."""

import inspect
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from pipeline.errors import ConfigError
from pipeline.protocols import Embedder, TextEmbedder

_UNIT_TOLERANCE = 1e-2


def digest_of(embedder: Embedder) -> str:
    """Names the engine behind an embedder; vectors of different digests are never compared.

    An embedder without `engine_digest` is known by its class and dimension.
    """
    digest = getattr(embedder, "engine_digest", None)
    if digest:
        return str(digest)
    kind = type(inspect.unwrap(embedder))  # type: ignore[arg-type]
    return f"class:{kind.__module__}.{kind.__qualname__}/{embedder.dimension}"


def embed_checked(embedder: Embedder, crops: Sequence[NDArray[np.uint8]]) -> NDArray[np.float32]:
    """Unit vectors (N, D) of N crops.

    Raises:
        ConfigError: The engine gave something else, a vector that is not finite or not of unit length.
    """
    return _checked(embedder, embedder.embed(crops), len(crops))


def text_tower(embedder: Embedder) -> TextEmbedder | None:
    """The embedder again where it reads texts, None where it does not."""
    reads: TextEmbedder | None = embedder if getattr(embedder, "reads_text", False) else None  # type: ignore[assignment]
    return reads


def embed_texts_checked(embedder: TextEmbedder, texts: Sequence[str]) -> NDArray[np.float32]:
    """Unit vectors (N, D) of N texts.

    Raises:
        ConfigError: The engine gave something else, a vector that is not finite or not of unit length.
        InputError: A text is longer than the engine reads.
    """
    return _checked(embedder, embedder.embed_text(texts), len(texts))


def _checked(embedder: Embedder, vectors: NDArray[np.float32], count: int) -> NDArray[np.float32]:
    if vectors.shape != (count, embedder.dimension):
        raise ConfigError(
            f"embedder {digest_of(embedder)} gave {vectors.shape}, "
            f"not {(count, embedder.dimension)}: its manifest or its plugin is wrong"
        )
    lengths = np.linalg.norm(vectors, axis=1)
    if not (np.abs(lengths - 1) <= _UNIT_TOLERANCE).all():
        raise ConfigError(
            f"embedder {digest_of(embedder)} gave a vector that is not of unit length",
            "check its preprocessing and its outputs: musewatch engines check",
        )
    return vectors


def to_blob(vector: NDArray[np.float32]) -> bytes:
    """Little-endian float16."""
    return vector.astype("<f2").tobytes()


def from_blobs(blobs: Sequence[bytes], dimension: int) -> NDArray[np.float16]:
    """(R, D) float16 of R blobs."""
    flat = np.frombuffer(b"".join(blobs), "<f2").astype(np.float16, copy=False)
    return flat.reshape(len(blobs), dimension)
