"""A loaded network: one narrow interface, whatever runs it; and pictures in runs of a few fixed sizes."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal, Protocol

from numpy.typing import NDArray

Tensors = Mapping[str, NDArray[Any]]
Device = Literal["auto", "cpu", "cuda"]

ANY_BATCH = 32
"""Pictures of one run, where neither network nor manifest limits them."""


@dataclass(frozen=True, slots=True)
class TensorSpec:
    """A tensor that goes in or comes out.

    Attributes:
        name: Its name in the network.
        shape: Sizes; None where any size goes.
        dtype: numpy's name of the type, such as `float32`.
    """

    name: str
    shape: tuple[int | None, ...]
    dtype: str

    def __str__(self) -> str:
        sizes = ", ".join("any" if size is None else str(size) for size in self.shape)
        return f"{self.name!r} ({sizes}) {self.dtype}"


class Session(Protocol):
    """A loaded network. Not thread-safe: one session per stage."""

    @property
    def inputs(self) -> tuple[TensorSpec, ...]:
        """What `run` must be given."""
        ...

    @property
    def outputs(self) -> tuple[TensorSpec, ...]:
        """What `run` gives."""
        ...

    def run(self, feeds: Tensors) -> Tensors:
        """Outputs by name for inputs by name; the arrays given are not kept.

        Raises:
            TensorError: The network cannot work on what it was given.
        """
        ...


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
