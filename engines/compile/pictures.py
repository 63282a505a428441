"""Pictures of a folder, for calibration and gate: always the same ones, whatever the order of the disk."""

import hashlib
import math
from collections.abc import Callable, Collection, Iterator, Sequence
from functools import partial
from pathlib import Path

import cv2
import numpy as np
from numpy.typing import NDArray

from engines.errors import PictureError

SUFFIXES = {".jpg", ".jpeg", ".png", ".bmp", ".webp"}
LIST = ".jsonl"  # of who is in the pictures of the array beside it

Image = NDArray[np.uint8]


def choose(
    folders: Sequence[Path], count: int, *, share: float = 1.0, without: Collection[str] = ()
) -> dict[str, Image]:
    """Up to `count` BGR pictures below the folders, by the SHA-256 of their files.

    An array of them, (N, H, W, 3) uint8 as `world frames` leaves it, counts as N pictures, each with the SHA-256 of
    its pixels. The order is that of the digests: as good as drawn by lot, yet the same everywhere, and a picture more
    in the folder changes the choice by one picture at most. Copies of a picture count once.

    Args:
        folders: Searched to the bottom.
        count: How many at most.
        share: Of all pictures, at most: what is left is for another purpose.
        without: Digests of pictures that will not do.

    Raises:
        PictureError: There are none, or one cannot be read.
    """
    readers = dict(_readers(folders))
    most = min(count, math.ceil(share * len(readers)))
    chosen = sorted(readers.keys() - set(without))[:most]
    if not chosen:
        named = ", ".join(map(str, folders))
        raise PictureError(
            f"all pictures in {named} were calibrated on" if readers else f"there are no pictures in {named}",
            "give folders with more .jpg or .png files, or frames of the simulated world",
        )
    return {digest: readers[digest]() for digest in chosen}


def _readers(folders: Sequence[Path]) -> Iterator[tuple[str, Callable[[], Image]]]:
    """What reads each picture, by its digest."""
    for path in (path for folder in folders for path in sorted(folder.rglob("*"))):
        if path.suffix.lower() in SUFFIXES:
            yield _digest(path), partial(_read, path)
        elif path.suffix == LIST and path.with_suffix(".npy").exists():
            for image in _array(path.with_suffix(".npy")):
                yield hashlib.sha256(image.tobytes()).hexdigest(), partial(np.array, image)


def _array(path: Path) -> Image:
    try:
        images: Image = np.load(path, mmap_mode="r", allow_pickle=False)
    except (OSError, ValueError) as error:
        raise PictureError(f"{path} cannot be read: {error}") from None
    if images.dtype != np.uint8 or images.ndim != 4 or images.shape[3] != 3:
        raise PictureError(f"{path} is no array of pictures, (N, H, W, 3) uint8", "take it out of the folder")
    return images


def _digest(path: Path) -> str:
    try:
        return hashlib.sha256(path.read_bytes()).hexdigest()
    except OSError as error:
        raise PictureError(f"{path} cannot be read: {error.strerror or error}") from None


def _read(path: Path) -> Image:
    image = cv2.imread(str(path), cv2.IMREAD_COLOR)
    if image is None:
        raise PictureError(f"{path} is not a picture", "take it out of the folder")
    return np.asarray(image, np.uint8)
