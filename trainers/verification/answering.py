"""What a network in training says of pairs of pictures, fed exactly as its engine will be."""

from collections.abc import Sequence

import numpy as np
import torch
from numpy.typing import NDArray

from engines.lmm.answers import p_no
from engines.lmm.cache import ByteCache
from engines.manifest import Preprocess
from engines.preprocess import preprocess
from trainers.datasets.pictures import read_picture
from trainers.datasets.sample import Sample
from trainers.verification.pair_network import PairNetwork, Seen, joined

_QUERIES = 16  # whose pictures are looked at in one go
_PICTURES = 64  # in one run


class Answering:
    """Asks a network about pairs.

    Args:
        network: In any mode; it is left in the mode that it was in.
        settings: How pictures are fed.
        tau: Temperature.
        pairs: In one run.
        pictures_mb: Memory for pictures that were looked at.
    """

    def __init__(
        self, network: PairNetwork, settings: Preprocess, tau: float, pairs: int, pictures_mb: int
    ) -> None:
        self._network, self._settings, self._tau = network, settings, tau
        self._pairs, self._memory = pairs, pictures_mb * 2**20

    @torch.inference_mode()
    def __call__(
        self, queries: Sequence[Sample], gallery: Sequence[Sample], candidates: NDArray[np.int64]
    ) -> NDArray[np.float32]:
        """(Q, C) p_no of queries, shown first, and the gallery rows `candidates`.

        Raises:
            InputError: A picture cannot be read.
        """
        training = self._network.training
        self._network.eval()
        known: ByteCache[Seen] = ByteCache(self._memory)
        blocks = [slice(start, start + _QUERIES) for start in range(0, len(queries), _QUERIES)]
        said = [self._block(queries[block], gallery, candidates[block], known) for block in blocks]
        self._network.train(training)
        return np.concatenate(said)

    def _block(
        self,
        queries: Sequence[Sample],
        gallery: Sequence[Sample],
        candidates: NDArray[np.int64],
        known: ByteCache[Seen],
    ) -> NDArray[np.float32]:
        first = joined([self._look(queries)])
        rows, places = np.unique(candidates, return_inverse=True)
        second = self._gallery(gallery, rows, known)
        asked = np.stack([np.repeat(np.arange(len(queries)), candidates.shape[1]), places.ravel()])
        logits = [
            self._answers(first, second, asked[:, start : start + self._pairs])
            for start in range(0, asked.shape[1], self._pairs)
        ]
        return p_no(np.concatenate(logits), self._tau).reshape(candidates.shape)

    def _answers(self, first: Seen, second: Seen, asked: NDArray[np.int64]) -> NDArray[np.float32]:
        one, other = torch.from_numpy(asked).to(first.tokens.device)
        logits = self._network.answer(first.of(one), second.of(other))
        answers: NDArray[np.float32] = logits[:, list(self._network.answer_tokens)].cpu().numpy()
        return answers

    def _gallery(self, gallery: Sequence[Sample], rows: NDArray[np.int64], known: ByteCache[Seen]) -> Seen:
        found = {int(row): known.get(_key(row)) for row in rows}
        new = [row for row, seen in found.items() if seen is None]
        if new:
            looked = self._look([gallery[row] for row in new])
            for place, row in enumerate(new):
                found[row] = looked.of(torch.tensor([place]))
        for row, seen in found.items():
            if seen is not None:
                known.put(_key(row), seen)
        return joined([seen for seen in found.values() if seen is not None])

    def _look(self, samples: Sequence[Sample]) -> Seen:
        parts = []
        for start in range(0, len(samples), _PICTURES):
            images = [read_picture(sample) for sample in samples[start : start + _PICTURES]]
            pixels, _ = preprocess(images, self._settings)
            parts.append(self._network.look(torch.from_numpy(pixels).to(self._network.ids.device)))
        return joined(parts)


def _key(row: int | np.int64) -> bytes:
    return int(row).to_bytes(8, "little")
