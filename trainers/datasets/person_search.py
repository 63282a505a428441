"""Sets of whole scenes with boxes of people: CUHK-SYSU and PRW."""

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from trainers.datasets.files import all_there, lines, matlab, refused
from trainers.datasets.sample import JUNK, DataSet, Sample

GALLERY_SIZE = 100
"""CUHK-SYSU gives each query its own gallery, of 50 to 4000 scenes; papers report 100."""
PRW_BOXES = ("box_new", "anno_file", "anno_previous")
PRW_UNKNOWN = -2
PRW_NAME = re.compile(r"^c(\d+)s\d+_(\d+)$")
PRW_LINE = "479 1074.8 240.5 71.8 213.6 c1s3_016471"
Box = tuple[float, float, float, float]
Labels = dict[str, dict[Box, int]]


def cuhk_sysu(root: Path, trial: int) -> DataSet:
    """`Image/SSM` and `annotation`: Images.mat, pool.mat, test/train_test/{Train,TestG50,TestG100}.mat.

    People are numbered as the lists have them: training people from 1, test people after them. Others are -1.
    """
    scenes, tests = root / "Image" / "SSM", root / "annotation" / "test" / "train_test"
    listed = root / "annotation" / "Images.mat"
    pool = {_word(cell) for cell in matlab(root / "annotation" / "pool.mat", "pool").ravel()}
    every = dict(_as_labelled(listed, _sysu_images(matlab(listed, "Img"))))
    training = matlab(tests / "Train.mat", "Train").ravel()
    queries = []
    try:
        for person, record in enumerate(training, 1):
            _name_people(every, record[0, 0][2], person)
        for person, record in enumerate(matlab(tests / "TestG50.mat", "TestG50").ravel(), len(training) + 1):
            name, box = _query(record)
            every[name][box] = person
            _name_people(every, record["Gallery"], person)
            queries.append(Sample(scenes / name, person, box=box))
        galleries = tuple(
            tuple(scenes / _word(scene[0]) for scene in record["Gallery"].ravel())
            for record in matlab(tests / f"TestG{GALLERY_SIZE}.mat", f"TestG{GALLERY_SIZE}").ravel()
        )
    except (KeyError, IndexError, ValueError, TypeError) as error:
        found = f"{type(error).__name__}: {error}"
        raise refused(tests, "records of scenes that Images.mat lists", found) from None
    samples: dict[bool, list[Sample]] = {True: [], False: []}
    for name, people in every.items():
        samples[name in pool] += [Sample(scenes / name, who, box=box) for box, who in people.items()]
    all_there(listed, (scenes / name for name in every))
    splits = {"train": tuple(samples[False]), "query": tuple(queries), "gallery": tuple(samples[True])}
    return DataSet(splits, galleries)


def _sysu_images(images: NDArray[Any]) -> Iterator[tuple[str, list[Box]]]:
    """Each record is name, number of people, and a list of records that begin with a box."""
    for image in images.ravel():
        boxes = np.array([person[0].ravel() for person in image[2].ravel()], np.float64).reshape(-1, 4)
        yield _word(image[0]), [_xyxy(box) for box in boxes if box[2] > 0 and box[3] > 0]


def _as_labelled(path: Path, images: Iterator[tuple[str, list[Box]]]) -> Iterator[tuple[str, dict[Box, int]]]:
    try:
        for name, boxes in images:
            yield name, dict.fromkeys(boxes, JUNK)
    except (KeyError, IndexError, ValueError, TypeError) as error:
        found = f"{type(error).__name__}: {error}"
        raise refused(path, "records of a scene's name, number of people and boxes", found) from None


def _query(record: Any) -> tuple[str, Box]:
    query = record["Query"][0, 0]
    return _word(query[0]), _xyxy(query[1].ravel())


def _name_people(labels: Labels, scenes: NDArray[Any], person: int) -> None:
    """Each record begins with the scene's name and the person's box, which is empty where the person is not."""
    for scene in scenes.ravel():
        if scene[1].size:
            labels[_word(scene[0])][_xyxy(scene[1].ravel())] = person


def prw(root: Path, trial: int) -> DataSet:
    """`frames`, `annotations` with a .mat for each, `frame_train.mat`, `frame_test.mat`, `query_info.txt`."""
    parts = {"train": ("frame_train.mat", "img_index_train"), "gallery": ("frame_test.mat", "img_index_test")}
    splits: dict[str, tuple[Sample, ...]] = {"query": tuple(_prw_queries(root))}
    for split, (name, variable) in parts.items():
        frames = [_word(cell) for cell in matlab(root / name, variable).ravel()]
        splits[split] = tuple(sample for frame in frames for sample in _prw_frame(root, frame))
        all_there(root / name, (root / "frames" / f"{frame}.jpg" for frame in frames))
    all_there(root / "query_info.txt", (sample.path for sample in splits["query"]))
    return DataSet(splits)


def _prw_frame(root: Path, frame: str) -> list[Sample]:
    path = root / "annotations" / f"{frame}.jpg.mat"
    rows = matlab(path, *PRW_BOXES)
    if rows.ndim != 2 or rows.shape[1] != 5 or not np.isfinite(rows.astype(np.float64)).all():
        raise refused(path, "rows of ID, x, y, w, h", f"shape {rows.shape}, or no numbers")
    return [_prw_sample(root, frame, int(row[0]), row[1:], path) for row in rows]


def _prw_queries(root: Path) -> Iterator[Sample]:
    listed = root / "query_info.txt"
    for words in lines(listed, PRW_LINE):
        try:
            person, box = int(words[0]), np.array(words[1:5], np.float64)
            yield _prw_sample(root, words[5], person, box, listed)
        except (ValueError, IndexError):
            raise refused(listed, f"lines like {PRW_LINE!r}", repr(" ".join(words))) from None


def _prw_sample(root: Path, frame: str, person: int, box: NDArray[Any], stated_in: Path) -> Sample:
    match = PRW_NAME.match(frame)
    if match is None:
        raise refused(stated_in, "frames named like c1s3_016471", repr(frame))
    return Sample(
        root / "frames" / f"{frame}.jpg",
        JUNK if person == PRW_UNKNOWN else person,
        int(match[1]),
        match[2],
        box=_xyxy(box),
    )


def _xyxy(box: NDArray[Any]) -> Box:
    """x, y, w, h as the sets have it; some begin before the picture does."""
    x, y, width, height = (float(value) for value in box)
    return max(x, 0.0), max(y, 0.0), x + width, y + height


def _word(cell: Any) -> str:
    return str(cell.ravel()[0]) if hasattr(cell, "ravel") else str(cell)
