"""Refusals shared by the re-rankers: what is wrong with an array or a parameter, and what to do."""

from typing import Any

import numpy as np
from numpy.typing import NDArray

from pipeline.errors import ConfigError, InputError

WIDEST = 2**53
"""Largest label: every whole number up to here is a float64 of its own."""


def matrix(name: str, values: Any, shape: tuple[int | None, int | None]) -> NDArray[np.float32]:
    """`values` as a finite (rows, columns) float32 array.

    Args:
        name: How the caller calls it, for the message.
        values: Anything numpy can read.
        shape: Expected size of each axis; None = any.

    Raises:
        InputError: Wrong shape, not a number, infinite, or too large for float32.
    """
    array = np.asarray(values)
    if array.dtype.kind not in "biuf":
        raise InputError(f"{name} holds {array.dtype}, not numbers", "give float32")
    if array.ndim != 2 or any(
        want not in (None, have) for want, have in zip(shape, array.shape, strict=True)
    ):
        wanted = ", ".join("any" if size is None else str(size) for size in shape)
        raise InputError(f"{name} has shape {array.shape}, expected ({wanted})")
    with np.errstate(over="ignore"):
        array = np.ascontiguousarray(array, np.float32)
    bad = ~np.isfinite(array).all(axis=1)
    if bad.any():
        raise InputError(
            f"{name} holds a value that is not finite in {bad.sum()} rows, first in row {bad.argmax()}",
            "leave these rows out",
        )
    return array


def labels(name: str, values: Any, size: int) -> NDArray[np.int64]:
    """`values` as (size,) int64.

    Raises:
        InputError: Wrong shape, not whole numbers, or so large that two of them could be taken for one.
    """
    array = np.asarray(values)
    if array.shape != (size,):
        raise InputError(f"{name} has shape {array.shape}, expected ({size},): one for each image")
    if array.dtype.kind == "f":
        whole = np.isfinite(array).all() and (array == np.round(array)).all()
    else:
        whole = array.dtype.kind in "iu"
    if not whole:
        raise InputError(f"{name} must be whole numbers, one for each image, not {array.dtype}")
    wide = np.flatnonzero((array < -WIDEST) | (array > WIDEST))
    if len(wide):
        raise InputError(
            f"{name} holds {array[wide[0]]}, in row {wide[0]}", "number people and cameras below 2^53"
        )
    return array.astype(np.int64)


def at_least(low: int, **parameters: int) -> None:
    """Checks whole-number parameters.

    Raises:
        ConfigError: One of them is below `low` or not whole.
    """
    for name, value in parameters.items():
        if int(value) != value or value < low:
            raise ConfigError(f"{name} = {value} must be a whole number of at least {low}")


def within(low: float, high: float, **parameters: float) -> None:
    """Checks real parameters.

    Raises:
        ConfigError: One of them is outside [low, high].
    """
    for name, value in parameters.items():
        if not low <= value <= high:
            raise ConfigError(f"{name} = {value} must be in [{low:g}, {high:g}]")
