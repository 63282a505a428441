"""numba's compiler with the types kept, and short names for the arrays that kernels take."""

from collections.abc import Callable
from typing import ParamSpec, TypeVar, cast

import numba
import numpy as np
from numpy.typing import NDArray

F64 = NDArray[np.float64]
F32 = NDArray[np.float32]
I32 = NDArray[np.int32]
I64 = NDArray[np.int64]
U8 = NDArray[np.uint8]

P = ParamSpec("P")
R = TypeVar("R")


def compiled(function: Callable[P, R]) -> Callable[P, R]:
    """The function as machine code, kept beside its module; it gives up the interpreter's lock."""
    return cast("Callable[P, R]", numba.njit(cache=True, nogil=True, error_model="numpy")(function))


def inlined(function: Callable[P, R]) -> Callable[P, R]:
    """As `compiled`, always put into the kernels that call it: for what runs once a pixel or a vertex."""
    return cast(
        "Callable[P, R]", numba.njit(cache=True, nogil=True, error_model="numpy", forceinline=True)(function)
    )
