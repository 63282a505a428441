"""`musewatch evaluate masks`: how well masks fit, as gIoU and cIoU."""

from collections.abc import Iterator
from pathlib import Path
from typing import Annotated

import cv2
import numpy as np
import typer
from numpy.typing import NDArray

from pipeline.errors import InputError
from pipeline.output import JsonOption, console, print_json
from trainers.metrics.scenes import mask_scores

Mask = NDArray[np.bool_]


def masks(
    given: Annotated[
        Path, typer.Argument(metavar="DIR", help="Masks as PNG; none of a name = an empty one.")
    ],
    truth: Annotated[
        Path, typer.Option("--truth", metavar="DIR", help="True masks as PNG of the same names.")
    ],
    value: Annotated[
        int | None, typer.Option(help="The person's value in the true masks; else everything but 0.")
    ] = None,
    as_json: JsonOption = False,
) -> None:
    """Scores masks against true ones."""
    scores = mask_scores(pairs(given, truth, value))
    document = {"images": len(scores.iou), "gIoU": scores.giou, "cIoU": scores.ciou}
    if as_json:
        print_json(document)
    else:
        console().print(
            f"{document['images']} images: gIoU {100 * scores.giou:.1f}, cIoU {100 * scores.ciou:.1f} per cent"
        )


def pairs(given: Path, truth: Path, value: int | None = None) -> Iterator[tuple[Mask, Mask]]:
    """(Mask given, true mask) of every true mask, by name.

    Raises:
        InputError: A folder without masks, masks given of which there is no truth, a file that is no picture, or sizes
            that differ.
    """
    names = {path.name for path in truth.glob("*.png")}
    if not names:
        raise InputError(f"there are no *.png in {truth}", "give the folder of the true masks")
    if not given.is_dir():
        raise InputError(f"there is no folder {given}", "give the folder of the masks to score")
    strange = sorted({path.name for path in given.glob("*.png")} - names)
    if strange:
        raise InputError(f"{given / strange[0]} has no true mask in {truth}", "give both the same names")
    for name in sorted(names):
        true = _read(truth / name)
        wanted = true != 0 if value is None else true == value
        mine = _read(given / name) != 0 if (given / name).exists() else np.zeros(true.shape, np.bool_)
        if mine.shape != wanted.shape:
            raise InputError(f"{given / name}: {mine.shape} against a true mask of {wanted.shape}")
        yield mine, wanted


def _read(path: Path) -> NDArray[np.uint8]:
    image = cv2.imread(str(path), cv2.IMREAD_GRAYSCALE)
    if image is None:
        raise InputError(f"{path} is not a picture that can be read")
    return np.asarray(image, np.uint8)
