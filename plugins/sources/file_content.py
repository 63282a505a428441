"""What files say without being decoded: a name for their content, and when they were last written."""

import hashlib
from collections.abc import Iterable
from datetime import UTC, datetime
from pathlib import Path

_BLOCK = 65536
_SAMPLES = 16


def content_name(paths: Iterable[Path]) -> str:
    """16 hexadecimal digits from the sizes and from up to 16 blocks, evenly spread, of each file in turn.

    Raises:
        OSError: A file cannot be read.
    """
    digest = hashlib.sha256()
    for path in paths:
        size = path.stat().st_size
        digest.update(size.to_bytes(8, "big"))
        with path.open("rb") as file:
            for offset in sorted({i * max(size - _BLOCK, 0) // (_SAMPLES - 1) for i in range(_SAMPLES)}):
                file.seek(offset)
                digest.update(file.read(_BLOCK))
    return digest.hexdigest()[:16]


def written_at(path: Path) -> datetime:
    """When a file was last changed: of a recording that states no date, when it ended.

    Raises:
        OSError: There is no such file.
    """
    return datetime.fromtimestamp(path.stat().st_mtime, UTC)
