"""One layer of a Qwen-VL decoder, with weights that have the same input side by side."""

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor
from torch.nn import functional


class Layer:
    """The library's layer in two halves, around its attention.

    Queries, keys and values are one product, as are the two ways into the feed-forward; the library's own weights
    become views of these, so none is held twice.

    Args:
        layer: transformers' decoder layer.

    Attributes:
        scale: Factor of the scores of its attention.
    """

    def __init__(self, layer: Any) -> None:
        attention, mlp = layer.self_attn, layer.mlp
        self._width: int = attention.head_dim
        self.scale: float = attention.scaling
        self._before, self._after = layer.input_layernorm, layer.post_attention_layernorm
        heads = (attention.q_proj, attention.k_proj, attention.v_proj)
        self._heads = [each.out_features // self._width for each in heads]
        self._project, self._project_bias = _merged(heads)
        self._q_norm = getattr(attention, "q_norm", None)
        self._k_norm = getattr(attention, "k_norm", None)
        self._up, self._up_bias = _merged((mlp.gate_proj, mlp.up_proj))
        self._out, self._down, self._act = attention.o_proj, mlp.down_proj, mlp.act_fn

    def project(self, hidden: Tensor, cos: Tensor, sin: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """Queries, keys and values (T, heads, width) of hidden states (T, D), turned to their places."""
        flat = functional.linear(self._before(hidden), self._project, self._project_bias)
        queries, keys, values = flat.unflatten(1, (-1, self._width)).split(self._heads, dim=1)
        if self._q_norm is not None and self._k_norm is not None:
            queries, keys = self._q_norm(queries), self._k_norm(keys)
        return turned(queries, cos, sin), turned(keys, cos, sin), values

    def finish(self, hidden: Tensor, attended: Tensor) -> Tensor:
        """Hidden states after the layer, from those before it and what its attention gathered."""
        hidden = hidden + self._out(attended)
        gate, up = functional.linear(self._after(hidden), self._up, self._up_bias).chunk(2, dim=-1)
        more: Tensor = self._down(self._act(gate).mul_(up))
        return hidden + more


def turned(vectors: Tensor, cos: Tensor, sin: Tensor) -> Tensor:
    """Vectors (T, heads, width) turned by their places.

    Source: RoFormer, 3.2.2 (rotary position embedding), with halves in the place of neighbours.
    """
    first, second = vectors.chunk(2, dim=-1)
    return vectors * cos[:, None] + torch.cat((-second, first), dim=-1) * sin[:, None]


def _merged(parts: Sequence[Any]) -> tuple[Tensor, Tensor | None]:
    """Weight and bias of linear layers as one; theirs become views of it."""
    weight = torch.cat([part.weight.detach() for part in parts])
    bias = None if parts[0].bias is None else torch.cat([part.bias.detach() for part in parts])
    for part, rows in zip(parts, weight.split([part.out_features for part in parts]), strict=True):
        part.weight.data = rows
    return weight, bias
