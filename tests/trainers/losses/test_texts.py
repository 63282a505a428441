"""Texts learned without words, on towers too small to mean anything."""

import math
from pathlib import Path

import pytest

torch = pytest.importorskip("torch")

from safetensors.torch import save_file  # noqa: E402

from engines.errors import EngineFileError  # noqa: E402
from pipeline.errors import ConfigError  # noqa: E402
from trainers.losses.texts import (  # noqa: E402
    Prompts,
    TextSettings,
    contrast,
    image_to_texts,
    learn_texts,
)
from trainers.networks.clip_text import ClipTextTower  # noqa: E402

pytestmark = pytest.mark.torch

TOWER = {"vocabulary": 20, "context": 12, "width": 16, "layers": 1, "heads": 2, "projection": 8}
SETTINGS = TextSettings(
    tower=TOWER, before=(18, 3), after=(4, 19), learned=2, steps=150, batch=12, rate=0.05, temperature=0.1
)


def test_both_directions_of_the_contrast() -> None:
    torch.manual_seed(0)
    people = [0, 1, 0, 2]
    texts = torch.nn.functional.normalize(torch.randn(3, 5, dtype=torch.float64), dim=1)[people]
    pictures = torch.nn.functional.normalize(torch.randn(4, 5, dtype=torch.float64), dim=1)
    expected = 0.0
    for i in range(4):
        powers = [math.exp(float(pictures[i] @ texts[j]) / 0.2) for j in range(4)]
        expected -= math.log(powers[i] / sum(powers)) / 4
        powers = [math.exp(float(pictures[j] @ texts[i]) / 0.2) for j in range(4)]
        own = [j for j in range(4) if people[j] == people[i]]
        expected -= sum(math.log(powers[j] / sum(powers)) for j in own) / len(own) / 4
    assert float(contrast(pictures, texts, torch.tensor(people), 0.2)) == pytest.approx(expected)


def test_only_the_words_of_the_people_are_learned_and_find_their_pictures(tmp_path: Path) -> None:
    torch.manual_seed(0)
    centres = torch.nn.functional.normalize(torch.randn(6, 8), dim=1)
    people = torch.arange(6).repeat(5)
    rows = torch.nn.functional.normalize(centres[people] + 0.1 * torch.randn(30, 8), dim=1)
    texts = learn_texts(rows, people, 6, SETTINGS, tmp_path / "state", {})
    assert texts.shape == (6, 8)
    assert torch.allclose(texts.norm(dim=1), torch.ones(6), atol=1e-5)
    assert ((rows @ texts.T).argmax(1) == people).float().mean() > 0.9
    assert image_to_texts(rows, people, texts, SETTINGS) < image_to_texts(
        rows, people.roll(1), texts, SETTINGS
    )

    prompts = Prompts(ClipTextTower(**TOWER), SETTINGS, 6)
    assert [name for name, parameter in prompts.named_parameters() if parameter.requires_grad] == ["own"]


def test_the_text_of_a_person_is_the_sentence_around_its_words() -> None:
    tower = ClipTextTower(**TOWER)
    prompts = Prompts(tower, SETTINGS, 3)
    sentence = torch.cat(
        [tower.words(torch.tensor([18, 3])), prompts.own[1], tower.words(torch.tensor([4, 19]))]
    )
    expected = torch.nn.functional.normalize(tower(sentence[None]), dim=1)
    assert torch.allclose(prompts(torch.tensor([1])), expected)


def test_agrees_with_transformers(tmp_path: Path) -> None:
    transformers = pytest.importorskip("transformers")
    config = transformers.CLIPTextConfig(
        vocab_size=20, hidden_size=16, intermediate_size=64, num_hidden_layers=1, num_attention_heads=2,
        max_position_embeddings=12, projection_dim=8, hidden_act="quick_gelu", eos_token_id=19, bos_token_id=18,
    )  # fmt: skip
    theirs = transformers.CLIPTextModelWithProjection(config).eval()
    theirs.save_pretrained(tmp_path)
    ours = ClipTextTower(**TOWER)
    ours.fill(tmp_path)
    ids = torch.tensor([[18, 3, 7, 4, 19]])
    with torch.inference_mode():
        assert torch.allclose(ours(ours.words(ids)), theirs(ids).text_embeds, atol=1e-5)


def test_agrees_with_open_clip(tmp_path: Path) -> None:
    open_clip = pytest.importorskip("open_clip")
    theirs = open_clip.CLIP(
        8,
        {"layers": 1, "width": 16, "patch_size": 8, "image_size": 16, "head_width": 8},
        {"layers": 1, "width": 16, "heads": 2, "context_length": 5, "vocab_size": 20},
        quick_gelu=True,
    ).eval()
    save_file(
        {name: tensor.clone() for name, tensor in theirs.state_dict().items()}, tmp_path / "w.safetensors"
    )
    ours = ClipTextTower(**TOWER | {"context": 5})
    ours.fill(tmp_path)
    ids = torch.tensor([[18, 3, 7, 4, 19]])
    with torch.inference_mode():
        assert torch.allclose(ours(ours.words(ids)), theirs.encode_text(ids), atol=1e-5)


def test_the_default_sentence_is_clip_s() -> None:
    tokenizer = pytest.importorskip("open_clip.tokenizer").SimpleTokenizer()
    settings = TextSettings()
    assert [49406, *tokenizer.encode("A photo of a")] == list(settings.before)
    assert [*tokenizer.encode("person."), 49407] == list(settings.after)


def test_a_tower_of_another_size_is_refused(tmp_path: Path) -> None:
    save_file(
        {"text_model.embeddings.token_embedding.weight": torch.zeros(20, 16)}, tmp_path / "w.safetensors"
    )
    with pytest.raises(EngineFileError, match="is missing"):
        ClipTextTower(**TOWER).fill(tmp_path)


def test_a_stage_that_was_stopped_goes_on_exactly(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    rows, people = torch.nn.functional.normalize(torch.randn(12, 8), dim=1), torch.arange(4).repeat(3)
    short = SETTINGS.model_copy(update={"steps": 30})
    monkeypatch.setattr("trainers.losses.texts.SAID_EVERY", 10)

    def learned(name: str) -> "torch.Tensor":
        torch.manual_seed(3)
        return learn_texts(rows, people, 4, short, tmp_path / name, {"seed": 3})

    whole = learned("whole")
    told = 0

    def stopped(text: str) -> None:
        nonlocal told
        told += 1
        if told == 3:
            raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr("trainers.losses.texts.say", stopped)
        with pytest.raises(KeyboardInterrupt):
            learned("stopped")
    assert (tmp_path / "stopped").exists()
    assert torch.equal(learned("stopped"), whole)
    with pytest.raises(ConfigError, match="belongs to another run"):
        learn_texts(rows, people, 4, short, tmp_path / "stopped", {"seed": 4})
