"""Labelled pictures of people from any data sets, as training wants them: numbered, grouped, in memory."""

import glob
import hashlib
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import torch
from numpy.typing import NDArray
from pydantic import Field

from pipeline.errors import InputError
from pipeline.settings import ConfigPath, Settings
from trainers.datasets.catalogue import load
from trainers.datasets.sample import JUNK, Sample


class SetChoice(Settings):
    """A data set on disk; a folder with * or [ in its name stands for several, each a domain of its own."""

    set: str = Field(default="world", description="As `musewatch data list` calls it.")
    folder: ConfigPath
    splits: tuple[str, ...] = Field(default=("train",), min_length=1)
    trial: int = Field(default=1, ge=1)
    alone: bool = Field(
        default=False, description="Every picture is a person of its own: labels are not used."
    )

    def folders(self) -> list[Path]:
        """The folders meant, in order of their names.

        Raises:
            InputError: The name is a pattern and nothing fits it.
        """
        if glob.escape(str(self.folder)) == str(self.folder):
            return [self.folder]
        found = sorted(Path(name) for name in glob.glob(str(self.folder)))
        if not found:
            raise InputError(f"no folder is called {self.folder}")
        return found


@dataclass(frozen=True, slots=True)
class People:
    """Pictures with labels; people and domains are numbered from 0.

    Attributes:
        samples: N pictures.
        identities: (N,).
        domain_of: (I,) the domain of each identity.
        folders: (D,) where each domain comes from.
    """

    samples: tuple[Sample, ...]
    identities: NDArray[np.int64]
    domain_of: NDArray[np.int64]
    folders: tuple[Path, ...]

    def digest(self) -> str:
        """sha256 over names, labels and bytes of all pictures."""
        total = hashlib.sha256()
        for sample, identity in zip(self.samples, self.identities.tolist(), strict=True):
            content = hashlib.sha256(sample.path.read_bytes()).hexdigest()
            total.update(f"{sample.path.name} {identity} {content}\n".encode())
        return total.hexdigest()

    def __str__(self) -> str:
        count = len(self.samples), len(self.domain_of), len(self.folders)
        return "{} pictures of {} people in {} domains".format(*count)


def gather(choices: Sequence[SetChoice]) -> People:
    """The labelled people of several sets; junk is left out.

    In a set, the same number in `train` and in its test splits is two people, as some sets number them so.

    Raises:
        ConfigError, InputError: A set cannot be read.
        InputError: A set has no such split, or there is nobody in all of them.
    """
    samples: list[Sample] = []
    numbers: dict[tuple[int, bool, int, int], int] = {}
    identities: list[int] = []
    folders: list[Path] = []
    for choice in choices:
        for folder in choice.folders():
            splits = load(choice.set, folder, choice.trial).splits
            for split in choice.splits:
                if split not in splits:
                    raise InputError(f"{folder} has no split {split!r}", f"it has {', '.join(splits)}")
                for sample in splits[split]:
                    if sample.identity != JUNK:
                        picture = len(samples) if choice.alone else -1
                        key = len(folders), split == "train", sample.identity, picture
                        identities.append(numbers.setdefault(key, len(numbers)))
                        samples.append(sample)
            folders.append(folder)
    if not samples:
        raise InputError("there is nobody in the training data", "give more sets, or more of their splits")
    domain_of = np.array([domain for domain, *_ in numbers], np.int64)
    return People(tuple(samples), np.array(identities, np.int64), domain_of, tuple(folders))


def read_picture(sample: Sample) -> NDArray[np.uint8]:
    """The (H, W, 3) BGR picture of a sample, cut to its box where it has one.

    Raises:
        InputError: The file is missing or no picture.
    """
    image: Any = cv2.imread(str(sample.path), cv2.IMREAD_COLOR)
    if image is None:
        raise InputError(
            f"{sample.path} is missing or no picture", "check the set with `musewatch data check`"
        )
    if sample.box is not None:
        x0, y0, x1, y1 = (max(0, round(side)) for side in sample.box)
        image = image[y0:y1, x0:x1]
    return np.asarray(image, np.uint8)


class Pictures:
    """Gives batches of pictures in one size; each is decoded once and kept, if there is memory for all.

    Args:
        samples: N of them.
        size: Height, width; pictures are stretched to it exactly as engines do.
        keep: Whether decoded pictures are kept: N * H * W * 3 bytes in the end.
        threads: That decode.
    """

    def __init__(
        self, samples: Sequence[Sample], size: tuple[int, int], keep: bool = True, threads: int = 1
    ) -> None:
        self._samples, self._size = samples, size
        self._kept = np.empty((len(samples) if keep else 0, *size, 3), np.uint8)
        self._known = np.zeros(len(samples), np.bool_)
        self._pool = ThreadPoolExecutor(threads)

    def take(self, rows: NDArray[np.int64]) -> torch.Tensor:
        """(B, 3, H, W) float32 RGB in [0, 1]."""
        if len(self._kept):
            missing = rows[~self._known[rows]]
            for row, picture in zip(missing, self._pool.map(self._decode, missing), strict=True):
                self._kept[row] = picture
            self._known[missing] = True
            batch = self._kept[rows]
        else:
            batch = np.stack(list(self._pool.map(self._decode, rows)))
        return torch.from_numpy(batch).permute(0, 3, 1, 2).float().div_(255)

    def _decode(self, row: int) -> NDArray[np.uint8]:
        height, width = self._size
        resized = cv2.resize(read_picture(self._samples[row]), (width, height))
        return np.asarray(cv2.cvtColor(resized, cv2.COLOR_BGR2RGB), np.uint8)
