"""Sets whose labels are in the names of their files."""

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from trainers.datasets.files import matching, named, refused, whole
from trainers.datasets.layout import Reader
from trainers.datasets.sample import JUNK, DataSet, Sample

LABELS = {"id", "camera", "time", "clothes"}


@dataclass(frozen=True, slots=True)
class FileNames:
    """Reads parts that share one way of naming.

    Args:
        parts: Glob of each split, from the root.
        name: Pattern of the end of a path. Its groups `id`, `camera`, `time`, `clothes` are labels, others are
            attributes; cameras may be letters (A = 1).
        example: A path that fits.
        outfits: Clothes number of each camera's word, where the camera tells the clothes.
    """

    parts: Mapping[str, str]
    name: str
    example: str
    outfits: Mapping[str, int] = field(default_factory=dict)

    def __call__(self, root: Path, trial: int) -> DataSet:
        """The parts; names that do not fit are refused."""
        pattern = re.compile(rf"(?:^|/){self.name}$")
        splits, strays = {}, []
        for split, glob in self.parts.items():
            named_so = [
                (path, pattern.search(path.relative_to(root).as_posix()))
                for path in matching(root, glob, self.example)
            ]
            strays += [path for path, match in named_so if match is None]
            try:
                splits[split] = tuple(self._sample(path, match) for path, match in named_so if match)
            except ValueError as error:
                raise refused(root, f"names like {self.example}", str(error)) from None
        if strays:
            raise refused(root, f"names like {self.example}", f"{len(strays)} others: {named(strays)}")
        return DataSet(splits)

    def _sample(self, path: Path, match: re.Match[str]) -> Sample:
        words = match.groupdict()
        camera, clothes = words.get("camera"), words.get("clothes")
        return Sample(
            path,
            identity=whole(words.get("id", str(JUNK))),
            camera=-1 if camera is None else _number(camera),
            time=words.get("time"),
            clothes=self.outfits.get(camera or "", -1) if clothes is None else whole(clothes),
            attributes={key: word for key, word in words.items() if key not in LABELS},
        )


def joined(*readers: Reader) -> Reader:
    """Parts that are named in different ways, as one set."""

    def read(root: Path, trial: int) -> DataSet:
        splits: dict[str, tuple[Sample, ...]] = {}
        for reader in readers:
            splits |= reader(root, trial).splits
        return DataSet(splits)

    return read


def _number(camera: str) -> int:
    return whole(camera) if camera.isdigit() else ord(camera) - ord("A") + 1
