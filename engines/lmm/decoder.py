"""The decoder of a Qwen-VL model over many sequences at once, each after what was read before it."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from itertools import groupby
from typing import Any

import torch
from torch import Tensor
from torch.nn import functional

from engines.errors import EngineError
from engines.lmm.layer import Layer
from engines.lmm.pack import Packed


@dataclass(frozen=True, slots=True, eq=False)
class Memory:
    """Keys and values of a stretch of tokens.

    Attributes:
        layers: Of each layer: keys and values (heads, n, width).
        end: The first position after it.
    """

    layers: tuple[tuple[Tensor, Tensor], ...]
    end: int

    @property
    def nbytes(self) -> int:
        """Bytes of all its keys and values."""
        return sum(keys.nbytes + values.nbytes for keys, values in self.layers)

    def __len__(self) -> int:
        return int(self.layers[0][0].shape[1])


@dataclass(frozen=True, slots=True, eq=False)
class Segment:
    """A sequence that is still to be read.

    Attributes:
        packed: Its tokens.
        start: Position of the first.
        past: Stretches that it sees, each as a whole; its own tokens see each other up to themselves.
    """

    packed: Packed
    start: int
    past: tuple[Memory, ...] = ()


@dataclass(frozen=True, slots=True, eq=False)
class _Group:
    """Segments of one length after stretches of the same lengths: the rows of one attention.

    Attributes:
        rows: Which segments.
        tokens: Where theirs stand in the batch.
        length: Tokens of each.
        past: What each sees.
        mask: (length, seen + length) added to scores; None = nothing stands before them.
    """

    rows: tuple[int, ...]
    tokens: slice
    length: int
    past: tuple[tuple[Memory, ...], ...]
    mask: Tensor | None


class Decoder:
    """Runs the layers of the library's network with its own weights.

    Tokens of all segments stand end to end, so none is filled up. What the first layer projects depends on nothing but
    the token and its place, and is made once for all segments that are the same. In the last layer only the last token
    of a segment asks; where only keys and values are wanted, none does.

    Args:
        language_model: transformers' `language_model` of a Qwen-VL network.

    Raises:
        EngineError: It looks through a window in some layers.
    """

    def __init__(self, language_model: Any) -> None:
        if "sliding_attention" in (getattr(language_model.config, "layer_types", None) or ()):
            raise EngineError("its decoder has layers of sliding attention", "take a model without them")
        self._layers = [Layer(layer) for layer in language_model.layers]
        self._rotary, self._norm = language_model.rotary_emb, language_model.norm

    def read(self, segments: Sequence[Segment]) -> list[Memory]:
        """Keys and values of each segment's tokens."""
        groups, batch = self._laid_out(segments)
        kept: list[list[tuple[Tensor, Tensor]]] = [[] for _ in segments]
        hidden = batch.hidden
        for number, layer in enumerate(self._layers):
            projected = batch.projected(number, layer, hidden)
            for group in groups:
                _, keys, values = _rows(projected, group)
                for i, row in enumerate(group.rows):
                    kept[row].append((keys[i].contiguous(), values[i].contiguous()))
            if number < len(self._layers) - 1:
                hidden = layer.finish(hidden, _attended(number, layer, projected, groups))
                hidden = batch.deepened(hidden, number)
        return [
            Memory(tuple(layers), segment.start + segment.packed.end)
            for layers, segment in zip(kept, segments, strict=True)
        ]

    def last(self, segments: Sequence[Segment]) -> Tensor:
        """(n, D) hidden states after the last token of each segment, which is none of a picture."""
        groups, batch = self._laid_out(segments)
        hidden = batch.hidden
        for number, layer in enumerate(self._layers):
            final = number == len(self._layers) - 1
            projected = batch.projected(number, layer, hidden)
            attended = _attended(number, layer, projected, groups, last=final)
            hidden = layer.finish(hidden[batch.ends] if final else hidden, attended)
            if not final:
                hidden = batch.deepened(hidden, number)
        rows = [row for group in groups for row in group.rows]
        ordered = torch.empty_like(hidden)
        ordered[rows] = self._norm(hidden)
        return ordered

    def _laid_out(self, segments: Sequence[Segment]) -> tuple[list[_Group], "_Batch"]:
        groups = _grouped(segments)
        return groups, _batch([segments[row] for group in groups for row in group.rows], self._rotary)


