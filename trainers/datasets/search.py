"""Searches of people among pictures: queries, a gallery, and the rule that scores them."""

import csv
import io
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from pipeline.errors import ConfigError, InputError
from trainers.datasets.catalogue import find
from trainers.datasets.file_names import FileNames
from trainers.datasets.files import whole
from trainers.datasets.sample import Sample

MARKET_SEARCH = FileNames(
    {"query": "query/*", "gallery": "bounding_box_test/*"},
    r"(?P<id>-?\d+)_c(?P<camera>\d+)[^/]*",
    "query/0001_c1s1_000151_01.jpg",
)
COLUMNS = ("path", "split", "id", "camera")
SEPARATORS = (",", ";", "\t")
BY_TEXT = "text_to_image"


@dataclass(frozen=True, slots=True)
class PictureSearch:
    """Queries, gallery, and a rule of `evaluate protocol` by its name.

    Attributes:
        query: Of a search by text, one sample a text.
        gallery: What is searched.
        rule: How it is scored.
        texts: Of a search by text, what is asked for; one a query.
    """

    query: tuple[Sample, ...]
    gallery: tuple[Sample, ...]
    rule: str = "market"
    texts: tuple[str, ...] = ()

    def arrays(
        self,
        vectors: Callable[[Sequence[Sample]], NDArray[np.float32]],
        text_vectors: Callable[[Sequence[str]], NDArray[np.float32]] | None = None,
    ) -> dict[str, NDArray[Any]]:
        """Rows and labels under the names of an `evaluate features` file.

        Raises:
            ConfigError: It is a search by text, and nothing reads texts.
        """
        arrays: dict[str, NDArray[Any]] = {}
        for side, samples in (("query", self.query), ("gallery", self.gallery)):
            if side == "query" and self.texts:
                arrays["query_features"] = _read(self.texts, text_vectors)
            else:
                arrays[f"{side}_features"] = vectors(samples)
            arrays[f"{side}_ids"] = np.array([sample.identity for sample in samples])
            arrays[f"{side}_cameras"] = np.array([sample.camera for sample in samples])
            arrays[f"{side}_clothes"] = np.array([sample.clothes for sample in samples])
        arrays["gallery_scenes"] = np.array([sample.scene for sample in self.gallery])
        return arrays


def official(layout: str, folder: Path, trial: int = 1) -> PictureSearch:
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
    splits = known.load(folder, trial).splits
    if not (splits[search.query] and splits[search.gallery]):
        raise InputError(f"{folder} has no queries or no gallery", "take a set with an official search")
    if search.rule == BY_TEXT:
        return by_text(splits[search.query], splits[search.gallery])
    return PictureSearch(splits[search.query], splits[search.gallery], search.rule)


def told(name: str, folder: Path, trial: int = 1) -> PictureSearch:
    """A public set whose first official search is asked by what is said of its queries.

    Raises:
        ConfigError: No such set, or one that is not searched.
        InputError: The folder is not laid out so, or nobody is described.
    """
    known = find(name)
    search = next(iter(known.searches.values()), None)
    if search is None:
        raise ConfigError(f"{known.title} has no search", "judge on a set that has one")
    splits = known.load(folder, trial).splits
    return by_text(splits[search.query], splits[search.gallery])


def by_text(described: Sequence[Sample], gallery: Sequence[Sample]) -> PictureSearch:
    """Every text of every described picture, searched among the pictures.

    Raises:
        InputError: Nobody is described.
    """
    pairs = [(sample, text) for sample in described for text in sample.text]
    if not pairs:
        raise InputError("no picture of this set is described", "take a set with texts")
    return PictureSearch(
        tuple(sample for sample, _ in pairs), tuple(gallery), BY_TEXT, tuple(text for _, text in pairs)
    )


def _read(
    texts: Sequence[str], text_vectors: Callable[[Sequence[str]], NDArray[np.float32]] | None
) -> NDArray[np.float32]:
    if text_vectors is None:
        raise ConfigError(
            "this set is searched by text, and the embedder reads none",
            "take one with a text tower (clip, transformers), or files of features",
        )
    return text_vectors(texts)


def market_tree(folder: Path) -> PictureSearch:
    """A Market-1501 tree without its training part: `query` and `bounding_box_test`, pictures of any kind.

    Raises:
        InputError: A folder is missing or empty, or holds a picture that is not named like 0001_c1s1_000151_01.jpg.
    """
    splits = MARKET_SEARCH(folder, 1).splits
    return PictureSearch(splits["query"], splits["gallery"])


def listed(table: Path, folder: Path | None = None) -> PictureSearch:
    """A CSV of pictures, as spreadsheets save it too; paths start at `folder`, else at the table.

    Raises:
        InputError: Missing, a column or a value is wrong, or a split is empty.
    """
    splits: dict[str, list[Sample]] = {"query": [], "gallery": []}
    number = 1
    try:
        text = table.read_bytes().decode("utf-8-sig")
        head = text.partition("\n")[0]
        rows = csv.DictReader(io.StringIO(text, newline=""), delimiter=max(SEPARATORS, key=head.count))
        missing = [column for column in COLUMNS if column not in (rows.fieldnames or ())]
        if missing:
            raise InputError(f"{table} has no column {missing[0]}", f"it needs {', '.join(COLUMNS)}")
        for row in rows:
            number = rows.line_num
            splits[row["split"]].append(_row(row, folder or table.parent))
    except OSError as error:
        raise InputError(f"{table} cannot be read: {error.strerror}") from None
    except UnicodeDecodeError:
        raise InputError(f"{table} is no UTF-8 text", "save it as CSV UTF-8") from None
    except (KeyError, ValueError, TypeError, csv.Error) as error:
        raise InputError(
            f"{table}, line {number}: {error}", "split is query or gallery; labels are whole numbers"
        ) from None
    if not all(splits.values()):
        raise InputError(f"{table} needs both queries and gallery pictures")
    return PictureSearch(tuple(splits["query"]), tuple(splits["gallery"]))


def _row(row: dict[str, str], folder: Path) -> Sample:
    clothes, scene = (whole(row.get(name) or "-1") for name in ("clothes", "scene"))
    return Sample(folder / row["path"], whole(row["id"]), whole(row["camera"]), clothes=clothes, scene=scene)
