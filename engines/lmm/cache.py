"""What was computed once and is kept while there is room."""

from collections import OrderedDict
from typing import Generic, Protocol, TypeVar


class Sized(Protocol):
    """Something that knows how much memory it takes."""

    @property
    def nbytes(self) -> int:
        """Bytes."""
        ...


V = TypeVar("V", bound=Sized)


class ByteCache(Generic[V]):
    """Keeps values within a number of bytes; the least recently used go first.

    >>> import numpy as np
    >>> cache = ByteCache[np.ndarray](20)
    >>> for name in (b"a", b"b"): cache.put(name, np.zeros(10, np.uint8))
    >>> _ = cache.get(b"a"); cache.put(b"c", np.zeros(10, np.uint8))
    >>> cache.get(b"b") is None, len(cache), cache.nbytes
    (True, 2, 20)

    Args:
        limit: Bytes; what is larger alone is not kept at all.
    """

    def __init__(self, limit: int) -> None:
        self._limit = limit
        self._kept: OrderedDict[bytes, V] = OrderedDict()
        self.nbytes = 0

    def __len__(self) -> int:
        return len(self._kept)

    def get(self, key: bytes) -> V | None:
        """The value, which is then the most recently used; None = not there."""
        value = self._kept.get(key)
        if value is not None:
            self._kept.move_to_end(key)
        return value

    def put(self, key: bytes, value: V) -> None:
        """Keeps a value, in the place of an older one of its key."""
        self.drop(key)
        self._kept[key] = value
        self.nbytes += value.nbytes
        while self.nbytes > self._limit:
            self.drop(next(iter(self._kept)))

    def clear(self) -> None:
        """Forgets all values."""
        self._kept.clear()
        self.nbytes = 0

    def drop(self, key: bytes) -> None:
        """Forgets a value, where it is kept."""
        value = self._kept.pop(key, None)
        if value is not None:
            self.nbytes -= value.nbytes