@dataclass(frozen=True, slots=True, eq=False)
class _Batch:
    """Tokens of segments end to end.

    Attributes:
        hidden: (T, D) inputs.
        turn: Cosine and sine (T, width) of each token's place.
        ends: (n,) where the last tokens stand.
        seen: (V,) where the vision tokens stand.
        deep: (V, D) of each layer that these are deepened after.
        different: Inputs and turns of those segments that differ.
        where: (T,) where each token stands among these.
    """

    hidden: Tensor
    turn: tuple[Tensor, Tensor]
    ends: Tensor
    seen: Tensor
    deep: tuple[Tensor, ...]
    different: tuple[Tensor, Tensor, Tensor]
    where: Tensor

    def projected(self, number: int, layer: Layer, hidden: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """A layer's queries, keys and values; in the first made once for segments that are the same."""
        if number or len(self.different[0]) == len(self.where):
            return layer.project(hidden, *self.turn)
        queries, keys, values = (each[self.where] for each in layer.project(*self.different))
        return queries, keys, values

    def deepened(self, hidden: Tensor, number: int) -> Tensor:
        """Hidden states after a layer, with what the tower adds to vision tokens there."""
        if number < len(self.deep):
            hidden[self.seen] += self.deep[number]
        return hidden


def _batch(segments: Sequence[Segment], rotary: Callable[[Tensor, Tensor], tuple[Tensor, Tensor]]) -> _Batch:
    device = segments[0].packed.vectors.device
    begins: dict[tuple[int, int], int] = {}  # of a sequence at its place, among those that differ
    different: list[Segment] = []
    tokens = 0
    for segment in segments:
        if (key := (id(segment.packed), segment.start)) not in begins:
            begins[key] = tokens
            different.append(segment)
            tokens += len(segment.packed)
    where = [
        torch.arange(len(each.packed), device=device) + begins[id(each.packed), each.start]
        for each in segments
    ]
    vectors = torch.cat([each.packed.vectors for each in different])
    positions = torch.cat([each.packed.positions + each.start for each in different], dim=1)
    cos, sin = (each[0] for each in rotary(vectors, positions[:, None]))
    lengths = torch.tensor([len(each.packed) for each in segments], device=device)
    layers = [each.packed.deep for each in segments if each.packed.deep]
    places = torch.cat(where)
    return _Batch(
        vectors[places],
        (cos[places], sin[places]),
        lengths.cumsum(0) - 1,
        torch.cat([each.packed.seen for each in segments]).nonzero()[:, 0],
        tuple(torch.cat(layer) for layer in zip(*layers, strict=True)),
        (vectors, cos, sin),
        places,
    )


def _grouped(segments: Sequence[Segment]) -> list[_Group]:
    """Segments by what they have to have in common to share an attention."""

    def alike(row: int) -> tuple[int, ...]:
        return len(segments[row].packed), *(len(memory) for memory in segments[row].past)

    groups: list[_Group] = []
    begin = 0
    for (length, *past), members in groupby(sorted(range(len(segments)), key=alike), alike):
        rows = tuple(members)
        end = begin + len(rows) * length
        mask = _mask(length, sum(past), segments[rows[0]].packed.vectors) if past else None
        groups.append(
            _Group(rows, slice(begin, end), length, tuple(segments[row].past for row in rows), mask)
        )
        begin = end
    return groups


def _mask(length: int, past: int, like: Tensor) -> Tensor:
    mask = like.new_zeros(length, past + length)
    mask[:, past:] = like.new_full((length, length), -torch.inf).triu(1)
    return mask


def _rows(projected: Sequence[Tensor], group: _Group) -> tuple[Tensor, Tensor, Tensor]:
    """Queries, keys and values of a group, each (n, heads, length, width)."""
    queries, keys, values = (
        each[group.tokens].unflatten(0, (len(group.rows), group.length)).transpose(1, 2) for each in projected
    )
    return queries, keys, values


def _attended(
    number: int, layer: Layer, projected: Sequence[Tensor], groups: Sequence[_Group], *, last: bool = False
) -> Tensor:
    """(T, heads * width) what each token gathers from all that it sees; (n, ...) where only the last ones ask."""
    gathered = []
    for group in groups:
        queries, keys, values = _rows(projected, group)
        past = [[memory.layers[number] for memory in stretches] for stretches in group.past]
        found = functional.scaled_dot_product_attention(
            queries[:, :, -1:] if last else queries,
            _behind([[keys for keys, _ in row] for row in past], keys),
            _behind([[values for _, values in row] for row in past], values),
            attn_mask=None if last else group.mask,
            is_causal=not last and group.mask is None,
            scale=layer.scale,
            enable_gqa=True,
        )
        gathered.append(found.transpose(1, 2).flatten(2).flatten(0, 1))
    return torch.cat(gathered)


def _behind(past: Sequence[Sequence[Tensor]], new: Tensor) -> Tensor:
    """(n, heads, tokens, width): for each row what stands before it, then the new."""
    if not past[0]:
        return new
    count, heads, length, width = new.shape
    whole = new.new_empty(count, heads, sum(each.shape[1] for each in past[0]) + length, width)
    for row, stretches in enumerate(past):
        torch.cat([*stretches, new[row]], dim=1, out=whole[row])
    return whole
