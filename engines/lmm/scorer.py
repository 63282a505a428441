"""Exact scores of many pairs: what they share is read once."""

import hashlib
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray

from engines.errors import OutputError
from engines.lmm.cache import ByteCache
from engines.lmm.decoder import Memory, Segment
from engines.lmm.model import VisionLanguageModel
from engines.lmm.pack import PICTURE_BEGINS, Features, Parts, marked, pack
from engines.lmm.pictures import Picture

MB = 2**20


@dataclass(frozen=True, slots=True, eq=False)
class Prefix:
    """What a sequence begins with; `key` is the digest of its words and pictures."""

    key: bytes
    parts: tuple[str | Picture, ...]


class Scorer:
    """Logits of the two answers after a prefix and a suffix, equal to those of one forward over the whole.

    Vision tokens are kept by picture, keys and values by prefix, both within a number of bytes; what went is made again
    when it is needed. The words that prefixes begin with are read once for all of them.

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
        self._memories: ByteCache[Memory] = ByteCache(prefix_mb * MB)

    @property
    def nbytes(self) -> int:
        """Bytes that are kept for later."""
        return self._vision.nbytes + self._memories.nbytes

    def prefix(self, parts: Parts) -> Prefix:
        """Names a beginning; it is read when something is first scored after it.

        Args:
            parts: They end with a picture; or with words, where the suffixes begin with one.
        """
        return Prefix(_key(parts), tuple(parts))

    def forget(self, prefix: Prefix) -> None:
        """Keeps nothing of a prefix and of the pictures in it."""
        self._memories.drop(prefix.key)
        for picture in _pictures([prefix.parts]):
            self._vision.drop(picture.key)

    def clear(self) -> None:
        """Keeps nothing of any prefix or picture."""
        self._memories.clear()
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
        keys = [_key(suffix) for _, suffix in pairs]
        order = sorted(range(len(pairs)), key=keys.__getitem__)  # the same suffixes side by side
        with torch.inference_mode():
            for start in range(0, len(pairs), self._batch):
                rows = order[start : start + self._batch]
                logits[rows] = self._run([pairs[row] for row in rows], [keys[row] for row in rows])
        if not np.isfinite(logits).all():
            raise OutputError(
                "the verifier's network gives something that is not a number", "replace the engine"
            )
        return logits

    def _run(self, pairs: Sequence[tuple[Prefix, Parts]], keys: Sequence[bytes]) -> NDArray[np.float32]:
        """Scores of one batch; `keys` are those of its suffixes."""
        suffixes = {key: _after(*pair) for key, pair in zip(keys, pairs, strict=True)}
        beginnings = {prefix.key: prefix for prefix, _ in pairs}
        features = self._features(suffixes.values())
        packed = {key: pack(parts, features, self._model.embed) for key, parts in suffixes.items()}
        past = self._read(list(beginnings.values()))
        segments = [
            Segment(packed[key], past[prefix.key][-1].end, past[prefix.key])
            for key, (prefix, _) in zip(keys, pairs, strict=True)
        ]
        hidden = self._model.decoder.last(segments)
        logits: NDArray[np.float32] = self._model.answer_logits(hidden).cpu().numpy()
        return logits

    def _read(self, prefixes: Sequence[Prefix]) -> dict[bytes, tuple[Memory, ...]]:
        """What each prefix leaves behind, by its key: first the words that others begin with, too."""
        split = {prefix.key: _split(prefix.parts) for prefix in prefixes}
        words = sorted({opening for opening, _ in split.values() if opening})
        openings = dict(zip(words, self._kept([(_key([w]), [w], ()) for w in words]), strict=True))
        before = {key: (openings[opening],) if opening else () for key, (opening, _) in split.items()}
        own = self._kept([(key, rest, before[key]) for key, (_, rest) in split.items()])
        return {key: (*before[key], memory) for key, memory in zip(split, own, strict=True)}

    def _kept(self, wanted: Sequence[tuple[bytes, Parts, tuple[Memory, ...]]]) -> list[Memory]:
        """Memories by key; those not kept are read in one run: the parts, after what stands before them."""
        here = {key: self._memories.get(key) for key, *_ in wanted}
        new = [each for each in wanted if here[each[0]] is None]
        features = self._features(parts for _, parts, _ in new)
        segments = [
            Segment(pack(parts, features, self._model.embed), past[-1].end if past else 0, past)
            for _, parts, past in new
        ]
        for (key, *_), read in zip(new, self._model.decoder.read(segments) if new else [], strict=True):
            here[key] = read
            self._memories.put(key, read)
        return [memory for key, *_ in wanted if (memory := here[key]) is not None]

    def _features(self, sequences: Iterable[Parts]) -> dict[bytes, Features]:
        """Of each picture by its key; those not kept are looked at together."""
        wanted = {picture.key: picture for picture in _pictures(sequences)}
        kept = {key: self._vision.get(key) for key in wanted}
        here = {key: features for key, features in kept.items() if features is not None}
        new = [wanted[key] for key, features in kept.items() if features is None]
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


def _key(parts: Parts) -> bytes:
    """Digest of words and pictures."""
    digest = hashlib.blake2b(digest_size=16)
    for part in parts:
        digest.update(part.key if isinstance(part, Picture) else hashlib.blake2b(part.encode()).digest())
    return digest.digest()


def _split(prefix: Parts) -> tuple[str, Parts]:
    """The words that a prefix opens with, and the rest; all is rest where it is nothing but words."""
    opens = isinstance(prefix[-1], str)  # a picture follows, and its mark belongs here
    first, *rest = marked([*prefix, PICTURE_BEGINS] if opens else prefix)
    return (first, rest) if rest and isinstance(first, str) else ("", [first, *rest])


def _after(prefix: Prefix, suffix: Parts) -> Parts:
    """A suffix with the marks that its prefix has not said.

    Raises:
        ValueError: Two pictures, or words and words, where one is cut off from the other.
    """
    follows = isinstance(suffix[0], Picture)
    if follows != isinstance(prefix.parts[-1], str):
        raise ValueError("a suffix begins with a picture where its prefix ends with words, and only there")
    return marked(suffix)[1:] if follows else marked(suffix)


def _pictures(sequences: Iterable[Parts]) -> list[Picture]:
    return [part for parts in sequences for part in parts if isinstance(part, Picture)]
