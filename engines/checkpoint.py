"""A trained network on disk: `network.yaml`, which says what it is, and `weights.safetensors`.

The weights are replaced first and the card last, each file at once; a save that was cut off in between is seen
by the card's digest. Nothing here is ever a pickle.
"""

import hashlib
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

import yaml
from pydantic import BaseModel, ConfigDict, Field, field_validator, model_validator

from engines.architectures import build_network, fill_network
from engines.errors import EngineFileError, ManifestError
from engines.files import refuse_pickle, replace_file
from engines.manifest import Decoder, OperatingPoint, Preprocess, refuse_wrong_decoder
from pipeline.settings import checked, read_yaml

if TYPE_CHECKING:
    import torch

CARD, WEIGHTS = "network.yaml", "weights.safetensors"


class NetworkCard(BaseModel):
    """What a trained network is, how it is built, fed and read, and where it comes from."""

    model_config = ConfigDict(extra="forbid", frozen=True, allow_inf_nan=False)

    schema_: Literal["musewatch.network/1"] = Field(default="musewatch.network/1", alias="schema")
    name: str = Field(pattern=r"^[a-z0-9][a-z0-9._-]{0,62}$")
    role: Literal["detector", "embedder", "verifier", "masker"]
    use: str = Field(description="Name of its builder among the entry points `musewatch.network`.")
    arguments: dict[str, Any] = Field(default={}, description="Keywords of the builder.")
    preprocess: Preprocess
    decoder: Decoder | None = Field(default=None, description="How a detector's answer is read.")
    dimension: int | None = Field(
        default=None, ge=1, le=65_536, description="Length of an embedder's vectors."
    )
    licence: str = Field(min_length=1)
    provenance: str = Field(min_length=1, description="Where the weights come from, and from which data.")
    accuracy: dict[str, Any] = Field(default={}, description="What was measured, on what.")
    operating_point: OperatingPoint | None = None
    sha256: str | None = Field(default=None, description="Of the weights; `save_checkpoint` fills it in.")

    @field_validator("arguments", "accuracy")
    @classmethod
    def _is_plain(cls, values: dict[str, Any]) -> dict[str, Any]:
        try:
            yaml.safe_dump(values)
        except yaml.YAMLError:
            raise ValueError("only text, numbers, lists and mappings can be written down") from None
        return values

    @model_validator(mode="after")
    def _decoder_belongs_to_detectors(self) -> "NetworkCard":
        refuse_wrong_decoder(self.role, self.decoder)
        return self


def save_checkpoint(folder: Path, module: "torch.nn.Module", card: NetworkCard) -> None:
    """Writes a network; one that is there already is replaced.

    Args:
        folder: Made when missing.
        module: On any device; tensors that share memory are written once each.
        card: Its digest is replaced by that of these weights.

    Raises:
        EngineFileError: The folder cannot be written.
    """
    from safetensors.torch import save

    tensors = {
        name: tensor.detach().cpu().contiguous().clone() for name, tensor in module.state_dict().items()
    }
    weights = save(tensors)
    pinned = card.model_copy(update={"sha256": hashlib.sha256(weights).hexdigest()})
    document = pinned.model_dump(mode="json", by_alias=True)
    try:
        folder.mkdir(parents=True, exist_ok=True)
        replace_file(folder / WEIGHTS, weights)
        replace_file(folder / CARD, yaml.safe_dump(document, sort_keys=False, allow_unicode=True).encode())
    except OSError as error:
        raise EngineFileError(
            f"checkpoint {folder} cannot be written: {error.strerror or error}", "choose another folder"
        ) from None


def load_checkpoint(folder: Path) -> "tuple[torch.nn.Module, NetworkCard]":
    """The network, on the processor and in eval mode, and its card.

    Raises:
        ManifestError: The card is missing or says something that it may not, or its network is not known here.
        EngineFileError: The weights are missing, damaged, a pickle, or another network's.
    """
    card = read_card(folder)
    data = read_weights(folder, card)
    module = build_network(card.use, card.arguments, f"checkpoint {folder}")
    fill_network(module, data, f"checkpoint {folder}")
    return module, card


def read_card(folder: Path) -> NetworkCard:
    """The card alone.

    Raises:
        ManifestError: Missing, unreadable, or with keys or values that it may not have; all of them are named.
    """
    path = folder / CARD
    fix = f"a checkpoint is a folder with {CARD} and {WEIGHTS}"
    document = read_yaml(path, "checkpoint's card", fix, ManifestError)
    return checked(NetworkCard, document, str(path), refusal=ManifestError)


def read_weights(folder: Path, card: NetworkCard) -> bytes:
    """The weights' bytes, once their digest is the card's.

    Raises:
        EngineFileError: Missing, a pickle, or other weights than the card's.
    """
    path = folder / WEIGHTS
    try:
        data = path.read_bytes()
    except OSError as error:
        raise EngineFileError(
            f"checkpoint {folder}: {path} cannot be read: {error.strerror or error}",
            f"a checkpoint is a folder with {CARD} and {WEIGHTS}",
        ) from None
    refuse_pickle(path, data, f"checkpoint {folder}", "save the network as safetensors")
    found = hashlib.sha256(data).hexdigest()
    if card.sha256 not in (None, found):
        raise EngineFileError(
            f"checkpoint {folder}: {path} has sha256 {found}, not {card.sha256}: the file is damaged, "
            "or a save was cut off",
            "get the right file again, or resume the training that saves it",
        )
    return data
