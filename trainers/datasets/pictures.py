"""The pixels of labelled pictures, read as the product reads every picture, and their vectors."""

from collections.abc import Callable, Iterator, Sequence
from functools import cache
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from pipeline import registry
from pipeline.errors import InputError
from pipeline.protocols import Codec
from pipeline.settings import choose
from trainers.datasets.sample import Sample

BATCH = 64
JPEG, PNG = b"\xff\xd8", b"\x89PNG"
JPEG_END, PNG_END = b"\xff\xd9", b"IEND\xaeB`\x82"
Image = NDArray[np.uint8]


@cache
def codec() -> Codec:
    """What reads the pictures of data sets."""
    made: Codec = registry.build("codec", choose("opencv"), Path(), "codec")
    return made


def read_picture(sample: Sample) -> Image:
    """The (H, W, 3) BGR picture of a sample, cut to its box where it has one.

    Raises:
        InputError: The file is missing, damaged or cut short, or its box lies outside.
    """
    try:
        image = codec().decode(read_bytes(sample.path))
    except InputError as error:
        raise InputError(
            f"{sample.path}: {error.problem}", "get it again, or take it out of the set"
        ) from None
    if sample.box is None:
        return image
    x0, y0, x1, y1 = (max(0, round(side)) for side in sample.box)
    cut = image[y0:y1, x0:x1]
    if not cut.size:
        raise InputError(f"{sample.path}: the box {sample.box} lies outside of the picture", "mend the label")
    return cut


def read_bytes(path: Path) -> bytes:
    """A file.

    Raises:
        InputError: It is missing or cannot be read.
    """
    try:
        return path.read_bytes()
    except OSError as error:
        raise InputError(f"{path} cannot be read: {error.strerror}") from None


def is_cut(path: Path) -> bool:
    """Whether a JPEG or PNG file ends too early; only a file with an unusual end is decoded."""
    with path.open("rb") as file:
        begin = file.read(len(PNG))
        file.seek(0, 2)
        file.seek(-min(file.tell(), len(PNG_END)), 2)
        end = file.read()
    if begin == PNG:
        whole = end == PNG_END
    elif begin.startswith(JPEG):
        whole = end.endswith(JPEG_END)
    else:
        return False
    if whole:
        return False
    try:
        codec().decode(path.read_bytes())
    except InputError:
        return True
    return False


def embedded(
    samples: Sequence[Sample], embed: Callable[[list[Image]], NDArray[np.float32]], batch: int = BATCH
) -> Iterator[tuple[Sequence[Sample], NDArray[np.float32]]]:
    """Portions of the samples with their (N, D) rows, in order.

    Raises:
        InputError: A picture cannot be read.
    """
    for start in range(0, len(samples), batch):
        part = samples[start : start + batch]
        yield part, embed([read_picture(sample) for sample in part])
