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
    from trainers.verification.small_model import small_tokenizer

    return small_tokenizer([], words)


def network(kind: str, tokenizer: Any, **geometry: Any) -> Any:
    """One of `KINDS` with random weights large enough that its answers differ from picture to picture.

    Args:
        kind: Of `KINDS`.
        tokenizer: Its own.
        geometry: Keys of `Geometry`, where it is not to be tiny.
    """
    import torch

    from trainers.verification.small_model import Geometry, small_network

    torch.manual_seed(7)
    tiny = {
        "kind": kind, "width": 64, "layers": 2, "heads": 2, "inner": 128, "vision_width": 32, "vision_layers": 2,
        "patch_px": 16 if kind == "qwen3_vl" else 14, "gain": 2.0,
    }  # fmt: skip
    return small_network(Geometry.model_validate(tiny | geometry), tokenizer).eval()
