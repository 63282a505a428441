"""Vectors that were made once: kept by the engine's digest and the picture's."""

from collections.abc import Sequence
from pathlib import Path
from typing import Self

import numpy as np
from numpy.typing import NDArray

from pipeline.errors import ConfigError
from pipeline.store.sqlite import Database, Format

_ONE_QUESTION = 500
_VECTORS = Format(
    "cache",
    (
        (
            "CREATE TABLE IF NOT EXISTS vectors"  # files from before the count of formats have it
            " (engine TEXT, picture TEXT, vector BLOB, PRIMARY KEY (engine, picture)) WITHOUT ROWID",
        ),
    ),
    unusable=ConfigError,
    full=ConfigError,
    damaged=ConfigError,
    cure="delete it, or name another",
)


class FeatureCache:
    """A file of vectors; may be deleted at any time, and is used by one process at a time.

    Args:
        folder: Where `vectors.sqlite` lies; made if missing.

    Raises:
        ConfigError: The file cannot be used.
        OutsideError: The folder cannot be made.
    """

    def __init__(self, folder: Path) -> None:
        self._file = Database(folder / "vectors.sqlite", _VECTORS)

    def find(self, engine: str, pictures: Sequence[str]) -> dict[str, NDArray[np.float32]]:
        """Vectors that are known, by picture digest."""
        found: dict[str, NDArray[np.float32]] = {}
        for start in range(0, len(pictures), _ONE_QUESTION):
            part = list(pictures[start : start + _ONE_QUESTION])
            marks = ",".join("?" * len(part))
            with self._file.reading() as db:
                rows = db.execute(
                    f"SELECT picture, vector FROM vectors WHERE engine = ? AND picture IN ({marks})",
                    [engine, *part],
                )
                found |= {picture: np.frombuffer(vector, np.float32) for picture, vector in rows}
        return found

    def keep(self, engine: str, pictures: Sequence[str], vectors: NDArray[np.float32]) -> None:
        """Remembers (N, D) vectors of N pictures."""
        rows = [
            (engine, picture, vector.astype(np.float32).tobytes())
            for picture, vector in zip(pictures, vectors, strict=True)
        ]
        with self._file.changing() as db:
            db.executemany("INSERT OR REPLACE INTO vectors VALUES (?, ?, ?)", rows)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._file.close()
