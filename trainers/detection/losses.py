"""What a detector's cells are punished for: scores off their targets, boxes off their people."""

from typing import NamedTuple

import torch
from torch import Tensor
from torch.nn import functional

from trainers.detection.assign import assign
from trainers.detection.cells import Cells
from trainers.detection.overlap import giou


class Labels(NamedTuple):
    """Who is in a batch of pictures.

    Attributes:
        boxes: (N, G, 4) xyxy in pixels of the input, filled up with zeros.
        wanted: (N, G) rows that are to be found.
        ignored: (N, G) rows where neither finding nor missing anybody counts.
    """

    boxes: Tensor
    wanted: Tensor
    ignored: Tensor


class Losses(NamedTuple):
    """Both losses, for each person that is to be found."""

    score: Tensor
    box: Tensor


def detection_losses(coded: Tensor, logits: Tensor, cells: Cells, labels: Labels) -> Losses:
    """Binary cross-entropy of the scores to soft targets, generalised IoU of the boxes weighted by the same.

    Cells on ignored people who answer for nobody are left out of the scores' loss.

    Args:
        coded: (N, A, 4) as the network codes boxes.
        logits: (N, A) of the scores.
        cells: Where the cells lie.
        labels: Who is there.

    Source: Feng et al., TOOD, 2021, eq. 6 and 7, with plain cross-entropy; Rezatofighi et al., 2019.
    """
    boxes = cells.boxes(coded)
    owner, quality = assign(boxes.detach(), logits.detach().sigmoid(), cells, labels.boxes, labels.wanted)
    found = owner >= 0
    weight = quality.sum().clamp(min=1.0)
    counts = found | ~_inside_any(cells, labels.boxes, labels.ignored)
    by_cell = functional.binary_cross_entropy_with_logits(logits, quality, reduction="none")
    picture, _ = torch.nonzero(found, as_tuple=True)
    off = 1 - giou(boxes[found], labels.boxes[picture, owner[found]])
    return Losses((by_cell * counts).sum() / weight, (off * quality[found]).sum() / weight)


def _inside_any(cells: Cells, boxes: Tensor, which: Tensor) -> Tensor:
    """(N, A): the cell's centre lies in one of those boxes."""
    centre = cells.centre
    inside = (centre > boxes[:, :, None, :2]) & (centre < boxes[:, :, None, 2:])
    return (inside.all(dim=-1) & which[..., None]).any(dim=1)
