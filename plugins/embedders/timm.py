"""Zero-shot embedders of the timm library (PE, DINOv2, any backbone) from a local safetensors file."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from PIL import Image
from pydantic import Field

from pipeline.errors import ConfigError
from plugins.embedders.local_weights import LocalWeights, WeightsSettings, find_weights
from plugins.embedders.zero_shot import BLACK, UnitRows, offline, opening, pick_device, rgb

with offline():
    import timm


class TimmEmbedder:
    """Turns crops into unit vectors: the pooled features in front of the network's head.

    Pictures go through the transform that the weights' config (or the architecture) names.

    Attributes:
        dimension: Length of a vector.
        engine_digest: Of the weights and of how they are fed.
        min_height_px: Crops less tall are not worth embedding.

    Raises:
        ConfigError: The weights cannot be used; nothing has started.
    """

    class Config(WeightsSettings):
        """Which weights, and how they are run."""

        architecture: str | None = Field(
            default=None,
            description="timm's name of the network, where no config.json lies beside the weights.",
        )

    def __init__(self, config: Config) -> None:
        found = find_weights(config, "timm")
        name, file = _source(found, config.architecture)
        self.min_height_px = config.min_height_px
        self.engine_digest = LocalWeights(found.path, (file,)).digest(
            "timm", config.architecture, config.whole
        )
        self._whole, self._device = config.whole, pick_device(config.device)
        with opening("timm", found.path):
            self._model: Any = timm.create_model(name, checkpoint_path=str(file))
            self._model.reset_classifier(0)
            self._transform = timm.data.create_transform(**timm.data.resolve_model_data_config(self._model))
            self._model.eval().to(self._device)
            self._pictures = UnitRows(self._see, self._device, config.batch, BLACK)
        self.dimension: int = self._pictures.dimension

    def embed(self, crops: Sequence[NDArray[np.uint8]]) -> NDArray[np.float32]:
        """(N, D) unit rows for N BGR crops of any size.

        Raises:
            OutputError: A vector has no length or is not a number.
        """
        return self._pictures(crops)

    def _see(self, crops: Sequence[NDArray[np.uint8]]) -> torch.Tensor:
        pictures = [self._transform(Image.fromarray(picture)) for picture in rgb(crops, square=self._whole)]
        rows: torch.Tensor = self._model(torch.stack(pictures).to(self._device))
        return rows


def _source(found: LocalWeights, architecture: str | None) -> tuple[str, Path]:
    """Name of the network for timm, and the file of its weights.

    Raises:
        ConfigError: Nothing says what the network is, or which of several files it is.
    """
    preferred = [file for file in found.files if file.name == "model.safetensors"]
    if not preferred and len(found.files) > 1:
        names = ", ".join(file.name for file in found.files)
        raise ConfigError(
            f"embedder timm: {found.path} holds {names}", "give weights the path of one of them"
        )
    if architecture is None and not (found.path / "config.json").is_file():
        raise ConfigError(
            f"embedder timm: no config.json lies in {found.path}, so nothing says what the network is",
            "fetch it from where the weights come from, or give embedder.architecture timm's name",
        )
    return architecture or f"local-dir:{found.path}", (preferred or found.files)[0]
