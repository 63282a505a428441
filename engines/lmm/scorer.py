"""Exact scores of many pairs: what they share is read once."""

import hashlib
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from itertools import groupby

import numpy as np
import torch
from numpy.typing import NDArray

from engines.errors import OutputError
from engines.lmm.cache import ByteCache
from engines.lmm.model import Features, KeyValues, VisionLanguageModel
from engines.lmm.pack import Packed, Parts, pack, side_by_side
from engines.lmm.pictures import Picture

MB = 2**20


@dataclass(frozen=True, slots=True, eq=False)
class Prefix:
    """What a sequence begins with; `key` is the digest of its words and pictures."""

    key: bytes
    parts: tuple[str | Picture, ...]


@dataclass(frozen=True, slots=True, eq=False)
class _Read:
    """A prefix as the decoder keeps it, and the first position after it."""

    kept: KeyValues
    end: int

    @property
    def nbytes(self) -> int:
        return sum(keys.nbytes + values.nbytes for keys, values in self.kept)

    def __len__(self) -> int:
        return self.kept[0][0].shape[-2]


class Scorer:
    """Logits of the two answers after a prefix and a suffix, equal to those of one forward over the whole.

    Vision tokens are kept by picture, keys and values by prefix, both within a number of bytes; what went is made again
    when it is needed. Suffixes after prefixes of one length run together.

    Args:
        model: The network.
        batch: Suffixes in one run.
        vision_mb: Memory for vision tokens.
        prefix_mb: Memory for keys and values of prefixes.
    """

    def __init__(
        self, model: VisionLanguageModel, *, batch: int = 8, vision_mb: int = 256, prefix_mb: int = 1024
    ) -> None:
        self._model, self._batch = model, batch
        self._vision: ByteCache[Features] = ByteCache(vision_mb * MB)
        self._prefixes: ByteCache[_Read] = ByteCache(prefix_mb * MB)

    @property
    def nbytes(self) -> int:
        """Bytes that are kept for later."""
        return self._vision.nbytes + self._prefixes.nbytes

    def prefix(self, parts: Parts) -> Prefix:
        """Names a beginning; it is read when something is first scored after it."""
        digest = hashlib.blake2b(digest_size=16)
        for part in parts:
            said = part.key if isinstance(part, Picture) else hashlib.blake2b(part.encode()).digest()
            digest.update(said)
        return Prefix(digest.digest(), tuple(parts))

    def forget(self, prefix: Prefix) -> None:
        """Keeps nothing of a prefix and of the pictures in it."""
        self._prefixes.drop(prefix.key)
        for picture in _pictures([prefix.parts]):
            self._vision.drop(picture.key)

    def clear(self) -> None:
        """Keeps nothing of any prefix or picture."""
        self._prefixes.clear()
        self._vision.clear()

    def score(self, prefix: Prefix, suffixes: Sequence[Parts]) -> NDArray[np.float32]:
        """(n, 2) float32 logits of the two answers after each suffix.

        Raises:
            OutputError: A logit is not a number.
        """
        return self.score_pairs([(prefix, suffix) for suffix in suffixes])

    def score_pairs(self, pairs: Sequence[tuple[Prefix, Parts]]) -> NDArray[np.float32]:
        """(n, 2) float32 logits of the two answers, each suffix after its own prefix.

        Raises:
            OutputError: A logit is not a number.
        """
        logits = np.zeros((len(pairs), 2), np.float32)
        with torch.inference_mode():
            for rows, prefixes, suffixes in self._batches(pairs):
                logits[rows] = self._run(prefixes, suffixes)
        if not np.isfinite(logits).all():
            raise OutputError(
                "the verifier's network gives something that is not a number", "replace the engine"
            )
        return logits

    def _batches(
        self, pairs: Sequence[tuple[Prefix, Parts]]
    ) -> Iterator[tuple[list[int], list[_Read], list[Packed]]]:
        """Rows of the pairs that run together, with what each has read and what it has still to read."""
        for first in range(0, len(pairs), self._batch):
            part = pairs[first : first + self._batch]
            reads = self._reads([prefix for prefix, _ in part])
            suffixes = self._pack([suffix for _, suffix in part])
            lengths = [len(read) for read in reads]
            for _, alike in groupby(sorted(range(len(part)), key=lengths.__getitem__), lengths.__getitem__):
                rows = list(alike)
                yield [first + i for i in rows], [reads[i] for i in rows], [suffixes[i] for i in rows]

    def _run(self, prefixes: Sequence[_Read], suffixes: Sequence[Packed]) -> NDArray[np.float32]:
        batch = side_by_side(suffixes, [prefix.end for prefix in prefixes])
        hidden, _ = self._model.read(
            batch.vectors, batch.positions, batch.seen, batch.deep, _stacked(prefixes)
        )
        last = hidden[torch.arange(len(suffixes), device=hidden.device), batch.last]
        logits: NDArray[np.float32] = self._model.answer_logits(last).cpu().numpy()
        return logits

    def _reads(self, prefixes: Sequence[Prefix]) -> list[_Read]:
        here: dict[bytes, _Read] = {}  # of this batch, even where the cache has no room for all
        for prefix in prefixes:
            if prefix.key not in here:
                here[prefix.key] = self._prefixes.get(prefix.key) or self._read(prefix)
        return [here[prefix.key] for prefix in prefixes]

    def _read(self, prefix: Prefix) -> _Read:
        (packed,) = self._pack([prefix.parts])
        batch = side_by_side([packed], [0])
        _, kept = self._model.read(batch.vectors, batch.positions, batch.seen, batch.deep)
        read = _Read(kept, packed.end)
        self._prefixes.put(prefix.key, read)
        return read

    def _pack(self, sequences: Sequence[Parts]) -> list[Packed]:
        features = self._features(_pictures(sequences))
        return [pack(parts, features, self._model) for parts in sequences]

    def _features(self, pictures: Iterable[Picture]) -> dict[bytes, Features]:
        """Of each picture by its key; those not kept are looked at in one run."""
        wanted = {picture.key: picture for picture in pictures}
        kept = {key: self._vision.get(key) for key in wanted}
        new = [wanted[key] for key, features in kept.items() if features is None]
        here = {key: features for key, features in kept.items() if features is not None}
        for picture, features in zip(new, self._model.look(new) if new else [], strict=True):
            here[picture.key] = features
            self._vision.put(picture.key, features)
        return here


