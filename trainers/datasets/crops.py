"""Our world's crops: a Market-1501 tree whose other labels are in `attributes.jsonl`.

One line describes one picture: `{"path": "query/0007_c2_000120.jpg", ...}`, the path from the root, and any of
`clothes` (number), `modality` (`visible`, `infrared`, `thermal`), `text` (list of sentences), `mask` (path from the
root) and `attributes` (object). Pictures without a line have what their name tells.
"""

import json
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any, get_args

from trainers.datasets.file_names import FileNames
from trainers.datasets.files import all_there, refused, text
from trainers.datasets.sample import DataSet, Modality

LINES = "attributes.jsonl"
EXAMPLE = '{"path": "query/0007_c2_000120.jpg", "clothes": 1, "text": ["..."], "attributes": {}}'
TREE = FileNames(
    {"train": "bounding_box_train/*.*", "query": "query/*.*", "gallery": "bounding_box_test/*.*"},
    r"(?P<id>-?\d+)_c(?P<camera>\d+)(?:s\d+)?_(?P<time>\d+)[^/]*\.(?:jpg|png)",
    "query/0007_c2_000120.jpg",
)


def crops(root: Path, trial: int) -> DataSet:
    """The tree, each picture with its line."""
    tree = TREE(root, trial)
    labels = _labels(root)
    splits = {
        split: tuple(replace(sample, **labels.get(sample.path, {})) for sample in samples)
        for split, samples in tree.splits.items()
    }
    every = [sample for samples in splits.values() for sample in samples]
    all_there(root / LINES, labels.keys() - {sample.path for sample in every})
    all_there(root / LINES, [sample.mask for sample in every if sample.mask])
    return DataSet(splits)


def _labels(root: Path) -> dict[Path, dict[str, Any]]:
    """Fields of a sample, by picture."""
    labels = {}
    for number, line in enumerate(text(root / LINES, f"lines like {EXAMPLE}").splitlines(), 1):
        try:
            record = json.loads(line)
            labels[root / record["path"]] = _fields(root, record)
        except (ValueError, KeyError, TypeError, AttributeError):
            raise refused(root / LINES, f"lines like {EXAMPLE}", f"line {number}: {line[:200]}") from None
    return labels


def _fields(root: Path, record: Mapping[str, Any]) -> dict[str, Any]:
    modality = record.get("modality", "visible")
    if modality not in get_args(Modality):
        raise ValueError(modality)
    return {
        "clothes": int(record.get("clothes", -1)),
        "modality": modality,
        "text": tuple(map(str, record.get("text", ()))),
        "attributes": dict(record.get("attributes", {})),
        "mask": root / record["mask"] if record.get("mask") else None,
    }
