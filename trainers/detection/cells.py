"""Where the cells of a detector lie, and the boxes that they code: the rows of decoder `yolox`, in torch."""

from collections.abc import Sequence
from typing import NamedTuple

import torch
from torch import Tensor


class Cells(NamedTuple):
    """All cells of an input, finest stride first, row by row. corner: (A, 2) column, row; stride: (A, 1)."""

    corner: Tensor
    stride: Tensor

    @property
    def centre(self) -> Tensor:
        """(A, 2) in pixels of the input."""
        return (self.corner + 0.5) * self.stride

    def boxes(self, coded: Tensor) -> Tensor:
        """(..., A, 4) as the network codes them to xyxy in pixels of the input."""
        centre = (coded[..., :2] + self.corner) * self.stride
        half = coded[..., 2:].clamp(max=8).exp() * self.stride / 2
        return torch.cat([centre - half, centre + half], dim=-1)


def make_cells(size: tuple[int, int], strides: Sequence[int], device: str = "cpu") -> Cells:
    """The cells of an input of that height and width."""
    corners, scales = [], []
    for stride in strides:
        rows, columns = torch.meshgrid(
            torch.arange(size[0] // stride), torch.arange(size[1] // stride), indexing="ij"
        )
        corners.append(torch.stack([columns.flatten(), rows.flatten()], dim=1))
        scales.append(torch.full((rows.numel(), 1), stride))
    return Cells(torch.cat(corners).float().to(device), torch.cat(scales).float().to(device))
