"""Words and pictures as one sequence of vectors with their places."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import torch

from engines.lmm.model import Features, VisionLanguageModel
from engines.lmm.pictures import Picture

Parts = Sequence[str | Picture]
"""What is said and shown, in order."""


@dataclass(frozen=True, slots=True, eq=False)
class Packed:
    """A sequence of n tokens, counted from 0.

    Attributes:
        vectors: (n, D) inputs.
        positions: (3, n) in time, down and across.
        seen: (n,) whether it is a vision token.
        deep: (vision tokens, D) of each layer that they are added to.
        end: The first position after it.
    """

    vectors: torch.Tensor
    positions: torch.Tensor
    seen: torch.Tensor
    deep: tuple[torch.Tensor, ...]
    end: int

    def __len__(self) -> int:
        return len(self.vectors)


def pack(parts: Parts, features: Mapping[bytes, Features], model: VisionLanguageModel) -> Packed:
    """One sequence of parts; `features` holds each picture's by its key.

    A picture takes as many steps of time as its longer side has tokens; its tokens share the first of them.

    Source: Qwen2-VL, 2.1 (multimodal rotary position embedding).
    """
    vectors, positions, seen = [], [], []
    deep: list[tuple[torch.Tensor, ...]] = []
    start = 0
    for part in _marked(parts):
        if isinstance(part, str):
            block = model.embed(model.tokens(part))
            places = torch.arange(len(block)).expand(3, -1)
            steps = len(block)
        else:
            picture = features[part.key]
            block, places = picture.tokens, _raster(picture.rows, picture.columns)
            steps = max(picture.rows, picture.columns)
            deep.append(picture.deep)
        vectors.append(block)
        positions.append(places.to(block.device) + start)
        seen.append(torch.full((len(block),), not isinstance(part, str), device=block.device))
        start += steps
    layers = tuple(torch.cat(layer) for layer in zip(*deep, strict=True))
    return Packed(torch.cat(vectors), torch.cat(positions, dim=1), torch.cat(seen), layers, start)


@dataclass(frozen=True, slots=True, eq=False)
class Batch:
    """Sequences side by side, the shorter ones filled up at their end: what is there is seen by nothing before it.

    Attributes:
        vectors: (B, n, D).
        positions: (3, B, n).
        seen: (B, n).
        deep: (vision tokens, D) of each layer, row by row.
        last: (B,) place of each one's last token.
    """

    vectors: torch.Tensor
    positions: torch.Tensor
    seen: torch.Tensor
    deep: tuple[torch.Tensor, ...]
    last: torch.Tensor


def side_by_side(sequences: Sequence[Packed], starts: Sequence[int]) -> Batch:
    """Sequences, each moved to where its own prefix ends."""
    first = sequences[0].vectors
    count, longest = len(sequences), max(map(len, sequences))
    vectors = first.new_zeros((count, longest, first.shape[1]))
    positions = torch.zeros((3, count, longest), dtype=torch.long, device=first.device)
    seen = torch.zeros((count, longest), dtype=torch.bool, device=first.device)
    for row, (sequence, start) in enumerate(zip(sequences, starts, strict=True)):
        vectors[row, : len(sequence)] = sequence.vectors
        positions[:, row, : len(sequence)] = sequence.positions + start
        seen[row, : len(sequence)] = sequence.seen
    deep = tuple(
        torch.cat(layer) for layer in zip(*(each.deep for each in sequences if each.deep), strict=True)
    )
    last = torch.tensor([len(each) - 1 for each in sequences], device=first.device)
    return Batch(vectors, positions, seen, deep, last)


def _marked(parts: Parts) -> list[str | Picture]:
    """The parts with each picture between its marks; neighbouring words are one text."""
    marked: list[str | Picture] = [""]
    for part in parts:
        more: list[str | Picture] = ["<|vision_start|>", part, "<|vision_end|>"]
        for piece in more if isinstance(part, Picture) else [part]:
            if isinstance(piece, str) and isinstance(marked[-1], str):
                marked[-1] += piece
            else:
                marked.append(piece)
    return [part for part in marked if part != ""]


def _raster(rows: int, columns: int) -> torch.Tensor:
    """(3, rows * columns): no time passes; down and across count from 0."""
    down = torch.arange(rows).repeat_interleave(columns)
    across = torch.arange(columns).repeat(rows)
    return torch.stack([torch.zeros_like(down), down, across])
