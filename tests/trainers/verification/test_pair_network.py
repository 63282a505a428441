"""The network in training against transformers' own forward and loss."""

from typing import Any

import pytest

torch = pytest.importorskip("torch")
pytest.importorskip("transformers")

from engines.lmm.late import LatePairs  # noqa: E402
from engines.lmm.model import VisionLanguageModel  # noqa: E402
from engines.lmm.pictures import PatchGrid, Picture, patches  # noqa: E402
from engines.lmm.question import PairQuestion  # noqa: E402
from engines.lmm.scorer import ExactPairs, Scorer  # noqa: E402
from engines.prompts import Layout  # noqa: E402
from tests.support.tiny_lmm import KINDS, PROMPT, network, tiny_tokenizer  # noqa: E402
from trainers.verification.pair_network import PairNetwork, answer_loss, patched  # noqa: E402

pytestmark = pytest.mark.torch


def test_patches_are_those_of_the_engine() -> None:
    pictures, grid = torch.rand(2, 3, 24, 16), PatchGrid(4, 2, 2)
    ours = patched(pictures, grid)
    theirs = torch.cat([torch.from_numpy(patches(picture.numpy(), grid)) for picture in pictures])
    assert torch.equal(ours, theirs)


@pytest.mark.parametrize("kind", KINDS)
def test_the_loss_is_transformers_own_with_every_label_but_the_answer_masked(kind: str) -> None:
    tokenizer = tiny_tokenizer()
    model: Any = network(kind, tokenizer)
    size = (64, 32) if kind == "qwen3_vl" else (56, 28)
    pairs = PairNetwork(model, tokenizer, PROMPT, "rules_first", ("Yes", "No"), size)
    pictures = torch.randn(3, 3, *size)
    first, second, same = torch.tensor([0, 2]), torch.tensor([1, 0]), torch.tensor([True, False])
    logits, _ = pairs(pictures, first, second)
    ours = answer_loss(logits, same, pairs.answer_tokens, among_all=True)

    answers = torch.where(same, *pairs.answer_tokens)
    ids = torch.cat([pairs.ids.expand(2, -1), answers[:, None]], 1)
    labels = torch.full_like(ids, -100)
    labels[:, -1] = answers
    shown = torch.stack([first, second], 1).flatten()
    grid = torch.tensor([pairs._patches] * 4)
    theirs = model(
        input_ids=ids, pixel_values=patched(pictures[shown], pairs._grid), image_grid_thw=grid, labels=labels,
        mm_token_type_ids=(ids == model.config.image_token_id).int(),
    ).loss  # fmt: skip
    assert ours.item() == pytest.approx(theirs.item(), abs=1e-5)


def test_among_the_answers_no_other_word_counts() -> None:
    logits = torch.tensor([[1.0, 9.0, 3.0, 0.0], [2.0, 0.0, 9.0, 2.0]])
    loss = answer_loss(logits, torch.tensor([True, False]), (0, 3), among_all=False)
    p = torch.tensor([1 / (1 + torch.e**-1), 0.5])
    assert loss.item() == pytest.approx(float(-p.log().mean()), abs=1e-6)


@pytest.mark.parametrize("layout", ["rules_first", "rules_last", "late"])
@pytest.mark.parametrize("kind", KINDS)
def test_it_says_what_the_engine_will_say(kind: str, layout: Layout) -> None:
    tokenizer = tiny_tokenizer()
    model: Any = network(kind, tokenizer)
    size = (64, 32) if kind == "qwen3_vl" else (56, 28)
    pairs = PairNetwork(model, tokenizer, PROMPT, layout, ("Yes", "No"), size).eval()
    pictures = torch.randn(3, 3, *size)
    with torch.inference_mode():
        said, _ = pairs(pictures, torch.tensor([0, 2, 1]), torch.tensor([1, 0, 2]))
    logits = said[:, list(pairs.answer_tokens)]
    shown = [Picture(each.numpy(), bytes([i])) for i, each in enumerate(pictures)]
    served, question = VisionLanguageModel(model, tokenizer, ("Yes", "No")), PairQuestion(PROMPT, layout)
    scorer = LatePairs(question, served) if layout == "late" else ExactPairs(question, Scorer(served))
    found = scorer.score([(shown[0], shown[1]), (shown[2], shown[0]), (shown[1], shown[2])])
    assert abs(logits.numpy() - found).max() < 1e-4
