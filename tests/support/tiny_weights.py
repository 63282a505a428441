"""Zero-shot weights of real architectures, tiny and random, in the layouts in which the public ones come."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

SIDE_PX = 32
CONTEXT = 24  # tokens
_WORDS = "a photo of an person man woman young wearing red green blue white black coat jeans shoes with"
_TEXT = {
    "vocab_size": 128, "hidden_size": 24, "intermediate_size": 48, "num_hidden_layers": 2, "num_attention_heads": 2,
    "max_position_embeddings": CONTEXT,
}  # fmt: skip
_VISION = {
    "hidden_size": 32, "intermediate_size": 64, "num_hidden_layers": 2, "num_attention_heads": 2,
    "image_size": SIDE_PX, "patch_size": 8,
}  # fmt: skip
_OPEN_CLIP_TEXT = {"context_length": CONTEXT, "vocab_size": 49408, "width": 16, "heads": 2, "layers": 1}


def transformers_clip(folder: Path) -> Path:
    """CLIP: two towers, a centre crop."""
    import torch
    from transformers import CLIPConfig, CLIPImageProcessor, CLIPModel

    torch.manual_seed(1)
    tokenizer = _words_and_letters()
    text = _TEXT | {"eos_token_id": tokenizer.eos_token_id, "bos_token_id": tokenizer.bos_token_id}
    CLIPModel(CLIPConfig(text_config=text, vision_config=_VISION, projection_dim=16)).save_pretrained(folder)
    size = {"height": SIDE_PX, "width": SIDE_PX}
    CLIPImageProcessor(size={"shortest_edge": SIDE_PX}, crop_size=size).save_pretrained(folder)
    tokenizer.save_pretrained(folder)
    return folder


def transformers_siglip2(folder: Path) -> Path:
    """SigLIP 2 NaFlex: two towers, pictures of any shape in at most 16 patches."""
    import torch
    from transformers import Siglip2Config, Siglip2ImageProcessor, Siglip2Model, Siglip2Tokenizer

    torch.manual_seed(2)
    vision = {key: value for key, value in _VISION.items() if key != "image_size"} | {"num_patches": 16}
    text = _TEXT | {"projection_size": 32}
    Siglip2Model(Siglip2Config(text_config=text, vision_config=vision)).save_pretrained(folder)
    Siglip2ImageProcessor(patch_size=8, max_num_patches=16).save_pretrained(folder)
    _words_and_spaces(Siglip2Tokenizer).save_pretrained(folder)
    return folder


def transformers_siglip(folder: Path) -> Path:
    """SigLIP of a fixed size, as SigLIP 2 comes too: two towers, pictures squashed."""
    import torch
    from transformers import GemmaTokenizer, SiglipConfig, SiglipImageProcessor, SiglipModel

    torch.manual_seed(6)
    text = _TEXT | {"projection_size": 32}
    SiglipModel(SiglipConfig(text_config=text, vision_config=_VISION)).save_pretrained(folder)
    SiglipImageProcessor(size={"height": SIDE_PX, "width": SIDE_PX}).save_pretrained(folder)
    _words_and_spaces(GemmaTokenizer).save_pretrained(folder)
    return folder


def transformers_dinov2(folder: Path) -> Path:
    """DINOv2: pictures alone."""
    import torch
    from transformers import BitImageProcessor, Dinov2Config, Dinov2Model

    torch.manual_seed(3)
    Dinov2Model(Dinov2Config(**_VISION)).save_pretrained(folder)
    size = {"height": SIDE_PX, "width": SIDE_PX}
    BitImageProcessor(size={"shortest_edge": SIDE_PX}, crop_size=size).save_pretrained(folder)
    return folder


def open_clip(folder: Path) -> Path:
    """CLIP in the layout of open_clip; its own tokenizer reads byte pairs."""
    from open_clip import CLIP

    vision = {"image_size": SIDE_PX, "layers": 2, "width": 64, "head_width": 32, "patch_size": 8}
    return _save_open_clip(folder, CLIP, {"embed_dim": 16, "vision_cfg": vision, "text_cfg": _OPEN_CLIP_TEXT})


def open_clip_timm(folder: Path) -> Path:
    """The same with a tower of timm for the pictures, as PE comes."""
    from open_clip import CustomTextCLIP

    vision = {"image_size": 160, "timm_model_name": "test_vit", "timm_pool": "", "timm_proj": "linear"}
    model = {"embed_dim": 16, "vision_cfg": vision, "text_cfg": _OPEN_CLIP_TEXT}
    return _save_open_clip(folder, CustomTextCLIP, model, custom_text=True)


def _save_open_clip(folder: Path, network: Any, model: dict[str, Any], **more: bool) -> Path:
    import torch
    from safetensors.torch import save_file

    torch.manual_seed(4)
    preprocess = {"mean": [0.5, 0.4, 0.3], "std": [0.3, 0.2, 0.2], "interpolation": "bicubic"}
    folder.mkdir(parents=True)
    settings = {"model_cfg": model | more, "preprocess_cfg": preprocess}
    (folder / "open_clip_config.json").write_text(json.dumps(settings))
    state = network(**model).state_dict()
    save_file(
        {key: value.contiguous() for key, value in state.items()}, folder / "open_clip_model.safetensors"
    )
    return folder


def timm_pe(folder: Path) -> Path:
    """Perception Encoder, the tower of pictures, with a projection as its head."""
    import timm
    import torch
    from timm.models import save_for_hf

    torch.manual_seed(5)
    arguments = {
        "img_size": SIDE_PX, "patch_size": 8, "embed_dim": 32, "depth": 2, "num_heads": 2, "ref_feat_shape": [4, 4],
        "attn_pool_num_heads": 2, "num_classes": 12,
    }  # fmt: skip
    model = timm.create_model("vit_pe_core_tiny_patch16_384", **arguments)
    model.pretrained_cfg |= {"input_size": (3, SIDE_PX, SIDE_PX), "num_classes": 12}
    save_for_hf(model, folder, model_args=arguments, safe_serialization=True)
    return folder


def _words_and_letters() -> Any:
    """Reads words as CLIP's tokenizer does, from a vocabulary of a few words and single letters."""
    from transformers import CLIPTokenizer

    pieces, merges = _pieces(end="</w>")
    return CLIPTokenizer(vocab=_numbered([*pieces, "<|startoftext|>", "<|endoftext|>"]), merges=merges)


