"""Zero-shot embedders of the open_clip library (CLIP, PE, MobileCLIP...) from a local folder in its own layout."""

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from PIL import Image

from engines.libraries import offline, opening, pick_device
from pipeline.errors import ConfigError, InputError
from plugins.embedders.local_weights import WeightsSettings, find_weights
from plugins.embedders.zero_shot import BLACK, UnitRows, rgb

with offline():
    import open_clip

_PREFERRED = ("open_clip_model.safetensors", "open_clip_pytorch_model.safetensors", "model.safetensors")
_SETTINGS = "open_clip_config.json"


class ClipEmbedder:
    """Turns crops and texts into unit vectors of one space.

    Pictures and texts go through the weights' own transform and tokenizer.

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

    reads_text = True

    def __init__(self, config: Config) -> None:
        manifest, feeding = find_weights(config, "clip", _PREFERRED)
        folder = manifest.path.parent
        _need_layout(folder)
        self.min_height_px = config.min_height_px
        self.engine_digest = manifest.digest
        self.max_distance = manifest.max_distance
        self._whole, self._device = feeding.whole, pick_device(config.device)
        name = f"local-dir:{folder}"
        with opening("embedder clip", folder):
            self._model, _, self._transform = open_clip.create_model_and_transforms(
                name, load_weights=False, pretrained_text=False
            )
            open_clip.load_checkpoint(self._model, str(manifest.path))
            self._tokenizer = open_clip.get_tokenizer(name)
            self._model.eval().to(self._device)
            self._pictures = UnitRows(self._see, self._device, config.batch, BLACK)
            self._texts = UnitRows(self._read, self._device, config.batch, "a person")
        self.dimension: int = self._pictures.dimension

    def embed(self, crops: Sequence[NDArray[np.uint8]]) -> NDArray[np.float32]:
        """(N, D) unit rows for N BGR crops of any size.

        Raises:
            OutputError: A vector has no length or is not a number.
        """
        return self._pictures(crops)

    def embed_text(self, texts: Sequence[str]) -> NDArray[np.float32]:
        """(N, D) unit rows for N texts.

        Raises:
            InputError: A text is longer than the network reads.
        """
        return self._texts(texts)

    def _see(self, crops: Sequence[NDArray[np.uint8]]) -> torch.Tensor:
        pictures = [self._transform(Image.fromarray(picture)) for picture in rgb(crops, square=self._whole)]
        rows: torch.Tensor = self._model.encode_image(torch.stack(pictures).to(self._device))
        return rows

    def _read(self, texts: Sequence[str]) -> torch.Tensor:
        limit = self._tokenizer.context_length
        filler = self._tokenizer([""])[0, -1]
        for text, tokens in zip(texts, self._tokenizer(list(texts), limit + 1), strict=True):
            if tokens[-1] != filler:  # it would not end in time
                raise InputError(
                    f"a text of more than {limit} tokens, the network reads no more: {text[:60]!r}",
                    "shorten it",
                )
        rows: torch.Tensor = self._model.encode_text(self._tokenizer(list(texts)).to(self._device))
        return rows


def _need_layout(folder: Path) -> None:
    """Refuses a folder that is not in the library's layout.

    Raises:
        ConfigError: It is not.
    """
    if not (folder / _SETTINGS).is_file():
        raise ConfigError(
            f"embedder clip: {folder} is not a folder with an {_SETTINGS}",
            "take a repository in open_clip's layout; one in that of transformers works with use: transformers",
        )
