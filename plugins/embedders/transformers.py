"""Zero-shot embedders of the transformers library (SigLIP 2, CLIP, DINOv2) from a local folder."""

from collections.abc import Sequence
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from engines.libraries import offline, opening, pick_device
from pipeline.errors import ConfigError, InputError
from plugins.embedders.local_weights import WeightsSettings, find_weights
from plugins.embedders.zero_shot import BLACK, UnitRows, rgb

with offline():
    from transformers import AutoImageProcessor, AutoModel, AutoTokenizer
    from transformers.utils import logging as library_log

library_log.set_verbosity_error()
library_log.disable_progress_bar()


class TransformersEmbedder:
    """Turns crops, and texts where the network has a tower for them, into unit vectors.

    Pictures go through the weights' own processor. Texts are put into lower case, as SigLIP's were in training (CLIP's
    tokenizer does it anyway), and filled up to the network's length.

    Attributes:
        dimension: Length of a vector.
        reads_text: Whether there is a text tower.
        engine_digest: Of the weights and of how they are fed.
        max_distance: Cut of the manifest's operating point; None where it names none, or there is no manifest.
        min_height_px: Crops less tall are not worth embedding.

    Raises:
        ConfigError: The weights cannot be used; nothing has started.
    """

    class Config(WeightsSettings):
        """Which weights, and how they are run."""

    def __init__(self, config: Config) -> None:
        manifest, feeding = find_weights(config, "transformers")
        folder = manifest.path.parent
        self.min_height_px = config.min_height_px
        self.engine_digest = manifest.digest
        self.max_distance = manifest.max_distance
        self._whole, self._device = feeding.whole, pick_device(config.device)
        with opening("embedder transformers", folder):
            self._model, told = AutoModel.from_pretrained(
                folder,
                local_files_only=True,
                use_safetensors=True,
                dtype=torch.float32,
                output_loading_info=True,
            )
            if told["missing_keys"] or told["mismatched_keys"]:
                lacking = sorted({*told["missing_keys"], *(key for key, *_ in told["mismatched_keys"])})
                raise ConfigError(
                    f"{folder} lacks weights of its network, such as {lacking[0]}", "fetch them again"
                )
            self._processor = AutoImageProcessor.from_pretrained(folder, local_files_only=True)
            self.reads_text = hasattr(self._model, "get_text_features")
            if self.reads_text:
                self._tokenizer = AutoTokenizer.from_pretrained(folder, local_files_only=True)
            self._model.eval().to(self._device)
            self._pictures = UnitRows(self._see, self._device, config.batch, BLACK)
            if self.reads_text:
                self._texts = UnitRows(self._read, self._device, config.batch, "a person")
        self.dimension: int = self._pictures.dimension

    def embed(self, crops: Sequence[NDArray[np.uint8]]) -> NDArray[np.float32]:
        """(N, D) unit rows for N BGR crops of any size.

        Raises:
            OutputError: A vector has no length or is not a number.
        """
        return self._pictures(crops)

    def embed_text(self, texts: Sequence[str]) -> NDArray[np.float32]:
        """(N, D) unit rows for N texts; only where `reads_text`.

        Raises:
            InputError: A text is longer than the network reads.
        """
        return self._texts(texts)

    def _see(self, crops: Sequence[NDArray[np.uint8]]) -> torch.Tensor:
        pictures = rgb(crops, square=self._whole)
        inputs = self._processor(pictures, input_data_format="channels_last", return_tensors="pt").to(
            self._device
        )
        see: Any = getattr(self._model, "get_image_features", self._model)
        rows: torch.Tensor = see(**inputs).pooler_output
        return rows

    def _read(self, texts: Sequence[str]) -> torch.Tensor:
        lower = [text.lower() for text in texts]
        limit = self._model.config.text_config.max_position_embeddings
        for text, tokens in zip(texts, self._tokenizer(lower)["input_ids"], strict=True):
            if len(tokens) > limit:
                raise InputError(
                    f"a text of {len(tokens)} tokens, the network reads {limit}: {text[:60]!r}", "shorten it"
                )
        inputs = self._tokenizer(lower, padding="max_length", max_length=limit, return_tensors="pt")
        rows: torch.Tensor = self._model.get_text_features(**inputs.to(self._device)).pooler_output
        return rows
