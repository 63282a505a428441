"""From a picture file to the picture of one person, or the reason why not."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from enum import StrEnum
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from pipeline.bounds import MAX_PICTURE_BYTES
from pipeline.errors import ConfigError, InputError
from pipeline.follow.crops import cut, sharpness
from pipeline.follow.geometry import Box
from pipeline.messages import Clock, Frame
from pipeline.protocols import Codec, Detector

MIN_HEIGHT_PX = 40
MIN_SHARPNESS = 0.12

_CROP_QUALITY = 95
_MIN_WIDTH_SHARE = 0.2  # of the least height: what is narrower shows nobody whole


class Reason(StrEnum):
    """Why a picture was refused."""

    NO_PERSON = "no_person"
    SEVERAL_PEOPLE = "several_people"
    TOO_SMALL = "too_small"
    BLURRED = "blurred"
    UNREADABLE = "unreadable"


class RefusedError(InputError):
    """A picture that cannot be enrolled.

    Args:
        reason: Which rule refused it.
        problem: What is wrong.
        fix: What to do about it.
        boxes: The people found, xyxy in pixels of the picture turned upright.
    """

    def __init__(self, reason: Reason, problem: str, fix: str, boxes: Sequence[Box] = ()) -> None:
        self.reason = reason
        self.boxes = tuple(boxes)
        super().__init__(problem, fix)


@dataclass(frozen=True, slots=True)
class Portrait:
    """One person: the file bytes to keep, and the pixels that they decode to, (h, w, 3) BGR."""

    picture: bytes
    image: NDArray[np.uint8]


@dataclass(frozen=True, slots=True)
class PortraitMaker:
    """Cuts the one person out of pictures.

    Attributes:
        codec: Reads the files and writes the crops.
        detector: Finds the person; None where `whole` or a box says who is meant.
        box: The person, xyxy in pixels of the picture turned upright.
        min_height_px: Least height of the person.
        min_sharpness: Least sharpness, in [0, 1).
    """

    codec: Codec
    detector: Detector | None = None
    box: Box | None = None
    min_height_px: int = MIN_HEIGHT_PX
    min_sharpness: float = MIN_SHARPNESS

    def read(self, path: Path) -> Portrait:
        """The person in a picture file.

        A picture that is one person is kept byte for byte; a person cut out of a scene is kept as JPEG.

        Raises:
            RefusedError: With the reason.
            ConfigError: The box lies outside the picture.
        """
        data = _file_bytes(path)
        try:
            image = self.codec.decode(data)
        except InputError as error:
            raise RefusedError(Reason.UNREADABLE, error.problem, error.fix) from error
        self._check_size(image)
        box = self.box if self.box is not None else self._find(image)
        portrait = Portrait(data, image) if box is None else self._crop(image, box)
        self._check_size(portrait.image)
        self._check_focus(portrait.image)
        return portrait

    def _find(self, image: NDArray[np.uint8]) -> Box | None:
        if self.detector is None:
            return None
        frame = Frame("enrolment", 0, image, 0.0, datetime(1970, 1, 1, tzinfo=UTC), Clock.FILE)
        found = self.detector.detect([frame])[0].xyxy
        boxes = [_box(row) for row in found]
        tall = [box for box in boxes if box[3] - box[1] >= self.min_height_px]
        if not boxes:
            raise RefusedError(
                Reason.NO_PERSON,
                "the detector finds nobody",
                "give a picture that shows the whole person, or --whole where the picture is one person",
            )
        if len(tall) > 1:
            raise RefusedError(
                Reason.SEVERAL_PEOPLE,
                f"{len(tall)} people",
                f"say which one: {' or '.join(f'--box {_text(box)}' for box in tall)}",
                tall,
            )
        return (tall or boxes)[0]

    def _crop(self, image: NDArray[np.uint8], box: Box) -> Portrait:
        height, width = image.shape[:2]
        if box[0] >= width or box[1] >= height or box[2] <= 0 or box[3] <= 0:
            raise ConfigError(f"--box {_text(box)} lies outside the picture of {width}x{height} px")
        picture = self.codec.encode(cut(image, np.array(box, np.float32)), _CROP_QUALITY)
        return Portrait(picture, self.codec.decode(picture))

    def _check_size(self, image: NDArray[np.uint8]) -> None:
        height, width = image.shape[:2]
        if height < self.min_height_px or width < self.min_height_px * _MIN_WIDTH_SHARE:
            raise RefusedError(
                Reason.TOO_SMALL,
                f"{width}x{height} px; {self.min_height_px} px of height are needed",
                "give a larger picture of the person",
            )

    def _check_focus(self, image: NDArray[np.uint8]) -> None:
        found = sharpness(image)
        if found < self.min_sharpness:
            raise RefusedError(
                Reason.BLURRED,
                f"sharpness {found:.2f}; {self.min_sharpness:.2f} is needed",
                "give a picture in focus",
            )


def _file_bytes(path: Path) -> bytes:
    try:
        if not path.is_file():
            problem = "not a file" if path.exists() else "no such file"
            raise RefusedError(Reason.UNREADABLE, problem, "give the path of a picture file")
        if path.stat().st_size > MAX_PICTURE_BYTES:
            limit = f"more than {MAX_PICTURE_BYTES // 1024**2} MB"
            raise RefusedError(Reason.UNREADABLE, limit, "shrink the picture")
        return path.read_bytes()
    except OSError as error:
        raise RefusedError(
            Reason.UNREADABLE, error.strerror or str(error), "check the path and its permissions"
        ) from error


def _box(row: NDArray[np.float32]) -> Box:
    x1, y1, x2, y2 = (round(float(value), 1) for value in row)
    return x1, y1, x2, y2


def _text(box: Box) -> str:
    return ",".join(f"{value:g}" for value in box)
