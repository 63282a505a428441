"""Our world's crops: a Market-1501 tree whose other labels are in `attributes.jsonl`.

One line describes one picture: `{"path": "query/0007_c2_000120.jpg", ...}`, the path from the root, and any of
`clothes` (number), `modality`, `text` (list of sentences), `mask` (path from the root) and `attributes` (object).
Pictures without a line have what their name tells.
"""

import json
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any, get_args

from trainers.datasets.file_names import FileNames
from trainers.datasets.files import all_there, contents, refused
from trainers.datasets.sample import DataSet, Modality, Sample

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
    described = _described(root)
    splits = {
        split: tuple(_with(sample, root, described) for sample in samples)
        for split, samples in tree.splits.items()
    }
    of_the_tree = {sample.path for samples in splits.values() for sample in samples}
    all_there(root / LINES, described.keys() - of_the_tree)
    masks = [sample.mask for samples in splits.values() for sample in samples if sample.mask]
    all_there(root / LINES, masks)
    return DataSet(splits)


def _described(root: Path) -> dict[Path, Mapping[str, Any]]:
    described: dict[Path, Mapping[str, Any]] = {}
    if not (root / LINES).is_file():
        raise refused(root, LINES, contents(root))
    for number, text in enumerate((root / LINES).read_text(encoding="utf-8").splitlines(), 1):
        try:
            record = json.loads(text)
            described[root / record["path"]] = record
        except (ValueError, KeyError, TypeError):
            raise refused(root / LINES, f"lines like {EXAMPLE}", f"line {number}: {text[:200]}") from None
    return described


def _with(sample: Sample, root: Path, described: Mapping[Path, Mapping[str, Any]]) -> Sample:
    record = described.get(sample.path, {})
    modality = record.get("modality", "visible")
    if modality not in get_args(Modality):
        raise refused(root / LINES, f"modality {', '.join(get_args(Modality))}", repr(modality))
    return replace(
        sample,
        clothes=int(record.get("clothes", -1)),
        modality=modality,
        text=tuple(record.get("text", ())),
        attributes=record.get("attributes", {}),
        mask=root / record["mask"] if record.get("mask") else None,
    )
