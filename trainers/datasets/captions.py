"""Sets of pictures with descriptions: one JSON file that lists them."""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from trainers.datasets.files import all_there, refused, table
from trainers.datasets.sample import DataSet, Sample


@dataclass(frozen=True, slots=True)
class Captions:
    """Reads such a set.

    Args:
        files: What the JSON file may be called.
        path_key: Which key has the path below `imgs`.
        splits: Official splits.
        camera: Pattern of the path whose groups `camera` and perhaps `time` are labels; empty = the set has none.
    """

    files: tuple[str, ...]
    path_key: str
    splits: tuple[str, ...]
    camera: str = ""

    def __call__(self, root: Path, trial: int) -> DataSet:
        """The splits; entries that lack something are refused."""
        listed = next((root / name for name in self.files if (root / name).is_file()), root / self.files[0])
        entries = table(listed)
        if not isinstance(entries, list):
            raise refused(listed, "a list of entries", type(entries).__name__)
        splits: dict[str, list[Sample]] = {split: [] for split in self.splits}
        for number, entry in enumerate(entries):
            try:
                splits[entry["split"]].append(self._sample(root, entry))
            except (KeyError, TypeError, ValueError):
                keys = f"id, split ({', '.join(self.splits)}), captions and {self.path_key}"
                raise refused(listed, keys, f"entry {number}: {str(entry)[:200]}") from None
        empty = [split for split, samples in splits.items() if not samples]
        if empty:
            raise refused(listed, f"entries of {', '.join(self.splits)}", f"none of {', '.join(empty)}")
        all_there(listed, (sample.path for samples in splits.values() for sample in samples))
        return DataSet({split: tuple(samples) for split, samples in splits.items()})

    def _sample(self, root: Path, entry: Mapping[str, Any]) -> Sample:
        text, name = entry["captions"], str(entry[self.path_key])
        if not text or not isinstance(text, list):
            raise ValueError("no captions")
        labels = re.search(self.camera, name) if self.camera else None
        if self.camera and labels is None:
            raise ValueError("no camera in the name")
        words = labels.groupdict() if labels else {}
        return Sample(
            root / "imgs" / name,
            int(entry["id"]),
            int(words.get("camera", -1)),
            words.get("time"),
            text=tuple(map(str, text)),
        )
