"""Whether a folder holds a data set as it was published."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from pipeline.errors import InputError
from trainers.datasets.files import named
from trainers.datasets.layout import Count, Layout, need_folder
from trainers.datasets.pictures import is_cut
from trainers.datasets.sample import JUNK, DataSet, Sample


@dataclass(frozen=True, slots=True)
class Problem:
    """What is wrong with a folder: what was expected, and what was found."""

    where: str
    problem: str
    fix: str = ""


@dataclass(frozen=True, slots=True)
class Part:
    """A split, or several joined with `+`, beside its published numbers."""

    name: str
    found: Count
    published: Count


def check(layout: Layout, folder: Path) -> tuple[list[Part], list[Problem]]:
    """The parts of the first trial, and everything that is wrong in any trial.

    Raises:
        ConfigError: The layout is not published.
        InputError: The folder itself cannot be read.
    """
    need_folder(folder)
    parts: list[Part] = []
    problems: list[Problem] = []
    for trial in range(1, layout.trials + 1):
        where = f"{layout.name}, trial {trial}" if layout.trials > 1 else layout.name
        try:
            data = layout.load(folder, trial)
        except InputError as error:
            return parts, [*problems, Problem(where, error.problem, error.fix)]
        counted = _parts(layout.counts, data)
        problems += [problem for part in counted for problem in _differences(where, part)]
        if trial == 1:
            parts = counted
            problems += _damaged_files(where, data)
    return parts, problems


def _parts(published: Mapping[str, Count], data: DataSet) -> list[Part]:
    """Every split, then the sums that are published."""
    names = [*data.splits, *(name for name in published if "+" in name)]
    return [
        Part(
            name,
            _count([sample for split in name.split("+") for sample in data.splits[split]]),
            published.get(name, Count()),
        )
        for name in names
    ]


def _count(samples: Sequence[Sample]) -> Count:
    people = {sample.identity for sample in samples} - {JUNK}
    return Count(len(samples), len(people), len({sample.path for sample in samples}))


def _differences(where: str, part: Part) -> list[Problem]:
    return [
        Problem(where, f"{part.name}: expected {wanted} {unit}, found {found}")
        for unit in ("samples", "identities", "pictures")
        if (wanted := getattr(part.published, unit)) is not None
        and (found := getattr(part.found, unit)) != wanted
    ]


def _damaged_files(where: str, data: DataSet) -> list[Problem]:
    """Empty ones, and pictures that were cut short on their way."""
    paths = sorted({sample.path for samples in data.splits.values() for sample in samples})
    empty = [path for path in paths if not path.stat().st_size]
    cut = [path for path in paths if is_cut(path)]
    return [
        Problem(where, f"expected pictures, found {len(some)} {kind}: {named(some)}", "copy them again")
        for kind, some in (("empty files", empty), ("that end too early", cut))
        if some
    ]
