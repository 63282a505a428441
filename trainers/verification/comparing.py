"""First weights of a small decoder with which its first layer compares the two pictures, as an embedder would.

From random weights a decoder stays at chance for very long: to compare, it has to gather each picture and to multiply
one with the other, and half of that is worth nothing. So it begins with both: half of the heads of the first layer
gather picture one for the last token, the others picture two; the layer's feed-forward part multiplies. What was
gathered, a and b, stands in the token as a + b and a - b, and silu(x) x + silu(-x) (-x) = x^2, so that

    |a + b|^2 - |a - b|^2 = 4 a.b,   which the norm before divides by 2 (|a|^2 + |b|^2).

All of it is learned on from there. Source: ours.
"""

from typing import Any

import torch
from torch import Tensor

from pipeline.errors import ConfigError
from trainers.verification.pair_network import PairNetwork

_SHARP = 6.0  # score of a picture that is gathered
_ANSWER = 4.0  # what equal pictures say, before the last norm
_LOGIT = 0.5  # of either answer, per unit of that


@torch.no_grad()
def begin_comparing(pairs: PairNetwork) -> None:
    """Replaces the weights of a decoder with random ones.

    Args:
        pairs: Of the kind qwen2_vl, with an even number of heads, as many for keys, and an inner width of 4 at least.

    Raises:
        ConfigError: It is of another kind, or both pictures stand at the same distance from the end.
    """
    decoder, config = pairs.network.model.language_model, pairs.network.config.text_config
    heads = config.num_attention_heads
    if pairs.network.config.model_type != "qwen2_vl" or heads % 2 or config.num_key_value_heads != heads:
        raise ConfigError(
            "network.compares wants kind qwen2_vl and an even number of heads, each with keys of its own"
        )
    steps = _steps(pairs)
    if steps[0] == steps[1]:
        raise ConfigError("network.compares does not know the pictures apart in the layout late")
    first, *others = decoder.layers
    _gather(first.self_attn, decoder.rotary_emb.inv_freq[: config.rope_parameters["mrope_section"][0]], steps)
    _multiply(first.mlp)
    for layer in others:  # they add nothing yet
        layer.self_attn.o_proj.weight.zero_()
        layer.mlp.down_proj.weight.zero_()
    words = decoder.embed_tokens.weight
    words[:, -1] = 0
    for answer, sign in zip(pairs.answer_tokens, (1, -1), strict=True):
        words[answer] = 0
        words[answer, -1] = sign * _LOGIT


def _steps(pairs: PairNetwork) -> tuple[int, int]:
    """How far in time the last token stands after each picture."""
    times = pairs.positions[0, 0]
    shown = times[pairs.seen[0]]
    return int(times[-1] - shown[0]), int(times[-1] - shown[-1])


def _gather(attention: Any, turns: Tensor, steps: tuple[int, int]) -> None:
    """Half of the heads attend to what is so many steps of time before, half to what is others; all by place alone."""
    width = attention.head_dim
    half, times = width // 2, len(turns)
    heads = attention.q_proj.out_features // width
    strength = (_SHARP * width**0.5 / times) ** 0.5
    queries, keys = torch.zeros(heads, 2, half), torch.zeros(heads, 2, half)
    keys[:, 0, :times] = strength
    for part, step in zip(queries.split(heads // 2), steps, strict=True):
        part[:, 0, :times] = strength * torch.cos(turns * step)
        part[:, 1, :times] = -strength * torch.sin(turns * step)
    for projection, bias in ((attention.q_proj, queries), (attention.k_proj, keys)):
        projection.weight.zero_()
        projection.bias.copy_(bias.flatten())
    values = attention.v_proj.weight
    own, other = values.chunk(2)
    own[-1] = 0  # leaves the last number to the answer
    other.copy_(own)
    same = torch.eye(len(own)) * 0.5**0.5
    attention.o_proj.weight.copy_(torch.cat([torch.cat([same, same], 1), torch.cat([same, -same], 1)]))


def _multiply(mlp: Any) -> None:
    """The last number becomes the sum of the squares of the first half, less those of the second."""
    inner, width = mlp.gate_proj.weight.shape
    count = min(inner // 4, width // 2 - 1)
    rows = torch.arange(4 * count)
    place, sign = rows // 4 + width // 2 * (rows % 2), 1.0 - 2 * (rows // 2 % 2)
    for projection in (mlp.gate_proj, mlp.up_proj):
        projection.weight[: 4 * count] = 0
        projection.weight[rows, place] = sign
    mlp.down_proj.weight.zero_()
    mlp.down_proj.weight[-1, rows] = (1.0 - 2 * (rows % 2)) * _ANSWER / width
