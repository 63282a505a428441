"""What the embedders on torch share: a library opened quietly and offline, pictures made ready, unit rows."""

import logging
import os
import sys
import warnings
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import torch
from numpy.typing import NDArray

from engines.errors import OutputError
from pipeline.errors import ConfigError

_GREY = (128, 128, 128)
_OFFLINE = {"HF_HUB_OFFLINE": "1", "HF_HUB_DISABLE_TELEMETRY": "1", "HF_HUB_DISABLE_PROGRESS_BARS": "1"}


@contextmanager
def offline() -> Iterator[None]:
    """Libraries imported or used inside never reach for a hub; the environment is as before afterwards."""
    hub = sys.modules.get("huggingface_hub.constants")
    if hub is not None:  # somebody else imported it, and it has read the environment already
        hub.HF_HUB_OFFLINE = True  # type: ignore[attr-defined]
    before = {name: os.environ.get(name) for name in _OFFLINE}
    os.environ.update(_OFFLINE)
    try:
        yield
    finally:
        for name, value in before.items():
            if value is None:
                del os.environ[name]
            else:
                os.environ[name] = value


@contextmanager
def opening(use: str, path: Path) -> Iterator[None]:
    """Opens weights without the library's own words; whatever it raises means that they are no use.

    Raises:
        ConfigError: With the start of the library's error.
    """
    root, silent = logging.getLogger(), logging.NullHandler()
    root.addHandler(silent)  # else the first word of a library sets up a handler of its own
    disabled = root.manager.disable
    logging.disable(logging.ERROR)
    try:
        with offline(), warnings.catch_warnings():
            warnings.simplefilter("ignore")
            yield
    except ConfigError:
        raise
    except Exception as error:
        reason = " ".join(str(error).split())[:300]
        raise ConfigError(
            f"embedder {use} cannot open {path}: {type(error).__name__}: {reason}",
            "fetch the weights and all the files beside them again",
        ) from error
    finally:
        logging.disable(disabled)
        root.removeHandler(silent)


def pick_device(wanted: str) -> str:
    """`cuda` or `cpu`.

    Raises:
        ConfigError: A GPU is wanted, and torch finds none.
    """
    there = wanted != "cpu" and torch.cuda.is_available()
    if wanted == "cuda" and not there:
        raise ConfigError(
            "embedder.device is cuda, but torch finds no GPU that works", "set device: cpu or auto"
        )
    return "cuda" if there else "cpu"


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
