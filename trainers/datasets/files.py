"""Files of a data set, and how to say what was expected and what was found."""

from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

from scipy.io import loadmat

from pipeline.errors import InputError
from pipeline.strict_json import JsonError, parse_json

SHOWN = 3
WIDEST = 2**63 - 1
PICTURES = {".jpg", ".jpeg", ".png", ".bmp", ".webp", ".tif", ".tiff"}


def refused(where: Path, expected: str, found: str) -> InputError:
    """The one error of a wrong layout."""
    return InputError(f"{where}: expected {expected}; found {found}", "musewatch data list names the layout")


def named(items: Sequence[object]) -> str:
    """The first few of many."""
    more = f" and {len(items) - SHOWN} more" if len(items) > SHOWN else ""
    return ", ".join(str(item) for item in items[:SHOWN]) + more


def contents(folder: Path) -> str:
    """What stands in a folder, in short."""
    if not folder.is_dir():
        return "no such folder"
    names = sorted(path.name + "/" * path.is_dir() for path in folder.iterdir())
    return named(names) or "an empty folder"


def matching(root: Path, glob: str, example: str) -> list[Path]:
    """The pictures of a part, in order of their names; other files beside them do not matter.

    Raises:
        InputError: There is none, or a picture of another ending lies among them.
    """
    folder, _, _ = glob.rpartition("/")
    beside = [path for path in root.glob(f"{folder}/*" if folder else "*") if path.suffix.lower() in PICTURES]
    paths = sorted(path for path in root.glob(glob) if path.suffix.lower() in PICTURES)
    if not paths:
        top = root / glob.partition("/")[0]
        where = top if top.is_dir() else root
        raise refused(root, f"{glob}, like {example}", f"none; in {where.name}: {contents(where)}")
    if strays := sorted({*beside}.difference(paths)):
        raise refused(root, f"only {glob} in {folder or '.'}/", f"{len(strays)} others: {named(strays)}")
    return paths


def all_there(listed_by: Path, paths: Iterable[Path]) -> None:
    """Checks that every listed file exists.

    Raises:
        InputError: Some do not.
    """
    wanted = list(dict.fromkeys(paths))
    missing = [path for path in wanted if not path.is_file()]
    if missing:
        raise refused(
            listed_by, f"{len(wanted)} files that it lists", f"{len(missing)} missing: {named(missing)}"
        )


def text(path: Path, expected: str) -> str:
    """What a text file holds.

    Raises:
        InputError: It cannot be read.
    """
    try:
        return path.read_text(encoding="utf-8-sig")
    except OSError:
        raise refused(path, expected, contents(path.parent)) from None
    except UnicodeDecodeError:
        raise refused(path, expected, "no text") from None


def lines(path: Path, example: str) -> list[list[str]]:
    """The words of each line of a list.

    Raises:
        InputError: It cannot be read, or is empty.
    """
    expected = f"a list of lines like {example!r}"
    words = [line.split() for line in text(path, expected).splitlines() if line.strip()]
    if not words:
        raise refused(path, expected, "none")
    return words


def table(path: Path) -> Any:
    """What a JSON file holds.

    Raises:
        InputError: It cannot be read.
    """
    try:
        return parse_json(text(path, "a JSON file"))
    except JsonError as error:
        raise refused(path, "JSON", str(error)) from None


def matlab(path: Path, *names: str) -> Any:
    """The first of these variables that a .mat file has.

    Raises:
        InputError: It cannot be read, or has none.
    """
    try:
        content = loadmat(str(path), appendmat=False)
    except OSError:
        raise refused(path, "a .mat file", contents(path.parent)) from None
    except Exception as error:  # scipy raises what the bytes make it raise
        raise refused(path, "a .mat file", f"{type(error).__name__}: {error}") from None
    for name in names:
        if name in content:
            return content[name]
    held = [name for name in content if not name.startswith("__")]
    raise refused(path, f"the variable {' or '.join(names)}", named(held) or "none")


def whole(word: str) -> int:
    """A label.

    Raises:
        ValueError: No whole number, or one beyond 64 bits.
    """
    value = int(word)
    if abs(value) > WIDEST:
        raise ValueError(f"{word} is too large for a label")
    return value
