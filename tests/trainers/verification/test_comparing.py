"""First weights that compare: the untrained answer ranks pairs by how alike what was gathered of both pictures is."""

from typing import Any

import pytest

torch = pytest.importorskip("torch")
pytest.importorskip("transformers")

from engines.prompts import Layout, Prompt  # noqa: E402
from pipeline.errors import ConfigError  # noqa: E402
from trainers.verification.comparing import begin_comparing  # noqa: E402
from trainers.verification.pair_network import PairNetwork, Seen  # noqa: E402
from trainers.verification.small_model import Geometry, small_network, small_tokenizer  # noqa: E402

pytestmark = pytest.mark.torch

SIZE = (192, 96)


def beginning(layout: Layout = "rules_first", **geometry: Any) -> PairNetwork:
    torch.manual_seed(0)
    tokenizer = small_tokenizer(["user\nassistant\nSame?"], ("Yes", "No"))
    shape = {"width": 64, "layers": 2, "heads": 2, "vision_width": 32, "vision_layers": 1, "patch_px": 16}
    network = small_network(Geometry.model_validate(shape | geometry), tokenizer)
    return PairNetwork(network, tokenizer, Prompt(cue="Same?"), layout, ("Yes", "No"), SIZE).eval()


def margins(pairs: PairNetwork, first: Any, second: Any) -> Any:
    """How much more likely one person is than two."""
    with torch.inference_mode():
        logits = pairs.answer(Seen(first, ()), Seen(second, ()))
    yes, no = pairs.answer_tokens
    return logits[:, yes] - logits[:, no]


def likeness(pairs: PairNetwork, first: Any, second: Any) -> Any:
    """2 a.b / (|a|^2 + |b|^2) of what the first layer gathers of two pictures."""
    layer = pairs.network.model.language_model.layers[0]
    values = layer.self_attn.v_proj.weight.chunk(2)[0]
    a, b = (layer.input_layernorm(tokens).mean(1) @ values.T for tokens in (first, second))
    return 2 * (a * b).sum(1) / ((a * a).sum(1) + (b * b).sum(1))


def test_the_untrained_answer_follows_the_likeness_of_both_pictures() -> None:
    pairs = beginning()
    begin_comparing(pairs)
    torch.manual_seed(1)
    first = torch.randn(100, 1, 64).expand(-1, 18, -1)
    mixed = torch.linspace(0, 1, 100)[:, None, None]
    second = mixed * first + (1 - mixed) * torch.randn(100, 1, 64)
    said, alike = margins(pairs, first, second), likeness(pairs, first, second)
    assert torch.corrcoef(torch.stack([said, alike]))[0, 1] > 0.98
    assert torch.corrcoef(torch.stack([said, margins(pairs, second, first)]))[0, 1] > 0.98


def test_weights_at_random_say_nothing_of_it() -> None:
    pairs = beginning()
    torch.manual_seed(1)
    first, other = torch.randn(2, 50, 1, 64).expand(-1, -1, 18, -1)
    said = margins(pairs, torch.cat([first, first]), torch.cat([first, other]))
    assert abs(said[:50].mean() - said[50:].mean()) < said.std()


def test_every_weight_of_the_first_layer_is_learned_from_the_first_step() -> None:
    pairs = beginning()
    begin_comparing(pairs)
    first, second = torch.randn(2, 8, 18, 64)
    logits = pairs.answer(Seen(first, ()), Seen(second, ()))
    logits[:, list(pairs.answer_tokens)].log_softmax(1)[:, 0].mean().backward()
    layer = pairs.network.model.language_model.layers[0]
    assert all(weight.grad.abs().sum() > 0 for weight in layer.parameters())


@pytest.mark.parametrize(
    ("layout", "geometry", "words"),
    [
        ("rules_first", {"kind": "qwen3_vl", "patch_px": 16}, "kind qwen2_vl and an even number of heads"),
        ("rules_first", {"heads": 1}, "kind qwen2_vl and an even number of heads"),
        ("rules_first", {"key_heads": 1}, "each with keys of its own"),
        ("late", {}, "in the layout late"),
    ],
)
def test_what_cannot_compare_is_one_error(layout: Layout, geometry: dict[str, Any], words: str) -> None:
    with pytest.raises(ConfigError, match=words):
        begin_comparing(beginning(layout, **geometry))
