"""Zero-shot embedders of the timm library (PE, DINOv2, any backbone) from a local safetensors file."""

from collections.abc import Sequence
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from PIL import Image
from pydantic import Field

from engines.libraries import offline, opening, pick_device
from engines.manifest import Manifest
from pipeline.errors import ConfigError
from plugins.embedders.local_weights import WeightsSettings, find_weights
from plugins.embedders.zero_shot import BLACK, UnitRows, rgb

with offline():
    import timm

_PREFERRED = ("model.safetensors",)


class TimmEmbedder:
    """Turns crops into unit vectors: the pooled features in front of the network's head.

    Pictures go through the transform that the weights' config (or the architecture) names.

    Attributes:
        dimension: Length of a vector.
        engine_digest: Of the weights and of how they are fed.
        max_distance: Cut of the manifest's operating point; None where it names none, or there is no manifest.
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
        manifest, feeding = find_weights(config, "timm", _PREFERRED, config.architecture)
        name = feeding.architecture or _described(manifest)
        self.min_height_px = config.min_height_px
        self.engine_digest = manifest.digest
        self.max_distance = manifest.max_distance
        self._whole, self._device = feeding.whole, pick_device(config.device)
        with opening("embedder timm", manifest.path):
            self._model: Any = timm.create_model(name, checkpoint_path=str(manifest.path))
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


def _described(manifest: Manifest) -> str:
    """Name of the network for timm, which reads it beside the weights.

    Raises:
        ConfigError: Nothing says what the network is.
    """
    folder = manifest.path.parent
    if "config.json" not in manifest.files:
        raise ConfigError(
            f"embedder timm: no config.json lies in {folder}, so nothing says what the network is",
            "fetch it from where the weights come from, or give embedder.architecture timm's name",
        )
    return f"local-dir:{folder}"
