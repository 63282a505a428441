"""Sets of pictures with labels, and their features."""

import csv
import hashlib
import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from pipeline.errors import ConfigError, InputError
from pipeline.protocols import Codec, Embedder
from trainers.datasets.catalogue import find
from trainers.datasets.sample import Sample
from trainers.evaluate.feature_cache import FeatureCache
from trainers.evaluate.feature_set import FeatureSet

MARKET_SPLITS = {"query": "query", "gallery": "bounding_box_test"}
MARKET_NAME = re.compile(r"(-?\d+)_c(\d+).*\.(?:jpg|jpeg|png)$", re.IGNORECASE)
COLUMNS = ("path", "split", "id", "camera")
BATCH = 64


@dataclass(frozen=True, slots=True)
class Picture:
    """One labelled picture of one person; -1 = label not given."""

    path: Path
    id: int
    camera: int
    clothes: int = -1
    scene: int = -1


@dataclass(frozen=True, slots=True)
class PictureSet:
    """Queries and gallery."""

    query: tuple[Picture, ...]
    gallery: tuple[Picture, ...]


def read_layout(layout: str, folder: Path, trial: int = 1) -> PictureSet:
    """A public set as it was published: its first official search, or the one named after a `/`.

    Raises:
        ConfigError: No such set, search or trial, or one that is not a search by whole pictures.
        InputError: The folder is not laid out so.
    """
    name, _, wanted = layout.partition("/")
    known = find(name)
    if not known.searches or (wanted and wanted not in known.searches):
        raise ConfigError(
            f"{known.title} has no search {wanted or 'of one picture among pictures'}",
            f"it has {', '.join(known.searches) or 'none; give a table'}",
        )
    search = known.searches[wanted or next(iter(known.searches))]
    if search.query == search.gallery:
        raise ConfigError(f"{known.title} is searched by text, not by pictures", "give files of features")
    splits = known.load(folder, trial).splits
    return PictureSet(*(tuple(map(_of_sample, splits[part])) for part in (search.query, search.gallery)))


def _of_sample(sample: Sample) -> Picture:
    return Picture(sample.path, sample.identity, sample.camera, sample.clothes)


def read_market(folder: Path) -> PictureSet:
    """A Market-1501 tree: `query` and `bounding_box_test` with names like 0001_c1s1_000151_01.jpg.

    Raises:
        InputError: A folder is missing, or holds no such picture.
    """
    splits = {}
    for split, name in MARKET_SPLITS.items():
        named = ((path, MARKET_NAME.match(path.name)) for path in sorted((folder / name).glob("*")))
        splits[split] = tuple(Picture(path, int(m[1]), int(m[2])) for path, m in named if m)
        if not splits[split]:
            raise InputError(f"{folder / name} holds no picture named like 0001_c1s1_000151_01.jpg")
    return PictureSet(**splits)


def read_table(table: Path, folder: Path | None) -> PictureSet:
    """A CSV of pictures; paths start at `folder`, else at the table.

    Raises:
        InputError: Missing, a column or a value is wrong, or a split is empty.
    """
    splits: dict[str, list[Picture]] = {"query": [], "gallery": []}
    try:
        with table.open(newline="", encoding="utf-8") as file:
            rows = csv.DictReader(file)
            missing = [column for column in COLUMNS if column not in (rows.fieldnames or ())]
            if missing:
                raise InputError(f"{table} has no column {missing[0]}", f"it needs {', '.join(COLUMNS)}")
            for row in rows:
                splits[row["split"]].append(_picture(row, folder or table.parent))
    except OSError as error:
        raise InputError(f"{table} cannot be read: {error.strerror}") from None
    except (KeyError, ValueError, TypeError) as error:
        raise InputError(
            f"{table}, line {rows.line_num}: {error}", "split is query or gallery; labels are whole numbers"
        ) from None
    if not all(splits.values()):
        raise InputError(f"{table} needs both queries and gallery pictures")
    return PictureSet(tuple(splits["query"]), tuple(splits["gallery"]))


def _picture(row: dict[str, str], folder: Path) -> Picture:
    more = {name: int(row[name]) for name in ("clothes", "scene") if row.get(name)}
    return Picture(folder / row["path"], int(row["id"]), int(row["camera"]), **more)


class Encoding:
    """Features of picture sets by one embedder, each picture once.

    Args:
        embedder: What makes the vectors.
        digest: Names the embedder in the cache.
        codec: Reads pictures.
        cache: Vectors made before.
    """

    def __init__(self, embedder: Embedder, digest: str, codec: Codec, cache: FeatureCache) -> None:
        self._embedder, self._digest, self._codec, self._cache = embedder, digest, codec, cache
        self.made = 0

    def features(self, pictures: PictureSet) -> FeatureSet:
        """The set's features and labels.

        Raises:
            InputError: A picture is missing or damaged.
        """
        arrays: dict[str, NDArray[Any]] = {}
        for side, some in (("query", pictures.query), ("gallery", pictures.gallery)):
            arrays[f"{side}_features"] = self._vectors([picture.path for picture in some])
            arrays[f"{side}_ids"] = np.array([picture.id for picture in some])
            arrays[f"{side}_cameras"] = np.array([picture.camera for picture in some])
            arrays[f"{side}_clothes"] = np.array([picture.clothes for picture in some])
        arrays["gallery_scenes"] = np.array([picture.scene for picture in pictures.gallery])
        return FeatureSet.of(arrays)

    def _vectors(self, paths: Sequence[Path]) -> NDArray[np.float32]:
        digests = [hashlib.sha256(_read(path)).hexdigest() for path in paths]
        known = self._cache.find(self._digest, digests)
        new = {digest: path for digest, path in zip(digests, paths, strict=True) if digest not in known}
        names = list(new)
        for start in range(0, len(names), BATCH):
            part = names[start : start + BATCH]
            vectors = self._embedder.embed([self._decoded(new[digest]) for digest in part])
            self._cache.keep(self._digest, part, vectors)
            known |= dict(zip(part, vectors, strict=True))
            self.made += len(part)
        return np.stack([known[digest] for digest in digests])

    def _decoded(self, path: Path) -> NDArray[np.uint8]:
        try:
            return self._codec.decode(_read(path))
        except InputError as error:
            raise InputError(f"{path}: {error.problem}", error.fix) from None


def _read(path: Path) -> bytes:
    try:
        return path.read_bytes()
    except OSError as error:
        raise InputError(f"{path} cannot be read: {error.strerror}") from None
