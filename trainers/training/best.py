"""The best weights of a run, by a score on people it does not learn."""

import math
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import load_file, save

from engines.files import replace_file


class Best:
    """The highest score so far, a part of the run's state; its weights lie beside it.

    The first offer is always kept, whatever its score: a score that is no number never loses a training.
    """

    def __init__(self, path: Path) -> None:
        self._path = path
        self.score, self.step = -math.inf, 0

    def offer(self, module: torch.nn.Module, score: float, step: int) -> None:
        """Keeps the weights if they are better than any before."""
        score = -math.inf if math.isnan(score) else score
        if not self.step or score > self.score:
            self.score, self.step = score, step
            tensors = {name: tensor.contiguous() for name, tensor in module.state_dict().items()}
            replace_file(self._path, save(tensors))

    def restore(self, module: torch.nn.Module) -> None:
        """Puts the best weights back."""
        module.load_state_dict(load_file(self._path))

    def state_dict(self) -> dict[str, Any]:
        """Score and step."""
        return {"score": str(self.score), "step": self.step}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Goes on from there."""
        self.score, self.step = float(state["score"]), state["step"]
