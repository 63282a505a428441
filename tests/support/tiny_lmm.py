"""Language models with eyes, of each architecture, tiny and random, in folders as engines."""

import json
from pathlib import Path
from typing import Any

import yaml

from engines.files import digest_of
from engines.manifest import SCHEMA, load_manifest
from engines.prompts import Prompt

KINDS = ("qwen2_vl", "qwen2_5_vl", "qwen3_vl")
PROMPT = Prompt(
    system="Be brief.", task="Same person?", rules="Look at clothes.", form="Yes or No.", first="First:",
    second="Second:", cue="So?",
)  # fmt: skip
_MARKS = [
    "<|endoftext|>", "<|im_start|>", "<|im_end|>", "<|vision_start|>", "<|vision_end|>", "<|image_pad|>",
    "<|video_pad|>",
]  # fmt: skip


def tiny_verifier(
    folder: Path, kind: str = "qwen2_vl", words: tuple[str, ...] = ("Yes", "No"), **keys: Any
) -> Path:
    """An engine of one of `KINDS`; its tokenizer has single tokens for `words`. Returns the manifest's path."""
    tokenizer = tiny_tokenizer(words)
    network(kind, tokenizer).save_pretrained(folder)
    tokenizer.save_pretrained(folder)
    return write_manifest(folder, kind, **keys)


def write_manifest(folder: Path, kind: str, **keys: Any) -> Path:
    """The manifest of a verifier over all files of its folder."""
    digests = {path.name: digest_of(path) for path in sorted(folder.iterdir()) if path.suffix != ".yaml"}
    document = {
        "schema": SCHEMA, "name": f"tiny-{kind.replace('_', '-')}", "role": "verifier", "file": "model.safetensors",
        "sha256": digests.pop("model.safetensors"), "files": digests, "licence": "CC0-1.0", "provenance": "random",
        "preprocess": {
            "colour": "rgb", "scale": 1 / 255, "mean": [0.48, 0.46, 0.41], "std": [0.27, 0.26, 0.28],
            "resize": "stretch", "size": [64, 32] if kind == "qwen3_vl" else [56, 28],
        },
        "prompt": PROMPT.model_dump(), "answers": ["Yes", "No"], "tau": 5.0, "alpha": 0.2, "layout": "rules_first",
    }  # fmt: skip
    path = folder / "verifier.yaml"
    path.write_text(yaml.safe_dump(json.loads(json.dumps(document)) | keys))
    load_manifest(path)
    return path


def tiny_tokenizer(words: tuple[str, ...] = ("Yes", "No")) -> Any:
    """Reads bytes, and these words as one token each."""
    from tokenizers.pre_tokenizers import ByteLevel
    from transformers import Qwen2Tokenizer

    pieces, merges = dict.fromkeys(sorted(ByteLevel.alphabet())), []
    for word in words:
        for length in range(2, len(word) + 1):
            merges.append((word[: length - 1], word[length - 1]))
            pieces[word[:length]] = None
    return Qwen2Tokenizer(
        vocab={piece: number for number, piece in enumerate(pieces)}, merges=merges, eos_token="<|im_end|>",
        pad_token="<|endoftext|>", unk_token="<|endoftext|>", extra_special_tokens=_MARKS,
    )  # fmt: skip


def network(kind: str, tokenizer: Any, width: int = 64, layers: int = 2) -> Any:
    """One of `KINDS` with random weights large enough that its answers differ from picture to picture."""
    import torch
    import transformers

    torch.manual_seed(7)
    heads = width // 32
    marks = {
        f"{name}_token_id": tokenizer.convert_tokens_to_ids(f"<|{mark}|>")
        for name, mark in (("image", "image_pad"), ("video", "video_pad"), ("vision_start", "vision_start"),
                           ("vision_end", "vision_end"))
    }  # fmt: skip
    text = {
        "vocab_size": len(tokenizer), "hidden_size": width, "intermediate_size": 2 * width,
        "num_hidden_layers": layers, "num_attention_heads": heads, "num_key_value_heads": heads, "head_dim": 32,
        "rope_parameters": {"rope_type": "default", "rope_theta": 1e6, "mrope_section": [4, 6, 6]},
        "bos_token_id": None, "eos_token_id": None, "pad_token_id": None,
    }  # fmt: skip
    vision: dict[str, Any] = {"depth": 2, "num_heads": 2}
    if kind == "qwen2_vl":
        vision |= {"embed_dim": 32, "hidden_size": width, "mlp_ratio": 2}
        name = "Qwen2VL"
    elif kind == "qwen2_5_vl":
        vision |= {
            "hidden_size": 32, "out_hidden_size": width, "intermediate_size": 64, "fullatt_block_indexes": [1],
            "window_size": 56,
        }  # fmt: skip
        name = "Qwen2_5_VL"
    else:
        vision |= {
            "hidden_size": 32, "out_hidden_size": width, "intermediate_size": 64, "deepstack_visual_indexes": [0, 1],
            "num_position_embeddings": 64,
        }  # fmt: skip
        name = "Qwen3VL"
    config = getattr(transformers, f"{name}Config")(text_config=text, vision_config=vision, **marks)
    model = getattr(transformers, f"{name}ForConditionalGeneration")(config).eval()
    for weights in model.parameters():
        if weights.dim() > 1:
            torch.nn.init.xavier_uniform_(weights.data.view(len(weights), -1), gain=2.0)
    return model
