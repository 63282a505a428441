"""A language model that looks at pairs of pictures, with gradients: it is asked as it will be when it serves."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import torch

from engines.lmm.late import late_order
from engines.lmm.model import VisionLanguageModel
from engines.lmm.pictures import PatchGrid
from engines.lmm.question import PairQuestion
from engines.prompts import Layout, Prompt
from pipeline.errors import ConfigError


@dataclass(frozen=True, slots=True, eq=False)
class Seen:
    """Vision tokens of N pictures: (N, n, D), and the same of each layer of the decoder that they are added to."""

    tokens: torch.Tensor
    deep: tuple[torch.Tensor, ...]

    @property
    def nbytes(self) -> int:
        """Bytes of all its tokens."""
        return sum(each.nbytes for each in (self.tokens, *self.deep))

    def of(self, rows: torch.Tensor) -> "Seen":
        """Those of some pictures."""
        return Seen(self.tokens[rows], tuple(layer[rows] for layer in self.deep))


def joined(parts: Sequence[Seen]) -> Seen:
    """Pictures of several looks as those of one."""
    layers = zip(*(part.deep for part in parts), strict=True)
    return Seen(torch.cat([part.tokens for part in parts]), tuple(torch.cat(layer) for layer in layers))


class PairNetwork(torch.nn.Module):
    """Logits of the word that comes after the question about two pictures of one size.

    Args:
        network: Of one of the architectures that `engines.lmm` reads.
        tokenizer: Its own.
        prompt: The question.
        layout: Where its rules stand.
        answers: The words for one person and for two.
        size: Height, width of the pictures.

    Raises:
        EngineError: The tokenizer lacks an answer or a mark of the conversation.
        ConfigError: The size is not made of the network's patches.
    """

    ids: torch.Tensor
    seen: torch.Tensor
    positions: torch.Tensor
    mask: torch.Tensor | None

    def __init__(
        self,
        network: Any,
        tokenizer: Any,
        prompt: Prompt,
        layout: Layout,
        answers: tuple[str, str],
        size: tuple[int, int],
    ) -> None:
        super().__init__()
        model = VisionLanguageModel(network, tokenizer, answers)
        self.network, self.answer_tokens, self._grid = network, model.answer_tokens, model.grid
        side = model.grid.token_px
        if any(length % side for length in size):
            raise ConfigError(
                f"preprocess.size {list(size)} is not made of squares of {side} pixels",
                f"take multiples of {side}",
            )
        self._patches = (1, size[0] // model.grid.patch_px, size[1] // model.grid.patch_px)
        self._tokens = size[0] * size[1] // side**2
        texts = _asked(prompt, layout, self._tokens)
        pieces = [torch.tensor([model.tokens(text)]) for text in texts]
        places = [self._places(ids) for ids in pieces]
        mask = None
        if layout == "late":
            steps = [int(each.max()) + 1 for each in places]
            sees, starts = late_order([ids.shape[1] for ids in pieces], steps)
            places = [each + start for each, start in zip(places, starts, strict=True)]
            mask = torch.where(sees, 0.0, torch.finfo(torch.float32).min)[None, None]
        ids = torch.cat(pieces, 1)
        self.register_buffer("ids", ids, persistent=False)
        self.register_buffer("seen", ids == network.config.image_token_id, persistent=False)
        self.register_buffer("positions", torch.cat(places, 2), persistent=False)
        self.register_buffer("mask", mask, persistent=False)

    def _places(self, ids: torch.Tensor) -> torch.Tensor:
        """(3, 1, n) positions of tokens, from 0."""
        seen = ids == self.network.config.image_token_id
        grids = torch.tensor([self._patches] * (int(seen.sum()) // self._tokens)) if seen.any() else None
        positions: torch.Tensor = self.network.model.get_rope_index(ids, seen.int(), image_grid_thw=grids)[0]
        return positions

    def look(self, pictures: torch.Tensor) -> Seen:
        """Vision tokens of (N, 3, H, W) pictures that are normalised."""
        grids = torch.tensor([self._patches] * len(pictures), device=pictures.device)
        found = self.network.model.get_image_features(patched(pictures, self._grid), grids)
        layers = getattr(found, "deepstack_features", None) or []
        return Seen(
            torch.stack(list(found.pooler_output)), tuple(torch.stack(list(layer)) for layer in layers)
        )

    def answer(self, first: Seen, second: Seen) -> torch.Tensor:
        """(B, words) float32 logits of what is said of each pair."""
        model, count = self.network.model, len(first.tokens)
        seen = self.seen.expand(count, -1)
        vectors = model.language_model.embed_tokens(self.ids).expand(count, -1, -1)
        shown = torch.cat([first.tokens, second.tokens], 1)
        vectors = vectors.masked_scatter(seen[:, :, None], shown.to(vectors.dtype))
        deep = [torch.cat(layers, 1).flatten(0, 1) for layers in zip(first.deep, second.deep, strict=True)]
        more: dict[str, Any] = {"visual_pos_masks": seen, "deepstack_visual_embeds": deep} if deep else {}
        if self.mask is not None:
            more["attention_mask"] = self.mask.to(vectors.dtype).expand(count, -1, -1, -1)
        said = model.language_model(
            inputs_embeds=vectors, position_ids=self.positions.expand(-1, count, -1), use_cache=False, **more
        )
        logits: torch.Tensor = self.network.lm_head(said.last_hidden_state[:, -1]).float()
        return logits

    def forward(
        self, pictures: torch.Tensor, first: torch.Tensor, second: torch.Tensor
    ) -> tuple[torch.Tensor, torch.Tensor]:
        """(B, words) logits of B pairs of N pictures, each looked at once, and the vision tokens (N, n, D).

        Args:
            pictures: (N, 3, H, W).
            first: (B,) which of them is shown first.
            second: (B,) which is shown second.
        """
        seen = self.look(pictures)
        return self.answer(seen.of(first), seen.of(second)), seen.tokens


def patched(pictures: torch.Tensor, grid: PatchGrid) -> torch.Tensor:
    """(N * rows * columns, 3 * frames * patch * patch) of (N, 3, H, W): the patches of a token follow each other."""
    side, merge = grid.patch_px, grid.merge
    count, channels, height, width = pictures.shape
    rows, columns = height // (side * merge), width // (side * merge)
    cut = pictures.reshape(count, channels, rows, merge, side, columns, merge, side)
    in_order = cut.permute(0, 2, 5, 3, 6, 1, 4, 7)[:, :, :, :, :, :, None]
    still = in_order.expand(*in_order.shape[:6], grid.frames, *in_order.shape[7:])
    return still.reshape(count * rows * columns * merge * merge, channels * grid.frames * side * side)


def answer_loss(
    logits: torch.Tensor, same: torch.Tensor, answers: tuple[int, int], *, among_all: bool
) -> torch.Tensor:
    """Mean of -log p(right answer); nothing is asked of any other word of the sequence.

    Args:
        logits: (B, words) after the question.
        same: (B,) whether both pictures show one person, or how probable that is.
        answers: Tokens of the words for one person and for two.
        among_all: p among all words, as published; else among the two answers.

    Source: MUSE, eq. 4.
    """
    both = list(answers)
    said = logits.log_softmax(1)[:, both] if among_all else logits[:, both].log_softmax(1)
    wanted = torch.stack([same, 1 - same], 1) if same.is_floating_point() else torch.stack([same, ~same], 1)
    return -(wanted * said).sum(1).mean()


def _asked(prompt: Prompt, layout: Layout, tokens: int) -> list[str]:
    """The question as text with places for the tokens of two pictures; of the layout late what is read alone, alone."""
    question = PairQuestion(prompt, layout)
    place = f"<|vision_start|>{'<|image_pad|>' * tokens}<|vision_end|>"
    texts = [
        question.opening, question.announces_first + place, question.announces_second + place, question.after,
    ]  # fmt: skip
    return texts if layout == "late" else ["".join(texts)]
