"""A network on pictures: a manifest, its session, and batches that the session can take."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from engines.errors import TensorError
from engines.manifest import Manifest
from engines.preprocess import Placement, preprocess
from engines.sessions.base import Session, TensorSpec

ANY_BATCH = 32


@dataclass(frozen=True, slots=True)
class Answer:
    """What a network said of one batch.

    Attributes:
        outputs: Raw, in the manifest's order or else the network's.
        batch: Pictures that went in, those included that only filled the batch up.
        placements: Where each picture lies in the input, without the filling.
    """

    outputs: list[NDArray[Any]]
    batch: int
    placements: list[Placement]


class PictureNetwork:
    """Runs pictures through a session, as many at once as manifest and network allow.

    Args:
        manifest: How pictures become tensors.
        session: The network; must have one input (N, 3, H, W) of floats.

    Raises:
        TensorError: The input tensor is not what the manifest makes, or an output that it names is missing.
    """

    def __init__(self, manifest: Manifest, session: Session) -> None:
        self.manifest = manifest
        self._session = session
        self._input = _picture_input(manifest, session)
        self._outputs = _wanted_outputs(manifest, session)
        self._fixed_batch = self._input.shape[0]
        self.max_batch: int = manifest.max_batch or self._fixed_batch or ANY_BATCH

    def run(self, images: Sequence[NDArray[np.uint8]]) -> Iterator[Answer]:
        """Yields one answer a batch, in order.

        Raises:
            TensorError: The network cannot work on what it was given.
        """
        for start in range(0, len(images), self.max_batch):
            batch = images[start : start + self.max_batch]
            tensor, placements = preprocess(batch, self.manifest.preprocess)
            missing = (self._fixed_batch or 0) - len(batch)
            if missing > 0:
                tensor = np.concatenate([tensor, np.zeros((missing, *tensor.shape[1:]), tensor.dtype)])
            outputs = self._session.run({self._input.name: tensor.astype(self._input.dtype, copy=False)})
            yield Answer([outputs[name] for name in self._outputs], len(tensor), placements)

    def dry_run(self) -> Answer:
        """What it says of black pictures: of two, where a call takes more than one."""
        black = np.zeros((*self.manifest.preprocess.size, 3), np.uint8)
        return next(self.run([black] * min(2, self.max_batch)))


def _picture_input(manifest: Manifest, session: Session) -> TensorSpec:
    """The one input, when the manifest's pictures go in."""
    if len(session.inputs) != 1:
        raise TensorError(
            f"engine {manifest.name}: the network wants {len(session.inputs)} inputs "
            f"({', '.join(str(spec) for spec in session.inputs)}), and only pictures are given",
            "export it with the picture as its one input",
        )
    (spec,) = session.inputs
    expected = (manifest.max_batch if spec.shape[:1] != (None,) else None, 3, *manifest.preprocess.size)
    fits = len(spec.shape) == 4 and all(
        a is None or b is None or a == b for a, b in zip(spec.shape, expected, strict=True)
    )
    if not fits or spec.dtype not in ("float32", "float16"):
        made = TensorSpec(spec.name, expected, "float32")
        raise TensorError(
            f"engine {manifest.name}: the network's input is {spec}, the manifest makes {made}",
            "set preprocess.size (height, width) and max_batch to the network's, or export it for these",
        )
    return spec


def _wanted_outputs(manifest: Manifest, session: Session) -> list[str]:
    """Names of the outputs to read."""
    known = [spec.name for spec in session.outputs]
    missing = [name for name in manifest.outputs or () if name not in known]
    if missing:
        raise TensorError(
            f"engine {manifest.name}: the network has no output {', '.join(missing)}",
            f"name some of: {', '.join(known)}",
        )
    return list(manifest.outputs or known)
