"""Which extra brings a library that is missing, and how it gets in where this program stands."""

import re
from collections.abc import Sequence
from importlib.metadata import PackageNotFoundError, requires
from pathlib import Path

_CHECKOUT = Path(__file__).parents[1]


def extra_of(library: str) -> str | None:
    """The first of our extras that names a library, by the name it is imported by; None when none does.

    >>> extra_of("numba"), extra_of("open_clip.tokenizer"), extra_of("peft"), extra_of("a_library_nobody_has")
    ('lab', 'train', 'mllm', None)
    """
    wanted = library.partition(".")[0].lower().replace("-", "_")
    for line in _requirements():
        package = re.split(r"[^\w.-]", line)[0].lower().replace("-", "_")
        extra = re.search(r"""extra == ['"]([\w-]+)['"]""", line)
        if extra and (package == wanted or package.startswith(f"{wanted}_")):
            return extra[1]
    return None


def cure(extras: Sequence[str]) -> str:
    """What to do so that these extras are there: in a checkout, its own way; elsewhere, pip's."""
    names = ",".join(extras)
    if (_CHECKOUT / "requirements" / "install").exists():
        return f"install the extra: make -C {_CHECKOUT} extra NAMES={names}"
    return f"install the extra: pip install 'musewatch[{names}]'"


def _requirements() -> list[str]:
    try:
        return requires("musewatch") or []
    except PackageNotFoundError:
        return []
