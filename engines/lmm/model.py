"""Opens the folder of a Qwen-VL model and runs its three parts: tokenizer, vision tower, decoder."""

import json
from collections.abc import Sequence
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from engines.errors import EngineError, EngineFileError, ManifestError
from engines.files import checked_network
from engines.libraries import offline, opening
from engines.lmm.decoder import Decoder, Segment
from engines.lmm.pack import Features
from engines.lmm.parts import PICTURE_BEGINS, PICTURE_ENDS
from engines.lmm.pictures import PatchGrid, Picture, patches
from engines.manifest import Manifest

with offline():
    import transformers

transformers.utils.logging.disable_progress_bar()

KINDS = {
    "qwen2_vl": "Qwen2VLForConditionalGeneration",
    "qwen2_5_vl": "Qwen2_5_VLForConditionalGeneration",
    "qwen3_vl": "Qwen3VLForConditionalGeneration",
}
"""`model_type` of config.json, and transformers' class for it."""
MARKS = ("<|im_start|>", "<|im_end|>", PICTURE_BEGINS, "<|image_pad|>", PICTURE_ENDS)
_READ = {".json", ".txt", ".jinja", ".model", ".safetensors"}


class VisionLanguageModel:
    """A network that reads words and pictures.

    Args:
        network: Of one of `KINDS`.
        tokenizer: Its own.
        answers: The two words it is to answer with.

    Attributes:
        network: As the library has it.
        grid: How its tower cuts pictures up.
        answer_tokens: Ids of the answers.
        answer_rows: (2, D) float32 rows of the head that stand for these.

    Raises:
        EngineError: The tokenizer lacks one of the answers, or a mark of the conversation.
    """

    def __init__(self, network: Any, tokenizer: Any, answers: tuple[str, str]) -> None:
        self.network, self._tokenizer = network.eval(), tokenizer
        _multiply(network.model.visual.patch_embed)
        for mark in MARKS:
            self._only_token(mark)
        vision = network.config.vision_config
        self.grid = PatchGrid(vision.patch_size, vision.spatial_merge_size, vision.temporal_patch_size)
        rows = torch.tensor([self._only_token(word) for word in answers])
        self.answer_tokens: tuple[int, int] = (int(rows[0]), int(rows[1]))
        self.answer_rows: torch.Tensor = network.lm_head.weight.detach()[rows.to(network.device)].float()

    @property
    def device(self) -> torch.device:
        """Where it computes."""
        device: torch.device = self.network.device
        return device

    @cached_property
    def decoder(self) -> Decoder:
        """What reads words and vision tokens; from now on the network stays on its device.

        Raises:
            EngineError: It is of a kind that is not run here.
        """
        return Decoder(self.network.model.language_model)

    def tokens(self, text: str) -> list[int]:
        """Token ids of a piece of text, which may hold marks."""
        ids: list[int] = self._tokenizer.encode(text, add_special_tokens=False)
        return ids

    def embed(self, text: str) -> torch.Tensor:
        """(n, D) input vectors of a piece of text, which may hold marks."""
        ids = torch.tensor(self.tokens(text), dtype=torch.long, device=self.device)
        vectors: torch.Tensor = self.network.model.language_model.embed_tokens(ids)
        return vectors

    def look(self, pictures: Sequence[Picture]) -> list[Features]:
        """The vision tokens of pictures, all in one run; sizes may differ."""
        side = self.grid.patch_px
        grids = [(1, each.pixels.shape[1] // side, each.pixels.shape[2] // side) for each in pictures]
        pixels = np.concatenate([patches(each.pixels, self.grid) for each in pictures])
        seen = self.network.model.get_image_features(
            torch.from_numpy(pixels).to(self.device), torch.tensor(grids, device=self.device)
        )
        layers = getattr(seen, "deepstack_features", None) or []
        merge = self.grid.merge
        return [
            Features(
                tokens.clone(), tuple(layer[i].clone() for layer in layers), rows // merge, columns // merge
            )
            for i, (tokens, (_, rows, columns)) in enumerate(zip(seen.pooler_output, grids, strict=True))
        ]

    def answers(self, segments: Sequence[Segment]) -> NDArray[np.float32]:
        """(n, 2) float32 logits of the two answers after segments; no other row of the head is used."""
        logits = self.decoder.last(segments).float() @ self.answer_rows.T
        found: NDArray[np.float32] = logits.cpu().numpy()
        return found

    def _only_token(self, word: str) -> int:
        ids = self.tokens(word)
        if len(ids) != 1 or ids[0] == self._tokenizer.unk_token_id:
            raise EngineError(
                f"the tokenizer has no single token for {word!r}",
                "name answers that are one token each, and a tokenizer of a Qwen-VL model",
            )
        return ids[0]


def open_model(
    manifest: Manifest, device: str = "cpu", dtype: torch.dtype = torch.float32
) -> VisionLanguageModel:
    """Opens a verifier's folder, once the digests of its files are right.

    Raises:
        EngineError: Not a verifier with a question, another architecture, a file that no digest covers, lacking
            weights, a tokenizer without the answers, or pictures that do not fit the patches.
    """
    _, answers = manifest.question
    folder, who = checked_network(manifest).parent, f"engine {manifest.name}"
    kind = _kind(folder, who)
    _refuse_strangers(manifest, folder)
    network, tokenizer = _loaded(folder, kind, who, dtype)
    model = VisionLanguageModel(network.to(device), tokenizer, answers)
    side = model.grid.token_px
    if any(length % side for length in manifest.preprocess.size):
        raise ManifestError(
            f"engine {manifest.name}: preprocess.size {list(manifest.preprocess.size)} is not made of squares of "
            f"{side} pixels",
            f"take multiples of {side}",
        )
    return model


def load_folder(folder: Path, dtype: torch.dtype = torch.float32) -> tuple[Any, Any]:
    """Network and tokenizer of a folder as transformers saves it, whose digests nobody knows: where training begins.

    Raises:
        EngineError: Another architecture, lacking weights, or a library that cannot read them.
    """
    return _loaded(folder, _kind(folder, "training"), "training", dtype)


def _loaded(folder: Path, kind: str, who: str, dtype: torch.dtype) -> tuple[Any, Any]:
    with opening(who, folder):
        network, told = getattr(transformers, KINDS[kind]).from_pretrained(
            folder, local_files_only=True, use_safetensors=True, dtype=dtype, output_loading_info=True
        )
        lacking = sorted(told["missing_keys"])
        if lacking or told["mismatched_keys"]:
            raise EngineError(
                f"{who}: {folder} lacks weights, such as {(lacking or ['?'])[0]}", "fetch it again"
            )
        tokenizer = transformers.AutoTokenizer.from_pretrained(folder, local_files_only=True)
    return network, tokenizer


def _multiply(embedding: Any) -> None:
    """Lets a tower embed patches by a product of matrices, which the library's convolution is, too, but slower."""
    made = embedding.proj

    def product(patches: torch.Tensor) -> torch.Tensor:
        return torch.nn.functional.linear(patches.to(made.weight.dtype), made.weight.flatten(1), made.bias)

    embedding.forward = product


def _kind(folder: Path, who: str) -> str:
    """The architecture that config.json names."""
    try:
        kind = json.loads((folder / "config.json").read_bytes())["model_type"]
    except (OSError, ValueError, KeyError, TypeError):
        raise EngineFileError(
            f"{who}: {folder / 'config.json'} names no architecture", "fetch it again"
        ) from None
    if kind not in KINDS:
        raise EngineError(
            f"{who}: {folder} is a {str(kind)[:60]}, and this reads {', '.join(KINDS)}",
            "take a checkpoint of one of these",
        )
    return str(kind)


def _refuse_strangers(manifest: Manifest, folder: Path) -> None:
    covered = {path.name for path in manifest.paths}
    for path in sorted(folder.iterdir()):
        if path.suffix in _READ and path.name not in covered:
            raise EngineError(
                f"engine {manifest.name}: {path} lies beside its weights, and no digest covers it",
                "name it in the manifest's files, or take it away",
            )
