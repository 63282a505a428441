"""The losses by hand, what is ignored, and that they fall where they should."""

import math

import pytest

torch = pytest.importorskip("torch")

from trainers.detection.cells import make_cells  # noqa: E402
from trainers.detection.losses import Labels, detection_losses  # noqa: E402

pytestmark = pytest.mark.torch
CELLS = make_cells((32, 32), (16,))  # centres 8 and 24: four cells
LOGIT = -1.0


def _labels(box: list[float] | None, ignored: list[float] | None = None) -> Labels:
    rows = [row for row in (box, ignored) if row is not None]
    boxes = torch.tensor(rows, dtype=torch.float32).reshape(1, -1, 4)
    wanted = torch.tensor([[row is box for row in rows]], dtype=torch.bool).reshape(1, -1)
    return Labels(boxes, wanted, ~wanted)


def _coded(logs: float = 0.0) -> torch.Tensor:
    """Every cell's box is itself: 16 px around its centre, or exp(logs) times that."""
    return torch.tensor([0.5, 0.5, logs, logs]).repeat(1, 4, 1)


def _cross_entropy(target: float, logit: float = LOGIT) -> float:
    share = 1 / (1 + math.exp(-logit))
    return -target * math.log(share) - (1 - target) * math.log(1 - share)


def test_a_person_on_one_cell_by_hand() -> None:
    losses = detection_losses(_coded(), torch.full((1, 4), LOGIT), CELLS, _labels([0, 0, 16, 16]))
    assert losses.box.item() == pytest.approx(0.0, abs=1e-6)
    assert losses.score.item() == pytest.approx(_cross_entropy(1.0) + 3 * _cross_entropy(0.0), rel=1e-5)


def test_a_box_too_large_costs_its_overlap() -> None:
    losses = detection_losses(_coded(math.log(2)), torch.full((1, 4), LOGIT), CELLS, _labels([0, 0, 16, 16]))
    target = 0.25  # a 32 px box around a 16 px one
    assert losses.box.item() == pytest.approx(0.75 * target, rel=1e-5)  # their sum, below one, divides by one
    assert losses.score.item() == pytest.approx(_cross_entropy(target) + 3 * _cross_entropy(0.0), rel=1e-5)


def test_nothing_is_said_about_cells_on_ignored_people() -> None:
    losses = detection_losses(_coded(), torch.full((1, 4), LOGIT), CELLS, _labels(None, [0, 0, 16, 32]))
    assert losses.score.item() == pytest.approx(2 * _cross_entropy(0.0), rel=1e-5)
    both = _labels([0, 0, 16, 16], [0, 0, 16, 32])
    losses = detection_losses(_coded(), torch.full((1, 4), LOGIT), CELLS, both)
    assert losses.score.item() == pytest.approx(_cross_entropy(1.0) + 2 * _cross_entropy(0.0), rel=1e-5)


def test_pictures_without_anybody_still_teach() -> None:
    losses = detection_losses(_coded(), torch.full((1, 4), LOGIT), CELLS, _labels(None))
    assert losses.score.item() == pytest.approx(4 * _cross_entropy(0.0), rel=1e-5)
    assert losses.box.item() == 0.0


def test_both_losses_pull_the_network_to_the_person() -> None:
    coded = _coded(math.log(1.5)).requires_grad_()
    logits = torch.zeros(1, 4, requires_grad=True)
    losses = detection_losses(coded, logits, CELLS, _labels([0, 0, 16, 16]))
    (losses.score + losses.box).backward()
    assert coded.grad is not None
    assert logits.grad is not None
    assert (coded.grad[0, 0, 2:] > 0).all()  # smaller
    assert (coded.grad[0, 1:] == 0).all()
    assert (logits.grad[0, 1:] > 0).all()  # nobody there
