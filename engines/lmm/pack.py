"""Words and pictures as one sequence of vectors with their places."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass

import torch

from engines.lmm.parts import Parts


@dataclass(frozen=True, slots=True, eq=False)
class Features:
    """One picture's vision tokens.

    Attributes:
        tokens: (n, D).
        deep: (n, D) of each layer of the decoder that they are added to; Qwen3-VL has such.
        rows: Tokens from top to bottom.
        columns: Tokens from left to right.
    """

    tokens: torch.Tensor
    deep: tuple[torch.Tensor, ...]
    rows: int
    columns: int

    @property
    def nbytes(self) -> int:
        """Bytes of all its tokens."""
        return sum(each.nbytes for each in (self.tokens, *self.deep))


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


def pack(parts: Parts, features: Mapping[bytes, Features], embed: Callable[[str], torch.Tensor]) -> Packed:
    """One sequence of parts.

    A picture takes as many steps of time as its longer side has tokens; its tokens share the first of them.

    Args:
        parts: Words, with all marks, and pictures.
        features: Each picture's by its key.
        embed: (n, D) inputs of words.

    Source: Qwen2-VL, 2.1 (multimodal rotary position embedding).
    """
    vectors, positions, seen = [], [], []
    deep: list[tuple[torch.Tensor, ...]] = []
    start = 0
    for part in parts:
        if isinstance(part, str):
            block = embed(part)
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


def _raster(rows: int, columns: int) -> torch.Tensor:
    """(3, rows * columns): no time passes; down and across count from 0."""
    down = torch.arange(rows).repeat_interleave(columns)
    across = torch.arange(columns).repeat(rows)
    return torch.stack([torch.zeros_like(down), down, across])
