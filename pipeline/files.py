"""Files and folders where a config wants them: for this user alone, since they are about people."""

import os
from pathlib import Path

from pipeline.errors import OutsideError

FIX = "give another path, or this user the right to write there"


def make_folder(path: Path) -> None:
    """Makes a folder where it is missing, 0700; one that is there stays as it is.

    Raises:
        OutsideError: It cannot be made.
    """
    try:
        for folder in (*reversed(path.absolute().parents), path):
            if not folder.is_dir():
                folder.mkdir(mode=0o700, exist_ok=True)
    except OSError as error:
        raise OutsideError(f"the folder {path} cannot be made: {error.strerror}", FIX) from None


def make_private(path: Path, *, missing: bool = True) -> None:
    """Nobody else may read or write a file, 0600; where it is another user's it stays as it is.

    Args:
        path: The file.
        missing: Made, empty, where there is none; False = then nothing happens.

    Raises:
        OSError: It cannot be made.
    """
    if missing and not path.exists():
        os.close(open_private(str(path), os.O_WRONLY | os.O_CREAT))
    if path.exists() and path.stat().st_uid == os.geteuid():
        path.chmod(0o600)


def shut_folder(path: Path) -> int:
    """Closes a folder of ours to everybody else; says which mode its files get, 0600 or 0640.

    Where only its group may enter it besides, as for a web server, somebody has chosen that: it stays so, and the
    group may read the files too.

    Raises:
        OSError: It cannot be read.
    """
    mode = path.stat().st_mode
    if mode & 0o007 and path.stat().st_uid == os.geteuid():
        path.chmod(0o700)
        mode = 0o700
    return 0o640 if mode & 0o070 and not mode & 0o007 else 0o600


def open_private(path: str, flags: int) -> int:
    """Opens a file as `os.open` does, and makes it 0600; the `opener` of `open`."""
    return os.open(path, flags, 0o600)


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
