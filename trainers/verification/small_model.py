"""Qwen-VL architectures of any size, made from nothing, with a tokenizer that knows the words of a question."""

from collections.abc import Iterable
from typing import Any, Literal, Self

import torch
from pydantic import Field, model_validator

from engines.libraries import offline
from engines.lmm.model import KINDS, MARKS
from pipeline.settings import Settings

with offline():
    import transformers

_TOKENS = 4000  # at most; a question has far fewer words
_MARKS = ["<|endoftext|>", *MARKS, "<|video_pad|>"]


class Geometry(Settings):
    """How large a network is that begins from nothing."""

    kind: Literal["qwen2_vl", "qwen2_5_vl", "qwen3_vl"] = "qwen2_vl"
    width: int = Field(default=128, ge=16, le=8192, description="Of the decoder.")
    layers: int = Field(default=4, ge=1, le=128, description="Of the decoder.")
    heads: int = Field(default=4, ge=1, le=128, description="Of the decoder; each of an even width.")
    key_heads: int | None = Field(
        default=None, ge=1, le=128, description="Of keys and values, shared by the heads; null = as many."
    )
    inner: int = Field(default=256, ge=8, le=65_536, description="Width inside the decoder's layers.")
    vision_width: int = Field(default=64, ge=16, le=8192)
    vision_layers: int = Field(default=4, ge=1, le=128)
    vision_heads: int = Field(default=2, ge=1, le=128)
    vision_ratio: int = Field(
        default=2, ge=1, le=8, description="Width inside the tower's layers, in its own."
    )
    patch_px: int = Field(default=14, ge=2, le=64, description="Side of a patch; a token is merge x merge.")
    merge: int = Field(default=2, ge=1, le=4)
    compares: bool = Field(
        default=False,
        description="The first layer begins as one that compares both pictures: it learns far sooner.",
    )
    gain: float = Field(default=1.0, gt=0, le=10, description="Of Xavier's first weights.")

    @model_validator(mode="after")
    def _heads_fit(self) -> Self:
        if self.width % (2 * self.heads) or self.width // self.heads < 8:
            raise ValueError("width must be heads times an even number from 8")
        if self.heads % (self.key_heads or 1):
            raise ValueError("heads must be a multiple of key_heads")
        if self.vision_width % (4 * self.vision_heads):
            raise ValueError("vision_width must be vision_heads times a multiple of 4")
        return self


def small_tokenizer(texts: Iterable[str], words: Iterable[str]) -> Any:
    """Reads any bytes; each word of these texts, and each of `words` alone, is one token."""
    from tokenizers.pre_tokenizers import ByteLevel

    bytes_alone = transformers.Qwen2Tokenizer(
        vocab={piece: number for number, piece in enumerate(sorted(ByteLevel.alphabet()))}, merges=[],
        eos_token="<|im_end|>", pad_token="<|endoftext|>", unk_token="<|endoftext|>",
        extra_special_tokens=_MARKS,
    )  # fmt: skip
    return bytes_alone.train_new_from_iterator([*texts, *words], _TOKENS, show_progress=False)


def small_network(geometry: Geometry, tokenizer: Any) -> Any:
    """A network of that size with random weights from torch's global generator, which reads the tokenizer's tokens.

    Xavier's weights, for transformers' own small ones hardly learn at this size.
    """
    name = KINDS[geometry.kind].removesuffix("ForConditionalGeneration")
    config = getattr(transformers, f"{name}Config")(
        text_config=_text(geometry, len(tokenizer)),
        vision_config=_vision(geometry),
        tie_word_embeddings=True,
        **{
            f"{mark}_token_id": tokenizer.convert_tokens_to_ids(f"<|{word}|>")
            for mark, word in (
                ("image", "image_pad"), ("video", "video_pad"), ("vision_start", "vision_start"),
                ("vision_end", "vision_end"),
            )
        },
    )  # fmt: skip
    network = getattr(transformers, KINDS[geometry.kind])(config)
    for weights in network.parameters():
        if weights.dim() > 1:
            torch.nn.init.xavier_uniform_(weights.data.view(len(weights), -1), gain=geometry.gain)
    return network


def _text(geometry: Geometry, tokens: int) -> dict[str, Any]:
    half = geometry.width // geometry.heads // 2
    across = 3 * half // 8
    return {
        "vocab_size": tokens,
        "hidden_size": geometry.width,
        "intermediate_size": geometry.inner,
        "num_hidden_layers": geometry.layers,
        "num_attention_heads": geometry.heads,
        "num_key_value_heads": geometry.key_heads or geometry.heads,
        "head_dim": 2 * half,
        "rope_parameters": {
            "rope_type": "default",
            "rope_theta": 1e6,
            "mrope_section": [half - 2 * across, across, across],
        },
        "bos_token_id": None,
        "eos_token_id": None,
        "pad_token_id": None,
    }


def _vision(geometry: Geometry) -> dict[str, Any]:
    shared = {
        "depth": geometry.vision_layers,
        "num_heads": geometry.vision_heads,
        "patch_size": geometry.patch_px,
        "spatial_merge_size": geometry.merge,
    }
    if geometry.kind == "qwen2_vl":
        widths = {"embed_dim": geometry.vision_width, "hidden_size": geometry.width}
        return shared | widths | {"mlp_ratio": geometry.vision_ratio}
    shared |= {
        "hidden_size": geometry.vision_width,
        "out_hidden_size": geometry.width,
        "intermediate_size": geometry.vision_ratio * geometry.vision_width,
    }
    last = geometry.vision_layers - 1
    if geometry.kind == "qwen2_5_vl":
        window = 2 * geometry.patch_px * geometry.merge
        return shared | {"fullatt_block_indexes": [last], "window_size": window}
    return shared | {"deepstack_visual_indexes": sorted({last // 2, last}), "num_position_embeddings": 64}
