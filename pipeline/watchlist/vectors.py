"""Vectors of enrolled pictures and texts, as they are kept: float16."""

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray


def to_blob(vector: NDArray[np.float32]) -> bytes:
    """Little-endian float16."""
    return vector.astype("<f2").tobytes()


def from_blobs(blobs: Sequence[bytes], dimension: int) -> NDArray[np.float16]:
    """(R, D) float16 of R blobs."""
    flat = np.frombuffer(b"".join(blobs), "<f2").astype(np.float16, copy=False)
    return flat.reshape(len(blobs), dimension)
