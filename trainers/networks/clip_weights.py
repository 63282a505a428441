"""Other people's weights on disk: safetensors of transformers and open_clip under the names of our CLIP towers."""

from collections.abc import Mapping
from pathlib import Path

import torch
from safetensors import SafetensorError
from safetensors.torch import load_file

from engines.errors import EngineFileError

Tensors = dict[str, torch.Tensor]

# ours -> theirs; a layer's parts follow its number
_TRANSFORMERS = {
    "first": "layer_norm1", "qkv": "self_attn.{}_proj", "out": "self_attn.out_proj",
    "second": "layer_norm2", "wide": "mlp.fc1", "narrow": "mlp.fc2",
}  # fmt: skip
_OPEN_CLIP = {
    "first": "ln_1.", "qkv": "attn.in_proj_", "out": "attn.out_proj.",
    "second": "ln_2.", "wide": "mlp.c_fc.", "narrow": "mlp.c_proj.",
}  # fmt: skip


def read_folder(folder: Path) -> dict[str, torch.Tensor]:
    """The tensors of the only safetensors file of a folder.

    Raises:
        EngineFileError: None, several, or a damaged one.
    """
    files = sorted(folder.glob("*.safetensors"))
    if len(files) != 1:
        raise EngineFileError(
            f"{folder} has {len(files)} safetensors files, expected one",
            "save the weights as safetensors; pickles are refused",
        )
    try:
        return {name: tensor.float() for name, tensor in load_file(files[0]).items()}
    except SafetensorError as error:
        raise EngineFileError(f"{files[0]} is damaged: {error}", "get the whole file again") from None


def image_tower(tensors: Tensors, folder: Path) -> Tensors:
    """The image tower's tensors under our names; `folder` is where they come from.

    Raises:
        EngineFileError: Neither library saved them.
    """
    try:
        if "vision_model.embeddings.class_embedding" in tensors:
            return {
                "token": tensors["vision_model.embeddings.class_embedding"],
                "positions": tensors["vision_model.embeddings.position_embedding.weight"],
                "patches.weight": tensors["vision_model.embeddings.patch_embedding.weight"],
                "projection.weight": tensors["visual_projection.weight"],
                **_pair(tensors, "before.", "vision_model.pre_layrnorm."),
                **_pair(tensors, "after.", "vision_model.post_layernorm."),
                **_transformers_layers(tensors, "vision_model.encoder.layers."),
            }
        return {
            "token": tensors["visual.class_embedding"],
            "positions": tensors["visual.positional_embedding"],
            "patches.weight": tensors["visual.conv1.weight"],
            "projection.weight": tensors["visual.proj"].T.contiguous(),
            **_pair(tensors, "before.", "visual.ln_pre."),
            **_pair(tensors, "after.", "visual.ln_post."),
            **_open_clip_layers(tensors, "visual.transformer.resblocks."),
        }
    except KeyError as missing:
        raise _no_clip(folder, missing) from None


def text_tower(tensors: Tensors, folder: Path) -> Tensors:
    """The text tower's tensors under our names; `folder` is where they come from.

    Raises:
        EngineFileError: Neither library saved them.
    """
    try:
        if "text_model.embeddings.token_embedding.weight" in tensors:
            return {
                "words.weight": tensors["text_model.embeddings.token_embedding.weight"],
                "positions": tensors["text_model.embeddings.position_embedding.weight"],
                "projection.weight": tensors["text_projection.weight"],
                **_pair(tensors, "after.", "text_model.final_layer_norm."),
                **_transformers_layers(tensors, "text_model.encoder.layers."),
            }
        return {
            "words.weight": tensors["token_embedding.weight"],
            "positions": tensors["positional_embedding"],
            "projection.weight": tensors["text_projection"].T.contiguous(),
            **_pair(tensors, "after.", "ln_final."),
            **_open_clip_layers(tensors, "transformer.resblocks."),
        }
    except KeyError as missing:
        raise _no_clip(folder, missing) from None


def _transformers_layers(tensors: Tensors, prefix: str) -> Tensors:
    found = {}
    for number in range(_count(tensors, prefix)):
        for ours, theirs in _TRANSFORMERS.items():
            for kind in ("weight", "bias"):
                names = dict.fromkeys(theirs.format(letter) for letter in "qkv")  # one name, or three
                parts = [tensors[f"{prefix}{number}.{name}.{kind}"] for name in names]
                found[f"blocks.{number}.{ours}.{kind}"] = torch.cat(parts)
    return found


def _open_clip_layers(tensors: Tensors, prefix: str) -> Tensors:
    found: Tensors = {}
    for number in range(_count(tensors, prefix)):
        for ours, theirs in _OPEN_CLIP.items():
            found |= _pair(tensors, f"blocks.{number}.{ours}.", f"{prefix}{number}.{theirs}")
    return found


def _pair(tensors: Tensors, ours: str, theirs: str) -> Tensors:
    return {ours + kind: tensors[theirs + kind] for kind in ("weight", "bias")}


def _count(tensors: Mapping[str, torch.Tensor], prefix: str) -> int:
    """How many layers are numbered after a prefix."""
    return len({name[len(prefix) :].split(".")[0] for name in tensors if name.startswith(prefix)})


def _no_clip(folder: Path, missing: KeyError) -> EngineFileError:
    return EngineFileError(
        f"{folder} holds no CLIP: {missing} is missing", "save it with transformers or open_clip"
    )
