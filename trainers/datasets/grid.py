"""GRID: two folders, and ten random splits in a .mat file."""

import re
from pathlib import Path

from trainers.datasets.files import matching, matlab, named, refused
from trainers.datasets.sample import DataSet, Sample

NAME = re.compile(r"^(\d+)_(\d+)_")
EXAMPLE = "probe/0005_2_25100_229_94_99_249.jpeg"
PARTITIONS = "features_and_partitions.mat"


def grid(root: Path, trial: int) -> DataSet:
    """Half of the 250 people train; the gallery also holds people nobody searches, numbered 0."""
    training = _training_people(root / PARTITIONS, trial)
    query, gallery = (_samples(root, folder) for folder in ("probe", "gallery"))
    both = [sample for sample in query + gallery if sample.identity in training]
    return DataSet(
        {
            "train": tuple(both),
            "query": tuple(sample for sample in query if sample.identity not in training),
            "gallery": tuple(sample for sample in gallery if sample.identity not in training),
        }
    )


def _samples(root: Path, folder: str) -> list[Sample]:
    paths = matching(root, f"{folder}/*.jpeg", EXAMPLE)
    labels = [(path, NAME.match(path.name)) for path in paths]
    strays = [path for path, match in labels if match is None]
    if strays:
        raise refused(root, f"names like {EXAMPLE}", f"{len(strays)} others: {named(strays)}")
    return [Sample(path, int(match[1]), int(match[2])) for path, match in labels if match]


def _training_people(path: Path, trial: int) -> set[int]:
    """The third field of the trial's record has them."""
    trials = matlab(path, "trainIdxAll")
    try:
        return {int(person) for person in trials[0][trial - 1][0][0][2].ravel()}
    except (IndexError, TypeError, ValueError):
        raise refused(
            path, f"trial {trial} in trainIdxAll, people in its third field", f"shape {trials.shape}"
        ) from None
