"""Pictures of a folder, for calibration and gate: always the same ones, whatever the order of the disk."""

import hashlib
import math
from collections.abc import Collection, Sequence
from pathlib import Path

import cv2
import numpy as np
from numpy.typing import NDArray

from engines.errors import PictureError

SUFFIXES = {".jpg", ".jpeg", ".png", ".bmp", ".webp"}


def choose(
    folders: Sequence[Path], count: int, *, share: float = 1.0, without: Collection[str] = ()
) -> dict[str, NDArray[np.uint8]]:
    """Up to `count` BGR pictures below the folders, by the SHA-256 of their files.

    The order is that of the digests: as good as drawn by lot, yet the same everywhere, and a picture more in the
    folder changes the choice by one picture at most. Copies of a picture count once.

    Args:
        folders: Searched to the bottom.
        count: How many at most.
        share: Of all pictures, at most: what is left is for another purpose.
        without: Digests of pictures that will not do.

    Raises:
        PictureError: There are none, or one cannot be read.
    """
    paths = {_digest(path): path for path in _paths(folders)}
    most = min(count, math.ceil(share * len(paths)))
    chosen = sorted(paths.keys() - set(without))[:most]
    if not chosen:
        named = ", ".join(map(str, folders))
        raise PictureError(
            f"all pictures in {named} were calibrated on" if paths else f"there are no pictures in {named}",
            "give folders with more .jpg or .png files",
        )
    return {digest: _read(paths[digest]) for digest in chosen}


def _paths(folders: Sequence[Path]) -> list[Path]:
    return [
        path for folder in folders for path in sorted(folder.rglob("*")) if path.suffix.lower() in SUFFIXES
    ]


def _digest(path: Path) -> str:
    try:
        return hashlib.sha256(path.read_bytes()).hexdigest()
    except OSError as error:
        raise PictureError(f"{path} cannot be read: {error.strerror or error}") from None


def _read(path: Path) -> NDArray[np.uint8]:
    image = cv2.imread(str(path), cv2.IMREAD_COLOR)
    if image is None:
        raise PictureError(f"{path} is not a picture", "take it out of the folder")
    return np.asarray(image, np.uint8)
