"""What a verifier learns of an embedder: its vectors, read off vision tokens, and its opinion of pairs."""

import pytest

torch = pytest.importorskip("torch")

from trainers.verification.teacher import Teacher, TeacherSettings, banded  # noqa: E402

pytestmark = pytest.mark.torch

VECTORS = torch.tensor([[2.0, 0.0], [0.0, 3.0], [0.6, 0.8]])


def teacher(**keys: float) -> Teacher:
    return Teacher(TeacherSettings.model_validate({"engine": "any.yaml"} | keys), VECTORS, width=3)


def test_its_opinion_is_sure_of_near_vectors_and_has_none_in_the_middle() -> None:
    rows = torch.tensor([0, 0, 0]), torch.tensor([0, 1, 2])
    wanted = teacher(slope=10, middle=0.6).wanted(torch.tensor([False, True, True]), *rows)
    assert wanted.tolist() == pytest.approx([1 / (1 + torch.e**-4), 1 / (1 + torch.e**6), 0.5], abs=1e-6)


@pytest.mark.parametrize(("share", "wanted"), [(0.0, 1.0), (0.25, 0.875)])
def test_the_label_has_what_its_opinion_leaves(share: float, wanted: float) -> None:
    rows = torch.tensor([0]), torch.tensor([2])
    assert teacher(answers=share).wanted(torch.tensor([True]), *rows).item() == pytest.approx(wanted)


def test_bands_are_means_from_top_to_bottom() -> None:
    tokens = torch.arange(8.0)[None, :, None] * torch.tensor([1.0, 10.0])
    assert banded(tokens).tolist() == [[0.5, 2.5, 4.5, 6.5, 5.0, 25.0, 45.0, 65.0]]


def test_what_is_read_off_tokens_comes_near_the_vectors() -> None:
    torch.manual_seed(0)
    told, tokens, rows = teacher(vectors=2.0), torch.randn(3, 8, 3), torch.tensor([2, 0, 1])
    optimizer = torch.optim.Adam(told.parameters(), lr=0.05)
    before = told.seen(tokens, rows).item()
    for _ in range(100):
        optimizer.zero_grad()
        told.weighted(tokens, rows).backward()
        optimizer.step()
    assert told.seen(tokens, rows).item() < 0.05 * before
    assert told.weighted(tokens, rows).item() == pytest.approx(2 * told.seen(tokens, rows).item())


def test_only_the_reading_is_kept_in_its_state() -> None:
    assert set(teacher().state_dict()) == {"read.weight", "read.bias"}
