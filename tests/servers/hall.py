"""Frames of the demo's clips with the people labelled in them."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

import av
import numpy as np
from numpy.typing import NDArray

from pipeline.messages import Clock, Frame

CLIPS = Path(__file__).parents[2] / "configs" / "demo_clips"


@dataclass(frozen=True)
class Person:
    """A labelled person; box xyxy in pixels, visibility in [0, 1]."""

    id: int
    box: NDArray[np.float32]
    visibility: float

    @property
    def height_px(self) -> float:
        return float(self.box[3] - self.box[1])


def frames(clip: str, indices: Sequence[int]) -> Iterator[Frame]:
    """The frames of a clip at these positions, growing; images are read-only, as a source may give them."""
    with av.open(str(CLIPS / f"{clip}.mp4")) as container:
        for index, picture in enumerate(container.decode(video=0)):
            if index in indices:
                image = picture.to_ndarray(format="bgr24")
                image.setflags(write=False)
                yield Frame(
                    clip, index, image, float(picture.time), datetime(2026, 1, 1, tzinfo=UTC), Clock.FILE
                )
            if index >= indices[-1]:
                return


def people(clip: str, index: int) -> list[Person]:
    """Who is labelled in a frame."""
    rows = np.loadtxt(CLIPS / f"{clip}.gt.txt", delimiter=",", ndmin=2)
    there = rows[rows[:, 0] == index + 1]
    return [
        Person(int(row[1]), np.float32([row[2], row[3], row[2] + row[4], row[3] + row[5]]), float(row[8]))
        for row in there
    ]


def crop(frame: Frame, box: NDArray[np.float32]) -> NDArray[np.uint8]:
    """The person cut out; a view."""
    width, height = frame.size
    x1, y1, x2, y2 = (round(float(v)) for v in np.clip(box, 0, [width, height, width, height]))
    return frame.image[y1:y2, x1:x2]