def p_no(logits: NDArray[np.float32], tau: float) -> NDArray[np.float32]:
    """(n,) probabilities of the second answer, from (n, 2) logits divided by a temperature.

    Source: MUSE, eq. 5.

    >>> p_no(np.float32([[0, 0], [1000, 0]]), tau=5).tolist()
    [0.5, 0.0]
    """
    margin = np.clip((logits[:, 0].astype(np.float64) - logits[:, 1]) / tau, -700, 700)
    probabilities: NDArray[np.float32] = (1 / (1 + np.exp(margin))).astype(np.float32)
    return probabilities


def _stacked(prefixes: Sequence[_Read]) -> KeyValues:
    """Keys and values of prefixes of one length as rows of a batch; without a copy where all are the same."""
    if all(prefix is prefixes[0] for prefix in prefixes):
        rows = len(prefixes)
        return tuple(
            (keys.expand(rows, -1, -1, -1), values.expand(rows, -1, -1, -1))
            for keys, values in prefixes[0].kept
        )
    layers = zip(*(prefix.kept for prefix in prefixes), strict=True)
    return tuple(
        (torch.cat([keys for keys, _ in layer]), torch.cat([values for _, values in layer]))
        for layer in layers
    )


def _pictures(sequences: Iterable[Parts]) -> list[Picture]:
    return [part for parts in sequences for part in parts if isinstance(part, Picture)]
