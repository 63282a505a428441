"""What the embedders on torch share: pictures made ready, unit rows."""

from collections.abc import Callable, Sequence
from typing import Any

import cv2
import numpy as np
import torch
from numpy.typing import NDArray

from engines.errors import OutputError

_GREY = (128, 128, 128)


def rgb(crops: Sequence[NDArray[np.uint8]], *, square: bool) -> list[NDArray[np.uint8]]:
    """RGB pictures of BGR crops, made square with grey at the shorter sides where that is wanted."""
    return [cv2.cvtColor(_squared(crop) if square else crop, cv2.COLOR_BGR2RGB) for crop in crops]


def _squared(crop: NDArray[np.uint8]) -> NDArray[np.uint8]:
    height, width = crop.shape[:2]
    down, across = max(0, width - height), max(0, height - width)
    edges = down // 2, down - down // 2, across // 2, across - across // 2
    squared: NDArray[np.uint8] = cv2.copyMakeBorder(crop, *edges, cv2.BORDER_CONSTANT, value=_GREY)
    return squared


class UnitRows:
    """Runs one tower of a network in batches; on a GPU in bfloat16.

    Args:
        tower: Gives (n, D) for n items.
        device: Of the network.
        batch: Items in one run.
        trial: An item to learn D from.

    Attributes:
        dimension: Length of a row.
    """

    def __init__(
        self, tower: Callable[[Sequence[Any]], torch.Tensor], device: str, batch: int, trial: object
    ) -> None:
        self._tower, self._device, self._batch = tower, device, batch
        self.dimension = self._run([trial]).shape[1]

    def __call__(self, items: Sequence[Any]) -> NDArray[np.float32]:
        """(N, D) unit rows.

        Raises:
            OutputError: A row has no length or is not a number.
        """
        parts = [self._run(items[i : i + self._batch]) for i in range(0, len(items), self._batch)]
        rows = np.concatenate([np.zeros((0, self.dimension), np.float32), *parts])
        lengths = np.linalg.norm(rows, axis=1, keepdims=True)
        if not (np.isfinite(lengths) & (lengths > 0)).all():
            raise OutputError(
                "the network gives a vector that has no length or is not a number", "replace the weights"
            )
        unit: NDArray[np.float32] = rows / lengths
        return unit

    def _run(self, items: Sequence[Any]) -> NDArray[np.float32]:
        half = torch.autocast(self._device, torch.bfloat16, enabled=self._device == "cuda")
        with torch.inference_mode(), half:
            rows: NDArray[np.float32] = self._tower(items).float().cpu().numpy()
        return rows


BLACK = np.zeros((64, 32, 3), np.uint8)
