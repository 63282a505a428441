"""A torch network on a GPU: compiled, captured as one CUDA graph a batch size, fed through pinned memory.

A graph replays the network's kernels in one launch, on a stream of its own; a size is captured when it is first
needed, and what does not fit a size exactly is split and filled up.
"""

import logging
from collections.abc import Callable, Sequence

import numpy as np
import torch
from numpy.typing import NDArray

from engines.sessions.base import split

logger = logging.getLogger("musewatch.engines")

Forward = Callable[[torch.Tensor], tuple[torch.Tensor, ...]]
WARM_UP = 3  # runs before a capture, in which libraries choose their kernels and take their memory


class GraphRunner:
    """Replays a network, whatever the number of pictures.

    Args:
        forward: (N, ...) float32 on the GPU to answers of N rows there.
        shape: Of one picture.
        sizes: Batch sizes to capture, growing.
        name: The engine's name, for messages.
    """

    def __init__(self, forward: Forward, shape: tuple[int, ...], sizes: Sequence[int], name: str) -> None:
        self._plain = forward
        self._forward: Forward = torch.compile(forward)
        self._shape = shape
        self._sizes = tuple(sizes)
        self._name = name
        self._stream = torch.cuda.Stream()
        self._replays: dict[int, _Replay] = {}

    def run(self, pictures: NDArray[np.float32]) -> list[NDArray[np.float32]]:
        """Answers (N, ...) to (N, ...) pictures in the machine's memory.

        Raises:
            RuntimeError: torch cannot run it, memory included.
        """
        parts = [
            self._replay(run.size)(pictures[run.start : run.stop])
            for run in split(len(pictures), self._sizes)
        ]
        return [np.concatenate(rows) for rows in zip(*parts, strict=True)]

    def _replay(self, size: int) -> "_Replay":
        if size not in self._replays:
            try:
                self._replays[size] = _Replay(self._forward, (size, *self._shape), self._stream)
            except Exception as error:  # whatever a compiler may meet
                if self._forward is self._plain:
                    raise
                reason = " ".join(str(error).split())[:200]
                logger.warning("engine %s: torch.compile failed, it runs as it is: %s", self._name, reason)
                self._forward = self._plain
                return self._replay(size)
        return self._replays[size]


class _Replay:
    """One batch size, captured."""

    def __init__(self, forward: Forward, shape: tuple[int, ...], stream: torch.cuda.Stream) -> None:
        self._stream = stream
        self._given = torch.zeros(shape, pin_memory=True)
        self._input = torch.zeros(shape, device="cuda")
        stream.wait_stream(torch.cuda.current_stream())
        with torch.inference_mode():
            with torch.cuda.stream(stream):
                for _ in range(WARM_UP):
                    forward(self._input)
            stream.synchronize()
            self._graph = torch.cuda.CUDAGraph()
            with torch.cuda.graph(self._graph, stream=stream):
                self._answers = forward(self._input)
        self._taken = [torch.empty(answer.shape, pin_memory=True) for answer in self._answers]

    def __call__(self, pictures: NDArray[np.float32]) -> list[NDArray[np.float32]]:
        count = len(pictures)
        self._given[:count].copy_(torch.from_numpy(np.ascontiguousarray(pictures)))
        with torch.inference_mode(), torch.cuda.stream(self._stream):
            self._input.copy_(self._given, non_blocking=True)
            self._graph.replay()
            for taken, answer in zip(self._taken, self._answers, strict=True):
                taken.copy_(answer, non_blocking=True)
        self._stream.synchronize()
        return [taken[:count].numpy().copy() for taken in self._taken]


def round_weights(module: torch.nn.Module, to: torch.dtype) -> None:
    """Rounds the weights of products and convolutions for good, which autocast would do again in every run."""
    kinds = (torch.nn.Linear, torch.nn.Conv1d, torch.nn.Conv2d, torch.nn.ConvTranspose2d)
    for part in module.modules():
        if isinstance(part, kinds):
            part.to(to)
