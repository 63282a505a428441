"""Our world's scenes: whole pictures with boxes, masks and texts of the people in them, and whom to look for.

`musewatch world scenes` leaves `scenes.jsonl` (a scene a line: `scene`, `mask`, `camera`, `people` with `person_id`,
`box` x, y, w, h, `shown`, `captions`) and `queries.jsonl` (a person a line: `query`, `person_id`, `captions`).
"""

import json
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from trainers.datasets.files import all_there, refused, text
from trainers.datasets.sample import DataSet, Sample

SCENES, QUERIES = "scenes.jsonl", "queries.jsonl"


def world_scenes(root: Path, trial: int) -> DataSet:
    """Queries are crops; the gallery is everybody who is shown in a scene, by box."""
    queries = tuple(_query(root, record, where) for record, where in _records(root / QUERIES))
    gallery = tuple(
        sample
        for number, (record, where) in enumerate(_records(root / SCENES))
        for sample in _scene(root, number, record, where)
    )
    all_there(root / SCENES, {sample.path for sample in (*queries, *gallery)})
    return DataSet({"query": queries, "gallery": gallery})


def _query(root: Path, record: Mapping[str, Any], where: str) -> Sample:
    try:
        captions = tuple(map(str, record["captions"]))
        return Sample(root / record["query"], int(record["person_id"]), text=captions)
    except (KeyError, TypeError, ValueError):
        raise refused(root / QUERIES, "query, person_id, captions", where) from None


def _scene(root: Path, number: int, record: Mapping[str, Any], where: str) -> Iterator[Sample]:
    try:
        for person in record["people"]:
            if not person["shown"]:
                continue
            x, y, wide, high = (float(value) for value in person["box"])
            yield Sample(
                root / record["scene"],
                int(person["person_id"]),
                int(record["camera"]),
                scene=number,
                text=tuple(map(str, person["captions"])),
                attributes={"mask_value": int(person["mask_value"])},
                box=(x, y, x + wide, y + high),
                mask=root / record["mask"],
            )
    except (KeyError, TypeError, ValueError):
        raise refused(
            root / SCENES, "scene, mask, camera and people with box, person_id, shown", where
        ) from None


def _records(path: Path) -> Iterator[tuple[Mapping[str, Any], str]]:
    """Each line's record, and how to name the line."""
    for number, line in enumerate(text(path, "a record a line").splitlines(), 1):
        where = f"line {number}: {line[:200]}"
        try:
            yield json.loads(line), where
        except ValueError:
            raise refused(path, "JSON", where) from None
