"""The model that is tuned: where it comes from, its low-rank adapters, and how it is merged and saved."""

import shutil
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from pydantic import Field

from engines.files import digest_of, replace_file
from engines.libraries import offline
from engines.lmm.model import load_folder
from engines.manifest import CARD, Manifest, as_yaml
from pipeline.errors import ConfigError
from pipeline.settings import Settings

NETWORK = "model.safetensors"
_BESIDE = {".json", ".txt", ".jinja", ".model"}
_DECODER, _VISION = ".language_model.layers.", ".visual.blocks."


class LoraSettings(Settings):
    """Low-rank adapters on linear layers; everything else stays as it is.

    Source: Hu et al., LoRA: Low-Rank Adaptation of Large Language Models, 2022.
    """

    rank: int = Field(default=16, ge=1, le=4096)
    alpha: float = Field(default=32.0, gt=0, le=1e6, description="Their weight is alpha / rank.")
    dropout: float = Field(default=0.05, ge=0, lt=1)
    decoder: tuple[str, ...] | None = Field(
        default=None,
        description="Linear layers of the decoder: q_proj, v_proj and so on; null = all, [] = none.",
    )
    vision: tuple[str, ...] | None = Field(
        default=None,
        description="Linear layers of the vision tower: qkv, proj and so on; null = all, [] = none.",
    )


@dataclass
class TunedModel:
    """A network with its tokenizer.

    Attributes:
        network: As transformers has it; with adapters inside where there are any.
        tokenizer: Its own.
        beside: Folder whose other small files belong to it: templates, how servers feed it.
    """

    network: Any
    tokenizer: Any
    beside: Path | None = None
    _adapted: Any = None

    @property
    def digests(self) -> list[str]:
        """SHA-256 of the weights that it begins from; none where it begins from nothing."""
        return [digest_of(path) for path in sorted(self.beside.glob("*.safetensors"))] if self.beside else []

    def adapt(self, settings: LoraSettings) -> None:
        """Freezes the network and puts adapters into it.

        Raises:
            ConfigError: It has no layer of such a name.
        """
        with offline():
            import peft

        targets = [*self._layers(_DECODER, settings.decoder), *self._layers(_VISION, settings.vision)]
        if not targets:
            raise ConfigError("lora: there is no layer to adapt", "name some in decoder or vision")
        config = peft.LoraConfig(
            r=settings.rank, lora_alpha=settings.alpha, lora_dropout=settings.dropout, target_modules=targets
        )
        self._adapted = peft.LoraModel(self.network, config, "default")

    def merge(self) -> None:
        """What the adapters learned becomes part of the weights."""
        if self._adapted is not None:
            self.network, self._adapted = self._adapted.merge_and_unload(), None

    def save(self, folder: Path, manifest: Manifest) -> Manifest:
        """Writes the merged network as an engine; the manifest last, so that half a folder is never taken for one.

        Args:
            folder: Made when missing; an engine that is there is replaced.
            manifest: Its digests are replaced.

        Returns:
            The manifest, as it was written.
        """
        self.merge()
        folder.mkdir(parents=True, exist_ok=True)
        (folder / CARD).unlink(missing_ok=True)
        self.network.save_pretrained(folder, max_shard_size="1TB")
        shutil.copymode(folder / "config.json", folder / NETWORK)  # safetensors' are for one user alone
        self.tokenizer.save_pretrained(folder)
        for path in self._companions():
            if not (folder / path.name).exists():
                shutil.copyfile(path, folder / path.name)
        digests = {path.name: digest_of(path) for path in sorted(folder.iterdir()) if path.is_file()}
        pinned = manifest.model_copy(update={"sha256": digests.pop(NETWORK), "files": digests})
        replace_file(folder / CARD, as_yaml(pinned).encode())
        return pinned

    def _companions(self) -> Iterator[Path]:
        if self.beside is not None:
            for path in sorted(self.beside.iterdir()):
                if path.suffix in _BESIDE and not path.name.endswith(".index.json"):
                    yield path

    def _layers(self, part: str, names: tuple[str, ...] | None) -> list[str]:
        there = [
            name
            for name, module in self.network.named_modules()
            if isinstance(module, torch.nn.Linear) and part in f".{name}"
        ]
        known = {name.rpartition(".")[2] for name in there}
        unknown = sorted(set(names or ()) - known)
        if unknown:
            raise ConfigError(
                f"lora: no linear layer is called {', '.join(unknown)}",
                f"there are {', '.join(sorted(known))}",
            )
        return there if names is None else [name for name in there if name.rpartition(".")[2] in names]


def from_folder(folder: Path, dtype: torch.dtype) -> TunedModel:
    """A model as transformers saved it.

    Raises:
        EngineError: Another architecture, or it lacks weights.
    """
    network, tokenizer = load_folder(folder, dtype)
    return TunedModel(network, tokenizer, folder)


def hub_folder(name: str) -> Path:
    """Where the hub's cache of this machine has a model; nothing is fetched.

    Raises:
        ConfigError: It is not there.
    """
    from huggingface_hub import snapshot_download
    from huggingface_hub.errors import HFValidationError, LocalEntryNotFoundError

    try:
        return Path(snapshot_download(name, local_files_only=True))
    except (HFValidationError, LocalEntryNotFoundError):
        raise ConfigError(
            f"this machine has no model {name}",
            f"fetch it first (hf download {name}), or name a folder: start",
        ) from None
