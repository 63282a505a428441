"""Labelled pictures of people from any data sets, as training wants them: numbered, grouped, in memory."""

import glob
import hashlib
from collections import defaultdict
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

import cv2
import numpy as np
import torch
from numpy.typing import NDArray
from pydantic import Field

from pipeline.errors import InputError
from pipeline.settings import ConfigPath, Settings
from trainers.datasets.catalogue import find
from trainers.datasets.files import named
from trainers.datasets.pictures import is_cut, read_bytes, read_picture
from trainers.datasets.sample import JUNK, Sample
from trainers.datasets.search import BY_TEXT, PictureSearch, official, told

Owner = tuple[str, Path, str, int]
"""Set, folder, numbering and number: whose number it is."""


class SetChoice(Settings):
    """A data set on disk; a folder with * or [ in its name stands for several, each a domain of its own."""

    set: str = Field(default="world", description="As `musewatch data list` calls it.")
    folder: ConfigPath
    splits: tuple[str, ...] = Field(default=("train",), min_length=1)
    trial: int = Field(default=1, ge=1)
    alone: bool = Field(
        default=False, description="Every picture is a person of its own: labels are not used."
    )
    search: str = Field(
        default="", description="Where it is judged: an official search; empty = the one it is known for."
    )

    def folders(self) -> list[Path]:
        """The folders meant, in order of their names; one that is there by that very name is meant alone.

        Raises:
            InputError: The name is a pattern and nothing fits it.
        """
        if self.folder.exists() or glob.escape(str(self.folder)) == str(self.folder):
            return [self.folder]
        there = next(parent for parent in self.folder.parents if parent.exists())
        found = sorted(there.glob(str(self.folder.relative_to(there))))
        if not found:
            raise InputError(f"no folder is called {self.folder}")
        return found

    def searched(self) -> PictureSearch:
        """Its official search of pictures.

        Raises:
            ConfigError: The set has none, or none of that name.
            InputError: The set cannot be read, or the name stands for several folders.
        """
        wanted = self._wanted()
        return official(f"{self.set}/{wanted}" if wanted else self.set, self._folder(), self.trial)

    def described(self) -> PictureSearch:
        """Its official search, whatever it is, by what is said of the queries.

        Raises:
            ConfigError: The set has none.
            InputError: The set cannot be read, or the name stands for several folders.
        """
        return told(self.set, self._folder(), self.trial)

    def has_pictures_search(self) -> bool:
        """Whether its pictures can be searched by pictures."""
        return any(search.rule != BY_TEXT for search in find(self.set).searches.values())

    def numbering(self) -> str:
        """Which of the set's numberings its search uses."""
        layout = find(self.set)
        search = layout.searches.get(self._wanted()) or next(iter(layout.searches.values()))
        return layout.numberings.get(search.query, "")

    def _folder(self) -> Path:
        folders = self.folders()
        if len(folders) > 1:
            raise InputError(f"{self.folder} stands for {len(folders)} folders", "judge on one of them")
        return folders[0]

    def _wanted(self) -> str:
        return self.search or find(self.set).made_for


@dataclass(frozen=True)
class People:
    """Pictures with labels; people and domains are numbered from 0.

    Attributes:
        samples: N pictures.
        identities: (N,).
        domain_of: (I,) the domain of each identity.
        folders: (D,) where each domain comes from.
        owners: (I,) what each identity is in its set.
        left_out: Pictures of nobody in particular: junk and distractors.
    """

    samples: tuple[Sample, ...]
    identities: NDArray[np.int64]
    domain_of: NDArray[np.int64]
    folders: tuple[Path, ...]
    owners: tuple[Owner, ...]
    left_out: int = 0

    @cached_property
    def contents(self) -> tuple[str, ...]:
        """(N,) sha256 of each picture's file.

        Raises:
            InputError: A picture cannot be read.
        """
        return contents_of(self.samples)

    def digest(self) -> str:
        """sha256 over names, labels and bytes of all pictures."""
        return _digest(self.samples, self.identities.tolist(), self.contents)

    def __str__(self) -> str:
        count = len(self.samples), len(self.domain_of), len(self.folders)
        more = f", {self.left_out} pictures of nobody left out" if self.left_out else ""
        return "{} pictures of {} people in {} domains".format(*count) + more


