"""Which cells answer for which person: those whose score and box already agree best with them.

Source: Feng et al., TOOD: Task-aligned One-stage Object Detection, 2021, section 3.2.
"""

from typing import NamedTuple

import torch
from torch import Tensor

from trainers.detection.cells import Cells
from trainers.detection.overlap import iou


class Targets(NamedTuple):
    """What every cell is to say.

    Attributes:
        owner: (N, A) the row of the person it answers for, -1 = nobody.
        quality: (N, A) the score it is to give, in [0, 1]; 0 where it answers for nobody.
    """

    owner: Tensor
    quality: Tensor


@torch.no_grad()
def assign(
    boxes: Tensor,
    scores: Tensor,
    cells: Cells,
    people: Tensor,
    present: Tensor,
    most: int = 10,
    alpha: float = 1.0,
    beta: float = 6.0,
) -> Targets:
    """Each person gets the `most` cells of the greatest score^alpha * iou^beta among those that lie on them.

    A cell that several want goes to the one its box overlaps most. The best cell of a person is to score as its
    box overlaps, the others in proportion.

    Args:
        boxes: (N, A, 4) xyxy, what the cells say now.
        scores: (N, A) in [0, 1], what they say now.
        cells: Where they lie.
        people: (N, G, 4) xyxy, filled up with anything.
        present: (N, G) which rows of `people` are people.
        most: Cells for each person at most.
        alpha: Weight of the score.
        beta: Weight of the overlap.
    """
    if not people.shape[1]:
        return Targets(torch.full_like(scores, -1, dtype=torch.long), torch.zeros_like(scores))
    overlap = iou(people[:, :, None], boxes[:, None])  # (N, G, A)
    fit = scores[:, None] ** alpha * overlap**beta * _lies_on(cells, people) * present[..., None]
    best = fit.topk(min(most, fit.shape[2]), dim=2).indices
    wanted = torch.zeros_like(fit, dtype=torch.bool).scatter_(2, best, True) & (fit > 0)
    owner = (overlap * wanted).argmax(dim=1)
    mine = torch.zeros_like(wanted).scatter_(1, owner[:, None], True) & wanted
    fit, overlap = fit * mine, overlap * mine
    share = fit / fit.amax(dim=2, keepdim=True).clamp(min=1e-30)
    quality = (share * overlap.amax(dim=2, keepdim=True)).amax(dim=1)
    return Targets(torch.where(mine.any(dim=1), owner, -1), quality)


def _lies_on(cells: Cells, people: Tensor) -> Tensor:
    """(N, G, A): the cell's centre lies in the person's box, or next to its middle: thin boxes miss all centres."""
    centre = cells.centre
    low, high = people[:, :, None, :2], people[:, :, None, 2:]
    inside = ((centre > low) & (centre < high)).all(dim=-1)
    return inside | ((centre - (low + high) / 2).abs() <= cells.stride / 2).all(dim=-1)
