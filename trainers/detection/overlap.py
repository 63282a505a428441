"""Intersection over union of boxes in torch, plain and generalised."""

import torch
from torch import Tensor


def iou(a: Tensor, b: Tensor) -> Tensor:
    """Of xyxy boxes (..., 4) that broadcast against each other."""
    shared, union = _shared_and_union(a, b)
    return shared / union.clamp(min=1e-9)


def giou(a: Tensor, b: Tensor) -> Tensor:
    """Generalised: IoU less the share of the box around both that neither covers; in [-1, 1].

    Source: Rezatofighi et al., Generalized Intersection over Union, 2019, algorithm 1.
    """
    shared, union = _shared_and_union(a, b)
    around = _area(torch.minimum(a[..., :2], b[..., :2]), torch.maximum(a[..., 2:], b[..., 2:]))
    return shared / union.clamp(min=1e-9) - (around - union) / around.clamp(min=1e-9)


def _shared_and_union(a: Tensor, b: Tensor) -> tuple[Tensor, Tensor]:
    shared = _area(torch.maximum(a[..., :2], b[..., :2]), torch.minimum(a[..., 2:], b[..., 2:]))
    return shared, _area(a[..., :2], a[..., 2:]) + _area(b[..., :2], b[..., 2:]) - shared


def _area(low: Tensor, high: Tensor) -> Tensor:
    size = (high - low).clamp(min=0)
    return size[..., 0] * size[..., 1]
