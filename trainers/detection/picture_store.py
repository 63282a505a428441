"""The pictures that `musewatch world frames` leaves, opened without reading them."""

import hashlib
import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from pipeline.errors import InputError

Floats = NDArray[np.float32]


@dataclass(slots=True)
class Picture:
    """BGR uint8 (H, W, 3); everybody in it as xyxy (G, 4) and the visible share of each body (G,)."""

    image: NDArray[np.uint8]
    boxes: Floats
    visible: Floats


class PictureStore:
    """All pictures of one or more folders, in the order of their names.

    Args:
        folders: As `world frames` wrote them.

    Raises:
        InputError: A folder holds no pictures, or one whose list does not fit them.
    """

    def __init__(self, folders: tuple[Path, ...]) -> None:
        self._images: list[NDArray[np.uint8]] = []
        self._people: list[list[dict[str, Any]]] = []
        self._hash = hashlib.sha256()
        for folder in folders:
            lists = sorted(folder.glob("*.jsonl"))
            if not lists:
                raise InputError(
                    f"{folder} holds no pictures to learn from", "make some: musewatch world frames"
                )
            for path in lists:
                self._add(path)
        lengths = [len(people) for people in self._people]
        self._shard = np.repeat(np.arange(len(lengths)), lengths)
        self._row = np.concatenate([np.arange(length) for length in lengths])

    def _add(self, path: Path) -> None:
        pictures = path.with_suffix(".npy")
        try:
            images = np.load(pictures, mmap_mode="r", allow_pickle=False)
            text = path.read_bytes()
            people = [json.loads(line) for line in text.splitlines()]
        except (OSError, ValueError) as error:
            raise InputError(f"{pictures} cannot be read: {error}", "make the pictures again") from None
        if images.dtype != np.uint8 or images.ndim != 4 or len(images) != len(people):
            raise InputError(f"{pictures} and {path.name} do not belong together", "make the pictures again")
        self._images.append(images)
        self._people.append(people)
        self._hash.update(path.name.encode() + text)

    @property
    def digest(self) -> str:
        """SHA-256 of the lists, without the pixels: equal options make equal truth."""
        return self._hash.hexdigest()

    def __len__(self) -> int:
        return len(self._row)

    def __getitem__(self, number: int) -> Picture:
        """Picture by number; its pixels are not to be written to."""
        shard, row = int(self._shard[number]), int(self._row[number])
        people = self._people[shard][row]
        boxes = np.array(people["boxes"], np.float32).reshape(-1, 4)
        boxes[:, 2:] += boxes[:, :2]
        return Picture(self._images[shard][row], boxes, np.array(people["visible"], np.float32))
