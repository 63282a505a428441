"""Published heads against their formulas, written out."""

import pytest

torch = pytest.importorskip("torch")

from trainers.losses.heads import PublishedHeads  # noqa: E402
from trainers.losses.together import EmbedderLoss, LossSettings  # noqa: E402
from trainers.losses.triplet import batch_hard_triplet  # noqa: E402
from trainers.networks.clip_vit import ClipImageTower  # noqa: E402

pytestmark = pytest.mark.torch

PEOPLE = torch.tensor([0, 0, 1, 1, 2, 2])


def levels() -> "tuple[torch.Tensor, ...]":
    torch.manual_seed(0)
    return tuple(torch.randn(6, width) for width in (5, 5, 3))


def necked(feature: "torch.Tensor") -> "torch.Tensor":
    """Batch-normalised as at the start: no scale, no bias."""
    return (feature - feature.mean(0)) / (feature.var(0, unbiased=False) + 1e-5).sqrt()


@pytest.mark.parametrize(
    ("kind", "classified", "compared"), [("linear", [2], [2]), ("clip_reid", [1, 2], [0, 1, 2])]
)
def test_identity_and_triplets_of_the_levels(kind: str, classified: list[int], compared: list[int]) -> None:
    heads, below = PublishedHeads(kind, (5, 5, 3), 4, 0.1, 0.3), levels()
    expected = torch.tensor(0.0)
    for classifier, level in zip(heads.classifiers, classified, strict=True):
        assert classifier.bias is None
        logs = (necked(below[level]) @ classifier.weight.T).log_softmax(1)
        target = 0.9 * torch.nn.functional.one_hot(PEOPLE, 4) + 0.1 / 4
        expected = expected - (target * logs).sum(1).mean()
    assert torch.allclose(heads.identity(below, PEOPLE), expected, atol=1e-5)
    triplets = sum(batch_hard_triplet(below[level], PEOPLE, PEOPLE * 0, 0.3) for level in compared)
    assert torch.allclose(heads.triplet(below, PEOPLE), triplets, atol=1e-6)
    assert not any(neck.bias.requires_grad for neck in heads.necks)


def test_they_stand_where_ours_would() -> None:
    domains = torch.tensor([0, 0, 1, 1])
    settings = LossSettings(heads="clip_reid", identity=0.25, triplet=1.0)
    losses, below = EmbedderLoss(settings, domains, 8, (5, 5, 3)), levels()
    rows = torch.nn.functional.normalize(torch.cat(below[1:], 1), dim=1)
    found = losses(rows, PEOPLE, None, below)
    assert torch.allclose(found["loss"], 0.25 * found["identity"] + found["triplet"])
    assert losses.identity is None
    losses.start_from(torch.zeros(4, 8))


def test_the_levels_of_the_tower_and_the_row_that_joins_them() -> None:
    torch.manual_seed(1)
    sizes = {"size": (32, 16), "patch": 8, "width": 8, "layers": 3, "heads": 2, "projection": 4}
    tower = ClipImageTower(**sizes, neck=False, joined=True).eval()
    pictures = torch.rand(2, 3, 32, 16)
    before, last, projected = tower.levels(pictures)
    assert (before.shape, last.shape, projected.shape) == ((2, 8), (2, 8), (2, 4))
    assert torch.allclose(projected, tower.projection(last))
    shorter = ClipImageTower(**sizes | {"layers": 2}, neck=False).eval()
    shorter.load_state_dict({n: t for n, t in tower.state_dict().items() if not n.startswith("blocks.2")})
    assert torch.allclose(shorter.after(before), shorter.levels(pictures)[1])
    row = tower(pictures)
    assert torch.allclose(row, torch.nn.functional.normalize(torch.cat([last, projected], 1), dim=1))
