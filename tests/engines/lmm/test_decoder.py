"""The decoder beside the library's own, over segments of many lengths at once."""

from typing import Any

import numpy as np
import pytest

pytest.importorskip("torch")
pytest.importorskip("transformers")

import torch

from engines.errors import EngineError
from engines.lmm.decoder import Decoder, Memory, Segment
from engines.lmm.pack import Packed
from tests.support.tiny_lmm import KINDS, network, tiny_tokenizer

pytestmark = pytest.mark.torch

WIDTH = 64


@pytest.fixture(scope="module", params=KINDS)
def library(request: pytest.FixtureRequest) -> Any:
    # fewer heads of keys than of queries, as all published models have
    return network(request.param, tiny_tokenizer(), key_heads=1).model.language_model


def words(seed: int, length: int) -> Packed:
    vectors = torch.from_numpy(np.random.default_rng(seed).normal(size=(length, WIDTH)).astype(np.float32))
    places = torch.arange(length).expand(3, -1)
    return Packed(vectors, places, torch.zeros(length, dtype=torch.bool), (), length)


def plain(library: Any, sequences: list[Packed]) -> torch.Tensor:
    """(D,) hidden state that the library gives after the last token of sequences one after the other."""
    vectors = torch.cat([each.vectors for each in sequences])[None]
    places = torch.arange(vectors.shape[1]).expand(3, 1, -1)
    with torch.inference_mode():
        hidden: torch.Tensor = library(inputs_embeds=vectors, position_ids=places).last_hidden_state[0, -1]
    return hidden


def test_segments_of_many_lengths_after_others_are_read_in_one_run(library: Any) -> None:
    decoder = Decoder(library)
    opening, middles, ends = words(1, 7), [words(2, 3), words(3, 5)], [words(4, 4), words(5, 1), words(6, 6)]
    with torch.inference_mode():
        (before,) = decoder.read([Segment(opening, 0)])
        after = decoder.read([Segment(middle, before.end, (before,)) for middle in middles])
        assert [len(memory) for memory in after] == [3, 5]
        pairs = [(i, end) for end in (*ends, ends[0]) for i in range(2)]
        segments = [Segment(end, after[i].end, (before, after[i])) for i, end in pairs]
        found = decoder.last([*segments, Segment(opening, 0)])
    wanted = [plain(library, [opening, middles[i], end]) for i, end in pairs]
    np.testing.assert_allclose(found, torch.stack([*wanted, plain(library, [opening])]), atol=1e-4)


def test_a_memory_is_as_large_as_its_keys_and_values(library: Any) -> None:
    with torch.inference_mode():
        (memory,) = Decoder(library).read([Segment(words(1, 7), 0)])
    assert memory.nbytes == 2 * 2 * 7 * 32 * 4  # layers, keys and values, tokens, width, bytes
    assert isinstance(memory, Memory)


def test_no_weight_is_held_twice(library: Any) -> None:
    Decoder(library)
    attention = library.layers[0].self_attn
    storages = {each.weight.untyped_storage().data_ptr() for each in (attention.q_proj, attention.v_proj)}
    assert len(storages) == 1


def test_a_decoder_that_looks_through_a_window_is_refused() -> None:
    language_model = network("qwen2_5_vl", tiny_tokenizer()).model.language_model
    language_model.config.layer_types = ["sliding_attention", "full_attention"]
    with pytest.raises(EngineError, match="sliding attention"):
        Decoder(language_model)
