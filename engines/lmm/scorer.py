"""Exact scores of many pairs: what they share is read once."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray

from engines.lmm.answers import Pair, numbers
from engines.lmm.decoder import Memory, Segment
from engines.lmm.memories import Memories, Stretch
from engines.lmm.model import VisionLanguageModel
from engines.lmm.parts import Parts, key_of, pictures_in, split_prefix, split_suffix
from engines.lmm.pictures import Picture
from engines.lmm.question import PairQuestion


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

    Attributes:
        batch: Suffixes in one run.
    """

    def __init__(
        self, model: VisionLanguageModel, *, batch: int = 8, vision_mb: int = 256, prefix_mb: int = 1024
    ) -> None:
        self._model, self.batch = model, batch
        self._memories = Memories(model, vision_mb, prefix_mb)

    @property
    def nbytes(self) -> int:
        """Bytes that are kept for later."""
        return self._memories.nbytes

    def prefix(self, parts: Parts) -> Prefix:
        """Names a beginning; it is read when something is first scored after it.

        Args:
            parts: They end with a picture; or with words, where the suffixes begin with one.
        """
        return Prefix(key_of(parts), tuple(parts))

    def forget(self, prefix: Prefix) -> None:
        """Keeps nothing of a prefix and of the pictures in it."""
        self._memories.forget([prefix.key], pictures_in([prefix.parts]))

    def clear(self) -> None:
        """Keeps nothing of any prefix or picture."""
        self._memories.clear()

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
        keys = [key_of(suffix) for _, suffix in pairs]
        order = sorted(range(len(pairs)), key=keys.__getitem__)  # the same suffixes side by side
        with torch.inference_mode():
            for start in range(0, len(pairs), self.batch):
                rows = order[start : start + self.batch]
                logits[rows] = self._run([pairs[row] for row in rows], [keys[row] for row in rows])
        return numbers(logits)

    def _run(self, pairs: Sequence[tuple[Prefix, Parts]], keys: Sequence[bytes]) -> NDArray[np.float32]:
        """Scores of one batch; `keys` are those of its suffixes."""
        suffixes = {key: split_suffix(pair[0].parts, pair[1]) for key, pair in zip(keys, pairs, strict=True)}
        packed = dict(zip(suffixes, self._memories.packed(list(suffixes.values())), strict=True))
        past = self._read(list({prefix.key: prefix for prefix, _ in pairs}.values()))
        segments = [
            Segment(packed[key], past[prefix.key][-1].end, past[prefix.key])
            for key, (prefix, _) in zip(keys, pairs, strict=True)
        ]
        return self._model.answers(segments)

    def _read(self, prefixes: Sequence[Prefix]) -> dict[bytes, tuple[Memory, ...]]:
        """What each prefix leaves behind, by its key: first the words that others begin with, too."""
        split = {prefix.key: split_prefix(prefix.parts) for prefix in prefixes}
        words = sorted({opening for opening, _ in split.values() if opening})
        read = self._memories.of([Stretch(key_of([each]), [each]) for each in words])
        openings = {word: (memory,) for word, memory in zip(words, read, strict=True)}
        before = {key: openings.get(opening, ()) for key, (opening, _) in split.items()}
        own = self._memories.of([Stretch(key, rest, before[key]) for key, (_, rest) in split.items()])
        return {key: (*before[key], memory) for key, memory in zip(split, own, strict=True)}


class ExactPairs:
    """Pairs of pictures scored as one forward over the whole question would score them; see `PairScorer`.

    Args:
        question: What is asked.
        scorer: Of the network that is asked.
    """

    def __init__(self, question: PairQuestion, scorer: Scorer) -> None:
        self._question, self._scorer = question, scorer

    @property
    def batch(self) -> int:
        """Pairs in one run."""
        return self._scorer.batch

    @property
    def nbytes(self) -> int:
        """Bytes that it keeps for later."""
        return self._scorer.nbytes

    def score(self, pairs: Sequence[Pair]) -> NDArray[np.float32]:
        """(n, 2) float32 logits of the two answers.

        Raises:
            OutputError: A logit is not a number.
        """
        return self._scorer.score_pairs(
            [(self._prefix(first), self._question.from_second(second)) for first, second in pairs]
        )

    def forget(self, picture: Picture) -> None:
        """Keeps nothing of a picture."""
        self._scorer.forget(self._prefix(picture))

    def clear(self) -> None:
        """Keeps nothing of any picture."""
        self._scorer.clear()

    def _prefix(self, picture: Picture) -> Prefix:
        return self._scorer.prefix(self._question.until_first(picture))
