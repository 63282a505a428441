"""Late scores: both pictures are read alone, and only the last few tokens see both."""

from collections.abc import Sequence

import numpy as np
import torch
from numpy.typing import NDArray

from engines.lmm.answers import Pair, numbers
from engines.lmm.decoder import Memory, Segment
from engines.lmm.memories import Memories, Stretch
from engines.lmm.model import VisionLanguageModel
from engines.lmm.parts import Parts, key_of, marked
from engines.lmm.pictures import Picture
from engines.lmm.question import PairQuestion


class LatePairs:
    """Pairs of pictures of which each was read without the other; see `PairScorer`.

    All words that can be said before the pictures open the question. Each picture sees these and what announces it,
    and begins at the place where they end; what comes after both sees all, and begins where the longer of them ends. So
    of a pair only those last tokens are left to be read. The network must have been tuned like this: see `late_order`.

    Source: ours, after late interaction of separately encoded texts (ColBERT, DeFormer).

    Args:
        question: What is asked, in the layout `late`.
        model: The network.
        batch: Pairs in one run.
        vision_mb: Memory for vision tokens.
        read_mb: Memory for keys and values of pictures.

    Attributes:
        batch: Pairs in one run.
    """

    def __init__(
        self, question: PairQuestion, model: VisionLanguageModel, *, batch: int = 64, vision_mb: int = 16,
        read_mb: int = 1024,
    ) -> None:  # fmt: skip
        self._question, self._model, self.batch = question, model, batch
        self._memories = Memories(model, vision_mb, read_mb)

    @property
    def nbytes(self) -> int:
        """Bytes that it keeps for later."""
        return self._memories.nbytes

    def score(self, pairs: Sequence[Pair]) -> NDArray[np.float32]:
        """(n, 2) float32 logits of the two answers.

        Raises:
            OutputError: A logit is not a number.
        """
        logits = np.zeros((len(pairs), 2), np.float32)
        with torch.inference_mode():
            (last,) = self._memories.packed([[self._question.after]])
            for start in range(0, len(pairs), self.batch):
                some = pairs[start : start + self.batch]
                firsts = self._read([first for first, _ in some], self._question.announces_first)
                seconds = self._read([second for _, second in some], self._question.announces_second)
                segments = [
                    Segment(last, max(own.end, other.end), (opening, own, other))
                    for (opening, own), (_, other) in zip(firsts, seconds, strict=True)
                ]
                logits[start : start + len(some)] = self._model.answers(segments)
        return numbers(logits)

    def forget(self, picture: Picture) -> None:
        """Keeps nothing of a picture."""
        question = self._question
        shown = [_shown(said, picture) for said in (question.announces_first, question.announces_second)]
        self._memories.forget(map(key_of, shown), [picture])

    def clear(self) -> None:
        """Keeps nothing of any picture."""
        self._memories.clear()

    def _read(self, pictures: Sequence[Picture], announced: str) -> list[tuple[Memory, Memory]]:
        """What the opening and each picture after it leave behind."""
        opening = self._question.opening
        (before,) = self._memories.of([Stretch(key_of([opening]), [opening])])
        shown = [_shown(announced, picture) for picture in pictures]
        read = self._memories.of([Stretch(key_of(parts), parts, (before,)) for parts in shown])
        return [(before, memory) for memory in read]


def _shown(announced: str, picture: Picture) -> Parts:
    return marked([announced, picture])


def late_order(lengths: Sequence[int], steps: Sequence[int]) -> tuple[torch.Tensor, torch.Tensor]:
    """What sees what, and where it stands, in a whole question of the layout `late`: for tuning.

    Args:
        lengths: Tokens of the opening, of each picture with its announcement, and of the rest.
        steps: Positions that these take; fewer than tokens where there is a picture.

    Returns:
        (n, n) whether a token (row) sees another (column); (4,) first positions of the four.
    """
    opening, first, second, rest = (torch.full((n,), i) for i, n in enumerate(lengths))
    part = torch.cat([opening, first, second, rest])
    before = torch.arange(len(part))
    apart = (part[:, None] == 2) & (part[None] == 1)
    sees = (before[:, None] >= before[None]) & ~apart
    starts = [0, steps[0], steps[0], steps[0] + max(steps[1], steps[2])]
    return sees, torch.tensor(starts)
