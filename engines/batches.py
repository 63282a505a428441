"""Any number of pictures in runs of a few fixed sizes: split where they are too many, filled up where too few."""

from collections.abc import Sequence
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Run:
    """Pictures `start` to `stop`, run as a batch of `size`; what is missing in it is filled up."""

    start: int
    stop: int
    size: int


def split(count: int, sizes: Sequence[int]) -> list[Run]:
    """Runs that cover all pictures in order: the largest size again and again, then the smallest that suffices.

    Args:
        count: How many pictures.
        sizes: Sizes there are, growing.

    >>> split(70, (1, 8, 32))
    [Run(start=0, stop=32, size=32), Run(start=32, stop=64, size=32), Run(start=64, stop=70, size=8)]
    """
    largest = sizes[-1]
    return [
        Run(start, stop, next(size for size in sizes if size >= stop - start))
        for start in range(0, count, largest)
        for stop in [min(start + largest, count)]
    ]


def ladder(smallest: int, largest: int) -> tuple[int, ...]:
    """Sizes that double from the smallest, and the largest.

    >>> ladder(1, 24)
    (1, 2, 4, 8, 16, 24)
    """
    sizes = []
    size = smallest
    while size < largest:
        sizes.append(size)
        size *= 2
    return (*sizes, largest)
