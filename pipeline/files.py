"""Whether files can be written where a config wants them."""

import os
from pathlib import Path

from pipeline.errors import OutsideError

FIX = "give another path, or this user the right to write there"


def make_folder(path: Path) -> None:
    """Makes a folder where it is missing.

    Raises:
        OutsideError: It cannot be made.
    """
    try:
        path.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise OutsideError(f"the folder {path} cannot be made: {error.strerror}", FIX) from None


def need_writable(path: Path) -> None:
    """Leaves no trace: what is missing of the path is not made.

    Raises:
        OutsideError: A file of that name could not be written.
    """
    nearest = next(place for place in (path, *path.absolute().parents) if os.path.exists(place))
    if nearest != path and not nearest.is_dir():
        raise OutsideError(f"{path} cannot be written: {nearest} is not a folder", FIX)
    if not os.access(nearest, os.W_OK):
        raise OutsideError(f"{path} cannot be written: this user may not write to {nearest}", FIX)
