"""The end of every embedder: pooled features to unit rows through a batch-normalised neck."""

import torch
from torch import nn


class Neck(nn.Module):
    """(N, F) pooled features -> (N, D) rows of unit length, batch-normalised before.

    The rows are float32, whatever precision the tower ran in.

    Source: Luo et al., Bag of Tricks and a Strong Baseline for Deep Person Re-identification, 2019, 3.5 (BNNeck).
    """

    def __init__(self, features: int, dimension: int) -> None:
        super().__init__()
        self.project = nn.Linear(features, dimension, bias=False)
        self.norm = nn.BatchNorm1d(dimension)

    def forward(self, pooled: torch.Tensor) -> torch.Tensor:
        """Unit rows."""
        rows: torch.Tensor = self.norm(self.project(pooled)).float()
        return nn.functional.normalize(rows, dim=1)
