"""Sets whose split is in lists: of files (MSMT17, RegDB), or of people (SYSU-MM01)."""

import re
from collections.abc import Iterator, Sequence
from pathlib import Path

from trainers.datasets.files import all_there, contents, lines, refused
from trainers.datasets.sample import DataSet, Modality, Sample

MSMT17_NAME = re.compile(r"(?:^|/)(\d+)_(\d+)_(?P<camera>\d+)_(?P<time>\d{4}[a-z]+)_(\d+)_(\d+)\.jpg$")
MSMT17_LINE = "0000/0000_000_01_0303morning_0008_0.jpg 0"
MSMT17_FOLDERS = ({"train": "train", "test": "test"}, {"train": "mask_train_v2", "test": "mask_test_v2"})
REGDB_LINE = "Visible/1/male_front_v_00007_1.bmp 0"
SYSU_CAMERAS: dict[Modality, tuple[int, ...]] = {"visible": (1, 2, 4, 5), "infrared": (3, 6)}
SYSU_LINE = "6,10,17"


def msmt17(root: Path, trial: int) -> DataSet:
    """`list_train.txt`, `list_val.txt`, `list_query.txt`, `list_gallery.txt` of names that tell camera and time."""
    folders = next((names for names in MSMT17_FOLDERS if (root / names["train"]).is_dir()), None)
    if folders is None:
        raise refused(root, "train/ and test/, or mask_train_v2/ and mask_test_v2/", contents(root))
    splits = {}
    for split in ("train", "val", "query", "gallery"):
        listed = root / f"list_{split}.txt"
        folder = root / folders["train" if split in ("train", "val") else "test"]
        splits[split] = tuple(
            _msmt17_sample(listed, folder, name, number) for name, number in _pairs(listed, MSMT17_LINE)
        )
        all_there(listed, (sample.path for sample in splits[split]))
    return DataSet(splits)


def _msmt17_sample(listed: Path, folder: Path, name: str, number: int) -> Sample:
    match = MSMT17_NAME.search(name)
    if match is None:
        raise refused(listed, f"lines like {MSMT17_LINE!r}", repr(name))
    return Sample(folder / name, number, int(match["camera"]), match["time"])


def _pairs(listed: Path, example: str) -> Iterator[tuple[str, int]]:
    for words in lines(listed, example):
        if len(words) != 2 or not words[1].isdigit():
            raise refused(listed, f"lines like {example!r}", repr(" ".join(words)))
        yield words[0], int(words[1])


def regdb(root: Path, trial: int) -> DataSet:
    """`idx/train_visible_1.txt` and its like; visible = camera 1 and the query, thermal = camera 2, the gallery."""
    kinds: tuple[tuple[Modality, str], ...] = (("visible", "query"), ("thermal", "gallery"))
    splits: dict[str, tuple[Sample, ...]] = {"train": ()}
    for camera, (modality, split) in enumerate(kinds, 1):
        for part in ("train", "test"):
            listed = root / "idx" / f"{part}_{modality}_{trial}.txt"
            samples = tuple(
                Sample(root / name, number, camera, modality=modality)
                for name, number in _pairs(listed, REGDB_LINE)
            )
            all_there(listed, (sample.path for sample in samples))
            if part == "train":
                splits["train"] += samples
            else:
                splits[split] = samples
    return DataSet(splits)


def sysu_mm01(root: Path, trial: int) -> DataSet:
    """`cam1` to `cam6` with a folder for each person; `exp/train_id.txt` and its like name the people of a split.

    The gallery is everything the visible cameras have of the test people: `sysu_all` and `sysu_indoor` draw from it.
    """
    people = {part: _people(root / "exp" / f"{part}_id.txt") for part in ("train", "val", "test")}
    both = tuple(SYSU_CAMERAS)
    return DataSet(
        {
            "train": tuple(_sysu_samples(root, people["train"], both)),
            "val": tuple(_sysu_samples(root, people["val"], both)),
            "query": tuple(_sysu_samples(root, people["test"], ("infrared",))),
            "gallery": tuple(_sysu_samples(root, people["test"], ("visible",))),
        }
    )


def _people(listed: Path) -> list[int]:
    words = ",".join("".join(line) for line in lines(listed, SYSU_LINE)).split(",")
    if not all(word.isdigit() for word in words):
        raise refused(listed, f"numbers like {SYSU_LINE}", repr(next(w for w in words if not w.isdigit())))
    return sorted({int(word) for word in words})


def _sysu_samples(root: Path, people: Sequence[int], kinds: Sequence[Modality]) -> Iterator[Sample]:
    """Not everybody is seen by every camera, but everybody by one."""
    for person in people:
        found = False
        for kind in kinds:
            for camera in SYSU_CAMERAS[kind]:
                for path in sorted((root / f"cam{camera}" / f"{person:04d}").glob("*.jpg")):
                    found = True
                    yield Sample(path, person, camera, path.stem, kind)
        if not found:
            cameras = ", ".join(f"cam{camera}" for kind in kinds for camera in SYSU_CAMERAS[kind])
            raise refused(root, f"{person:04d}/*.jpg in one of {cameras}", f"none; {contents(root)}")
