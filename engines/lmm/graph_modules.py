"""A Qwen2-VL network as two modules that can be written as graphs: its tower, and its decoder after what was read."""

from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional

from engines.lmm.layer import Layer, turned


class TowerGraph(nn.Module):
    """The vision tower, for pictures of one size.

    Args:
        tower: transformers' vision tower of a Qwen2-VL network.
        rows: Patches from top to bottom.
        columns: Patches from left to right.
    """

    cos: Tensor
    sin: Tensor

    def __init__(self, tower: Any, rows: int, columns: int) -> None:
        super().__init__()
        self.tower = tower
        cos, sin = _places(tower, rows, columns)
        self.register_buffer("cos", cos)
        self.register_buffer("sin", sin)

    def forward(self, patches: Tensor) -> Tensor:
        """(N, n, D) vision tokens of (N, rows * columns, numbers) patches."""
        hidden = functional.linear(patches, self.tower.patch_embed.proj.weight.flatten(1))
        for block in self.tower.blocks:
            hidden = hidden + self._attended(block.attn, block.norm1(hidden))
            hidden = hidden + block.mlp(block.norm2(hidden))
        tokens: Tensor = self.tower.merger(hidden)
        return tokens.view(patches.shape[0], -1, tokens.shape[-1])

    def _attended(self, attention: Any, hidden: Tensor) -> Tensor:
        split = attention.qkv(hidden).unflatten(2, (3, attention.num_heads, -1))
        queries, keys, values = split.unbind(2)
        queries, keys = turned(queries, self.cos, self.sin), turned(keys, self.cos, self.sin)
        scores = queries.transpose(1, 2) @ keys.permute(0, 2, 3, 1) * attention.scaling
        found = scores.softmax(-1) @ values.transpose(1, 2)
        gathered: Tensor = attention.proj(found.transpose(1, 2).flatten(2))
        return gathered


class DecoderGraph(nn.Module):
    """The decoder over rows of tokens of one length, each after a past of its own of one length.

    Args:
        language_model: transformers' decoder of a Qwen2-VL network.
        answer_rows: (2, D) rows of the head.
    """

    answer_rows: Tensor

    def __init__(self, language_model: Any, answer_rows: Tensor) -> None:
        super().__init__()
        self._layers = [Layer(layer) for layer in language_model.layers]
        self.norm = language_model.norm
        self.register_buffer("answer_rows", answer_rows)

    def forward(self, vectors: Tensor, cos: Tensor, sin: Tensor, past: Tensor) -> tuple[Tensor, Tensor]:
        """Logits of the answers, and what the tokens leave behind.

        Args:
            vectors: (B, S, D).
            cos: (S, width) of their places.
            sin: (S, width).
            past: (2 * layers, B, heads, P, width) keys and values by turns of each layer, of what stands before.

        Returns:
            (B, 2), and keys and values (2 * layers, B, heads, S, width).
        """
        hidden, count, length = vectors.flatten(0, 1), vectors.shape[0], vectors.shape[1]
        turn = [each[None].expand(count, -1, -1).flatten(0, 1) for each in (cos, sin)]
        mask = _causal(length, past.shape[3], vectors)
        left = []
        for number, layer in enumerate(self._layers):
            queries, keys, values = (
                each.unflatten(0, (count, length)).transpose(1, 2) for each in layer.project(hidden, *turn)
            )
            left += [keys, values]
            seen = mask
            if number == len(self._layers) - 1:  # only the last token asks
                queries, seen = queries[:, :, -1:], mask[-1:]
                hidden = hidden.unflatten(0, (count, length))[:, -1]
            whole = [
                torch.cat([past[2 * number + i], new], dim=2).unsqueeze(2)
                for i, new in enumerate((keys, values))
            ]
            asking = queries.unflatten(
                1, (keys.shape[1], -1)
            )  # (B, heads of keys, those that share them, S, width)
            scores = asking @ whole[0].transpose(-1, -2) * layer.scale + seen
            found = (scores.softmax(-1) @ whole[1]).flatten(1, 2)
            hidden = layer.finish(hidden, found.transpose(1, 2).flatten(2).flatten(0, 1))
        return self.norm(hidden) @ self.answer_rows.T, torch.stack(left)


def _causal(length: int, past: int, like: Tensor) -> Tensor:
    """(length, past + length): 0 where a token sees another, else far below any score."""
    asks = torch.arange(length, device=like.device)[:, None] + past
    sees = asks >= torch.arange(past + length, device=like.device)[None]
    return torch.where(sees, 0.0, -1e9).to(like.dtype)


def _places(tower: Any, rows: int, columns: int) -> tuple[Tensor, Tensor]:
    """Cosine and sine (rows * columns, width) of the patches' places, as the tower itself works them out."""
    found: list[tuple[Tensor, Tensor]] = []
    hook = tower.rotary_pos_emb.register_forward_hook(lambda _module, _given, answer: found.append(answer))
    weight = tower.patch_embed.proj.weight
    try:
        with torch.no_grad():
            tower(weight.new_zeros(rows * columns, weight[0].numel()), torch.tensor([[1, rows, columns]]))
    finally:
        hook.remove()
    ((cos, sin),) = found
    return cos, sin
