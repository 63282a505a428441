"""Captions: the loss against the loop that it describes, words, and a reader on disk."""

import math
from pathlib import Path

import pytest

torch = pytest.importorskip("torch")

from pipeline.errors import InputError  # noqa: E402
from trainers.datasets.sample import Sample  # noqa: E402
from trainers.losses.captions import (  # noqa: E402
    CaptionLoss,
    CaptionSettings,
    Reader,
    aligned,
    caption_loss,
    load_reader,
)

pytestmark = pytest.mark.torch

SETTINGS = CaptionSettings(context=6, width=8, layers=1, heads=2)


def unit(*shape: int) -> "torch.Tensor":
    return torch.nn.functional.normalize(torch.randn(*shape, dtype=torch.float64), dim=1)


def test_both_directions_with_several_that_fit() -> None:
    torch.manual_seed(0)
    rows, texts = unit(6, 5), unit(6, 5)
    people = [0, 0, 1, 2, 3, 4]
    domains = [0, 0, 0, 0, 1, 1]
    said = [[1], [2], [3], [3], [3], [5]]  # 2 and 3 are told in the same words; so is 4, but elsewhere
    fits = {0: [0, 1], 1: [0, 1], 2: [2, 3], 3: [2, 3], 4: [4], 5: [5]}
    expected = 0.0
    for a, b in ((rows, texts), (texts, rows)):
        for i in range(6):
            powers = {j: math.exp(4 * float(a[i] @ b[j])) for j in range(6) if domains[j] == domains[i]}
            of_fits = [-math.log(powers[j] / sum(powers.values())) for j in fits[i]]
            expected += sum(of_fits) / len(fits[i]) / 6 / 2
    lines, identities, of_domain = (torch.tensor(values) for values in (said, people, domains))
    value = aligned(rows, texts, lines, identities, of_domain, torch.tensor(4.0))
    assert float(value) == pytest.approx(expected)


def test_pictures_find_their_captions_and_the_other_way_round() -> None:
    torch.manual_seed(1)
    colours = ("red", "blue", "green", "black")
    captions = [(f"A man in {colour}.", f"{colour} coat") for colour in colours]
    loss = CaptionLoss(SETTINGS, captions, 8)
    looks = torch.nn.Parameter(torch.randn(4, 8))
    everybody, one_domain = torch.arange(4), torch.zeros(4, dtype=torch.long)
    optimizer = torch.optim.Adam([looks, *loss.parameters()], lr=0.02)
    for _ in range(80):
        value = loss(torch.nn.functional.normalize(looks, dim=1), everybody, one_domain, everybody)
        optimizer.zero_grad()
        value.backward()
        optimizer.step()
    for texts in ([own[0] for own in captions], [own[1] for own in captions]):  # both were shown
        assert (loss.reader.read(texts) @ looks.detach().T).argmax(1).tolist() == [0, 1, 2, 3]


def test_words_are_numbered_from_the_end() -> None:
    reader = Reader(["a", "jacket", "t-shirt"], SETTINGS, 4)
    lines = reader.numbers(["A t-shirt, a JACKET.", "", "a hat", "a a a a a a jacket"])
    assert lines.tolist() == [
        [0, 3, 5, 3, 4, 2],
        [0, 0, 0, 0, 0, 2],
        [0, 0, 0, 3, 1, 2],  # nobody said hat
        [3, 3, 3, 3, 3, 2],
    ]


def test_a_reader_comes_back_from_disk(tmp_path: Path) -> None:
    reader = Reader(["coat", "red"], SETTINGS, 4).eval()
    reader.save(tmp_path / "reader.safetensors")
    again = load_reader(tmp_path / "reader.safetensors")
    assert torch.equal(again.read(["red coat", "coat"]), reader.read(["red coat", "coat"]))

    with pytest.raises(InputError, match="no file"):
        load_reader(tmp_path / "other.safetensors")
    (tmp_path / "other.safetensors").write_bytes(b"\x80\x04 a pickle")
    with pytest.raises(InputError, match="reads no captions"):
        load_reader(tmp_path / "other.safetensors")


def test_a_picture_without_a_caption_is_named() -> None:
    with pytest.raises(InputError, match=r"nothing is said of .*b\.jpg"):
        caption_loss(SETTINGS, [Sample(Path("a.jpg"), 1, text=("a man",)), Sample(Path("b.jpg"), 2)], 4)
