"""What a verifier answers about pairs of pictures, whatever runs it."""

from collections.abc import Sequence
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from engines.errors import OutputError
from engines.lmm.pictures import Picture

Pair = tuple[Picture, Picture]
"""Two pictures in the order in which they are shown; much of the first is kept for the next pairs."""


class PairScorer(Protocol):
    """A verifier that is loaded. Not thread-safe."""

    @property
    def batch(self) -> int:
        """Pairs in one run."""
        ...

    @property
    def nbytes(self) -> int:
        """Bytes that it keeps for later."""
        ...

    def score(self, pairs: Sequence[Pair]) -> NDArray[np.float32]:
        """(n, 2) float32 logits of the two answers.

        Raises:
            OutputError: A logit is not a number.
        """
        ...

    def forget(self, picture: Picture) -> None:
        """Keeps nothing of a picture."""
        ...

    def clear(self) -> None:
        """Keeps nothing of any picture."""
        ...


def p_no(logits: NDArray[np.float32], tau: float) -> NDArray[np.float32]:
    """(n,) probabilities of the second answer, from (n, 2) logits divided by a temperature.

    Source: MUSE, eq. 5.

    >>> p_no(np.float32([[0, 0], [1000, 0]]), tau=5).tolist()
    [0.5, 0.0]
    """
    margin = np.clip((logits[:, 0].astype(np.float64) - logits[:, 1]) / tau, -700, 700)
    probabilities: NDArray[np.float32] = (1 / (1 + np.exp(margin))).astype(np.float32)
    return probabilities


def numbers(logits: NDArray[np.float32]) -> NDArray[np.float32]:
    """The same logits.

    Raises:
        OutputError: One is not a number.
    """
    if not np.isfinite(logits).all():
        raise OutputError("the verifier's network gives something that is not a number", "replace the engine")
    return logits