def gather(choices: Sequence[SetChoice]) -> People:
    """The labelled people of several sets; junk and distractors are left out.

    People are the same where the set has them under one number; splits that number their people anew are kept apart.

    Raises:
        ConfigError, InputError: A set cannot be read.
        InputError: A set has no such split, or there is nobody in all of them.
    """
    samples: list[Sample] = []
    numbers: dict[tuple[int, Owner, int], int] = {}
    identities: list[int] = []
    folders: list[Path] = []
    left_out = 0
    for choice in choices:
        layout = find(choice.set)
        for folder in choice.folders():
            splits = layout.load(folder, choice.trial).splits
            for split in choice.splits:
                if split not in splits:
                    raise InputError(f"{folder} has no split {split!r}", f"it has {', '.join(splits)}")
                for sample in splits[split]:
                    if sample.identity in (JUNK, layout.distractor):
                        left_out += 1
                        continue
                    picture = len(samples) if choice.alone else -1
                    owner = owner_of(choice, folder, split, sample)
                    key = len(folders), owner, picture
                    identities.append(numbers.setdefault(key, len(numbers)))
                    samples.append(sample)
            folders.append(folder)
    if not samples:
        raise InputError("there is nobody in the training data", "give more sets, or more of their splits")
    domain_of = np.array([domain for domain, *_ in numbers], np.int64)
    owners = tuple(owner for _, owner, _ in numbers)
    return People(tuple(samples), np.array(identities, np.int64), domain_of, tuple(folders), owners, left_out)


def owner_of(choice: SetChoice, folder: Path, split: str, sample: Sample) -> Owner:
    """Whose number a sample's identity is."""
    numbering = find(choice.set).numberings.get(split, "")
    return choice.set, folder.resolve(), numbering, sample.identity


def contents_of(samples: Sequence[Sample]) -> tuple[str, ...]:
    """sha256 of each sample's file.

    Raises:
        InputError: One cannot be read, or ends too early.
    """
    known: dict[Path, str] = {}
    for path in (sample.path for sample in samples):
        if path not in known:
            known[path] = hashlib.sha256(read_bytes(path)).hexdigest()
            if is_cut(path):
                raise InputError(f"{path} ends too early", "get it again, or take it out of the set")
    return tuple(known[sample.path] for sample in samples)


def need_strangers(people: People, choice: SetChoice, search: PictureSearch) -> str:
    """Checks that nobody of a set that judges is learned: by number in the same folder, by pictures anywhere.

    Args:
        people: Who is learned.
        choice: The set that judges.
        search: What of it judges.

    Returns:
        sha256 over names, labels and bytes of the pictures that judge.

    Raises:
        InputError: Somebody is learned.
    """
    (folder,) = choice.folders()
    samples = (*search.query, *search.gallery)
    contents = contents_of(samples)
    learned, numbering = set(people.owners), choice.numbering()
    teachers = defaultdict(set)
    for content, identity in zip(people.contents, people.identities.tolist(), strict=True):
        teachers[content].add(identity)
    known = {
        sample.identity
        for sample, content in zip(samples, contents, strict=True)
        if sample.identity != JUNK
        and (
            (choice.set, folder.resolve(), numbering, sample.identity) in learned
            or len(teachers.get(content, ())) == 1  # the same file for several people says nothing of anybody
        )
    }
    if known:
        raise InputError(
            f"{len(known)} people of {folder}, which judges, are learned too: number {named(sorted(known))}",
            "judge on people of other splits or other sets",
        )
    return _digest(samples, [sample.identity for sample in samples], contents)


def _digest(samples: Sequence[Sample], identities: Sequence[int], contents: Sequence[str]) -> str:
    total = hashlib.sha256()
    for sample, identity, content in zip(samples, identities, contents, strict=True):
        total.update(f"{sample.path.name} {identity} {content}\n".encode())
    return total.hexdigest()


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
