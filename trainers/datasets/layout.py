"""What is known of a data set: where its layout, split and counts are published, and how to read it."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path

from pipeline.errors import ConfigError, InputError
from trainers.datasets.sample import DataSet

Reader = Callable[[Path, int], DataSet]
"""Reads a root folder and a trial (from 1). Raises InputError: what was expected, and what was found."""


@dataclass(frozen=True, slots=True)
class Count:
    """Published numbers of a split, or of several together; None = not published, or sources disagree.

    Args:
        samples: Labelled people: pictures of crops, boxes of scenes.
        identities: Distinct numbers other than -1.
        pictures: Distinct files.
    """

    samples: int | None = None
    identities: int | None = None
    pictures: int | None = None


@dataclass(frozen=True, slots=True)
class Search:
    """An official search: one split in another, by a rule of `evaluate protocol`."""

    query: str
    gallery: str
    rule: str


@dataclass(frozen=True, slots=True)
class Layout:
    """A data set as published.

    Args:
        name: As the command line has it.
        title: As its authors write it.
        source: Where folders, names and split are described.
        terms: Licence or terms of use, and where they are stated.
        reader: None = the layout is not published; `source` says so.
        counts: By split, or by several joined with `+`.
        counted_by: Where the counts are published.
        searches: By the papers' names of the settings.
        made_for: The search that the set is known for; empty = the first.
        numberings: Splits that number their people anew, with a name for each numbering; the others share one.
        distractor: The number of people whom nobody looks for: wrong answers in every ranking, no person to count.
        wrappers: Folders of the release that may stand between the given folder and the set.
        trials: Published random splits.
    """

    name: str
    title: str
    source: str
    terms: str
    reader: Reader | None
    counts: Mapping[str, Count] = field(default_factory=dict)
    counted_by: str = "not found; not checked"
    searches: Mapping[str, Search] = field(default_factory=dict)
    made_for: str = ""
    numberings: Mapping[str, str] = field(default_factory=dict)
    distractor: int | None = None
    wrappers: tuple[str, ...] = ()
    trials: int = 1

    def load(self, folder: Path, trial: int = 1) -> DataSet:
        """The set in a folder, split officially.

        Raises:
            ConfigError: The layout is not published, or has no such trial.
            InputError: The folder cannot be read, or is not laid out so.
        """
        if self.reader is None:
            raise ConfigError(f"{self.title} cannot be read: {self.source}")
        if not 1 <= trial <= self.trials:
            raise ConfigError(f"{self.title} has no trial {trial}", f"it has 1 to {self.trials}")
        need_folder(folder)
        inside = [folder / name for name in self.wrappers if (folder / name).is_dir()]
        return self.reader(inside[0] if inside else folder, trial)


def need_folder(folder: Path) -> None:
    """Checks that a folder can be read.

    Raises:
        InputError: It cannot.
    """
    try:
        next(folder.iterdir(), None)
    except OSError as error:
        raise InputError(f"{folder} cannot be read: {error.strerror}", "give the set's folder") from None
