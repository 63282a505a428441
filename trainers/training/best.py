"""The best weights of a run, by a score on people it does not learn."""

from pathlib import Path
from typing import Any

import torch
from safetensors.torch import save

from engines.files import replace_file


class Best:
    """The highest score so far, a part of the run's state; its weights lie beside it."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self.score, self.step = -1.0, 0

    def offer(self, module: torch.nn.Module, score: float, step: int) -> None:
        """Keeps the weights if they are better than any before."""
        if score > self.score:
            self.score, self.step = score, step
            replace_file(self._path, save({n: t.contiguous() for n, t in module.state_dict().items()}))

    def state_dict(self) -> dict[str, Any]:
        """Score and step."""
        return {"score": self.score, "step": self.step}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Goes on from there."""
        self.score, self.step = state["score"], state["step"]
