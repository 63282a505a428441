"""An embedder's engine: pictures to unit vectors."""

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from engines.errors import ManifestError, OutputError, TensorError
from engines.manifest import Manifest
from engines.network import Answer, PictureNetwork
from engines.sessions.base import Session


class VectorNetwork:
    """Turns pictures into unit vectors.

    Args:
        manifest: Of an embedder.
        session: Its network, tried once on black pictures.

    Attributes:
        dimension: Length of a vector.

    Raises:
        ManifestError: Not an embedder.
        TensorError: Input or output do not fit the manifest.
        OutputError: The network answers black pictures with what is not a number.
    """

    def __init__(self, manifest: Manifest, session: Session) -> None:
        if manifest.role != "embedder":
            raise ManifestError(
                f"engine {manifest.name} is no embedder, its role is {manifest.role}",
                "name an embedder's manifest here",
            )
        self._network = PictureNetwork(manifest, session)
        rows = self._rows(self._network.dry_run())
        self._refuse(~np.isfinite(rows.sum(axis=1)), "is not a number")
        self.dimension: int = rows.shape[1]

    def embed(self, images: Sequence[NDArray[np.uint8]]) -> NDArray[np.float32]:
        """Unit rows (N, D) of BGR pictures of any sizes.

        Raises:
            OutputError: A vector has no length or is not a number; the message says which picture's.
        """
        answers = [self._rows(answer)[: len(answer.placements)] for answer in self._network.run(images)]
        rows = np.concatenate([np.zeros((0, self.dimension), np.float32), *answers])
        lengths = np.linalg.norm(rows, axis=1, keepdims=True)
        self._refuse(~np.isfinite(lengths), "is not a number")
        self._refuse(lengths == 0, "has no length")
        unit: NDArray[np.float32] = rows / lengths
        return unit

    def _refuse(self, bad: NDArray[np.bool_], fault: str) -> None:
        """Raises when a picture's vector is bad."""
        if bad.any():
            raise OutputError(
                f"engine {self._network.manifest.name}: the vector of picture {int(bad.argmax()) + 1} "
                f"of {len(bad)} {fault}",
                "replace the engine's file",
            )

    def _rows(self, answer: Answer) -> NDArray[np.float32]:
        """The answer as (N, D): whatever follows the batch is flattened."""
        shapes = " and ".join(str(output.shape) for output in answer.outputs)
        if len(answer.outputs) != 1 or answer.outputs[0].shape[:1] != (answer.batch,):
            raise TensorError(
                f"engine {self._network.manifest.name}: an embedder gives one output ({answer.batch}, D) for "
                f"{answer.batch} pictures; the network gives {shapes}",
                "name the embedding's output in outputs; set max_batch: 1 where the batch size is not free",
            )
        return answer.outputs[0].reshape(answer.batch, -1).astype(np.float32)
