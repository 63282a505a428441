"""How large numbers, times, texts and pictures from outside may be; beyond, they harm whoever takes them in."""

from collections.abc import Callable, Iterable
from datetime import UTC, datetime
from typing import Annotated

from pydantic import AfterValidator, AwareDatetime, Field

from pipeline.errors import InputError
from pipeline.jpeg import jpeg_size

MAX_STREAM_S = 1e10
"""Seconds on a stream's own clock, either way: over 300 years."""
MAX_COUNT = 2**53 - 1
"""The largest whole number that every JSON reader keeps exactly; SQLite holds it too."""
MAX_SIDE_PX = 65_535
"""Of a JPEG."""
MAX_EDGE_PX = 1e6
"""Of a box, which may reach beyond its picture."""
MAX_PIXELS = 32_000_000
"""Of all pictures that are unpacked together: an 8K frame, or 15 of full HD."""
MAX_PICTURE_BYTES = 64 * 1024 * 1024
"""Of a picture file that somebody is enrolled from."""
MAX_LABEL = 200
"""Characters of a digest or another name that a machine has made."""

_EARLIEST, _LATEST = datetime(1900, 1, 1, tzinfo=UTC), datetime(9000, 1, 1, tzinfo=UTC)


def within_the_calendar(moment: datetime) -> datetime:
    """Far enough from the ends of the calendar that any time zone and any stream's clock can be reckoned in."""
    if not _EARLIEST <= moment <= _LATEST:
        raise ValueError(f"expected a time between {_EARLIEST.year} and {_LATEST.year}")
    return moment


def _upright(box: tuple[float, float, float, float]) -> tuple[float, float, float, float]:
    left, top, right, bottom = box
    if right < left or bottom < top:
        raise ValueError("expected left, top, right, bottom")
    return box


Moment = Annotated[AwareDatetime, AfterValidator(within_the_calendar)]
"""A wall clock with its time zone."""
StreamSeconds = Annotated[float, Field(ge=-MAX_STREAM_S, le=MAX_STREAM_S, allow_inf_nan=False)]
"""Of a stream's own time."""
Finite = Annotated[float, Field(allow_inf_nan=False)]
Count = Annotated[int, Field(ge=0, le=MAX_COUNT)]
Label = Annotated[str, Field(min_length=1, max_length=MAX_LABEL)]
Side = Annotated[int, Field(ge=1, le=MAX_SIDE_PX)]
_Edge = Annotated[float, Field(ge=-MAX_EDGE_PX, le=MAX_EDGE_PX, allow_inf_nan=False)]
Box = Annotated[tuple[_Edge, _Edge, _Edge, _Edge], AfterValidator(_upright)]
"""xyxy in pixels."""


def refuse_large_pictures(
    files: Iterable[bytes], size_of: Callable[[bytes], tuple[int, int]] = jpeg_size
) -> None:
    """Looks at the headers alone.

    Args:
        files: Pictures that are to be unpacked together.
        size_of: Reads width and height from a header, and so says which formats are taken.

    Raises:
        InputError: One is of another format, or they have more than `MAX_PIXELS` altogether.
    """
    if sum(width * height for width, height in map(size_of, files)) > MAX_PIXELS:
        raise InputError(f"the pictures have more than {MAX_PIXELS} pixels altogether")