def _words_and_spaces(kind: Any) -> Any:
    """Reads words as Gemma's tokenizers do: spaces are pieces too."""
    pieces, merges = _pieces(end="")
    return kind(
        vocab=_numbered(["<pad>", "<eos>", "<bos>", "<unk>", "<mask>", "\u2581", *pieces]), merges=merges
    )


def _pieces(*, end: str) -> tuple[list[str], list[tuple[str, str]]]:
    """Letters and the beginnings of the words, with a mark at their ends; and what is put together to get them."""
    letters = [*map(chr, range(ord("a"), ord("z") + 1)), ",", "."]
    pieces = dict.fromkeys([*letters, *(letter + end for letter in letters)])
    merges: dict[tuple[str, str], None] = {}
    for word in _WORDS.split():
        left = word[0]
        for place, letter in enumerate(word[1:], start=2):
            right = letter + end if place == len(word) else letter
            merges[left, right] = None
            left += right
            pieces[left] = None
    return list(pieces), list(merges)


def _numbered(pieces: list[str]) -> dict[str, int]:
    return {piece: number for number, piece in enumerate(pieces)}


TINY: dict[str, Callable[[Path], Path]] = {
    "clip": open_clip,
    "timm": timm_pe,
    "transformers": transformers_siglip2,
}
"""One of each library, by the embedder that opens it."""
