"""Our world's crops: a Market-1501 tree, whose other labels are in `attributes.jsonl`, and maybe masks.

`musewatch world crops` writes one line for each picture: `file` (from the root), `clothes_id`, `infrared`, `captions`
(sentences that the picture bears out) and more, which becomes the sample's attributes. The mask of
`query/0007_c2s1_000001_00.jpg` is `masks/query/0007_c2s1_000001_00.png`.
"""

import json
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

from trainers.datasets.file_names import FileNames
from trainers.datasets.files import all_there, named, refused, text
from trainers.datasets.sample import DataSet, Sample

LINES = "attributes.jsonl"
EXAMPLE = (
    '{"file": "query/0007_c2s1_000001_00.jpg", "clothes_id": 5, "infrared": false, "captions": ["..."], ...}'
)
LABELS = {"file", "person_id", "camera", "clothes_id", "infrared", "captions"}
TREE = FileNames(
    {"train": "bounding_box_train/*.jpg", "query": "query/*.jpg", "gallery": "bounding_box_test/*.jpg"},
    r"(?P<id>\d+)_c(?P<camera>\d+)s\d+_(?P<time>\d+)_\d+\.jpg",
    "query/0007_c2s1_000001_00.jpg",
)


def crops(root: Path, trial: int) -> DataSet:
    """The tree, each picture with its line."""
    tree = TREE(root, trial)
    fields = _fields_by_picture(root)
    pictures = [sample.path for samples in tree.splits.values() for sample in samples]
    silent = [path for path in pictures if path not in fields]
    if silent:
        found = f"none for {len(silent)}: {named(silent)}"
        raise refused(root / LINES, f"a line for each of {len(pictures)} pictures", found)
    all_there(root / LINES, fields)
    return DataSet(
        {
            split: tuple(_labelled(root, sample, fields[sample.path]) for sample in samples)
            for split, samples in tree.splits.items()
        }
    )


def _labelled(root: Path, sample: Sample, fields: Mapping[str, Any]) -> Sample:
    mask = root / "masks" / sample.path.relative_to(root).with_suffix(".png")
    return replace(sample, mask=mask if mask.is_file() else None, **fields)


def _fields_by_picture(root: Path) -> dict[Path, dict[str, Any]]:
    fields = {}
    for number, line in enumerate(text(root / LINES, f"lines like {EXAMPLE}").splitlines(), 1):
        try:
            record = json.loads(line)
            fields[root / record["file"]] = {
                "clothes": int(record["clothes_id"]),
                "modality": "infrared" if record["infrared"] else "visible",
                "text": tuple(map(str, record["captions"])),
                "attributes": {key: value for key, value in record.items() if key not in LABELS},
            }
        except (ValueError, KeyError, TypeError, AttributeError):
            raise refused(root / LINES, f"lines like {EXAMPLE}", f"line {number}: {line[:200]}") from None
    return fields
