"""A nano person detector: residual 3x3 convolutions, a top-down neck, one anchor-free head for all strides.

Plain dense convolutions, because they are what processors are quick at; batch norm folds into them on export. The
first goes to a quarter of the size at once: in training, two steps there cost as much as all the rest.

Source: He et al., Deep Residual Learning, 2016 (blocks); Lin et al., Feature Pyramid Networks, 2017 (neck); Tian et
al., FCOS, 2019, and Ge et al., YOLOX, 2021 (one box a cell, one head for all strides, size as a logarithm).
"""

import math
from collections.abc import Sequence

import torch
from torch import Tensor, nn
from torch.nn import functional

STRIDES = (8, 16, 32)
PRIOR = 0.01  # score of every cell before anything is learned
TYPICAL = (0.5, 0.5, 0.5, 1.4)  # a cell's box at first, as it is coded: upright, 1.6 by 4 cells


class NanoDetector(nn.Module):
    """Finds upright people; one box and one score for every cell of three grids.

    Args:
        widths: Channels at strides 4, 8, 16 and 32.
        depths: Residual blocks at strides 8, 16 and 32.
        neck: Channels of neck and head.
    """

    def __init__(
        self,
        widths: Sequence[int] = (32, 64, 96, 128),
        depths: Sequence[int] = (2, 2, 1),
        neck: int = 48,
    ) -> None:
        super().__init__()
        self.stem = _conv(3, widths[0], kernel=7, stride=4)
        self.stages = nn.ModuleList(
            nn.Sequential(_conv(before, after, stride=2), *(_Block(after) for _ in range(depth)))
            for before, after, depth in zip(widths[:-1], widths[1:], depths, strict=True)
        )
        self.lateral = nn.ModuleList(_conv(width, neck, kernel=1) for width in widths[1:])
        self.smooth = nn.ModuleList(_conv(neck, neck) for _ in range(2))
        self.shared, self.for_box, self.for_score = (_conv(neck, neck) for _ in range(3))
        self.box, self.score = nn.Conv2d(neck, 4, 1), nn.Conv2d(neck, 1, 1)
        self._begin()

    def forward(self, images: Tensor) -> Tensor:
        """Rows (N, cells, 6) that decoder `yolox` reads, of (N, 3, H, W); H and W are multiples of 32.

        The last two columns are the score and a one: with a single class, whatever is there is a person.
        """
        boxes, logits = self.cells(images)
        score = logits.sigmoid()[..., None]
        return torch.cat([boxes, score, torch.ones_like(score)], dim=2)

    def cells(self, images: Tensor) -> tuple[Tensor, Tensor]:
        """Coded boxes (N, cells, 4) and logits of the scores (N, cells), finest stride first, row by row."""
        maps, at = [], self.stem(images)
        for stage in self.stages:
            at = stage(at)
            maps.append(at)
        answers = [self._head(level) for level in self._neck(maps)]
        return torch.cat([box for box, _ in answers], 1), torch.cat([score for _, score in answers], 1)

    def _neck(self, maps: list[Tensor]) -> list[Tensor]:
        fine, middle, coarse = (squeeze(level) for squeeze, level in zip(self.lateral, maps, strict=True))
        middle = self.smooth[1](middle + functional.interpolate(coarse, scale_factor=2.0, mode="nearest"))
        fine = self.smooth[0](fine + functional.interpolate(middle, scale_factor=2.0, mode="nearest"))
        return [fine, middle, coarse]

    def _head(self, level: Tensor) -> tuple[Tensor, Tensor]:
        shared = self.shared(level)
        box, score = self.box(self.for_box(shared)), self.score(self.for_score(shared))
        return box.flatten(2).transpose(1, 2), score.flatten(1)

    def _begin(self) -> None:
        for module in self.modules():
            if isinstance(module, nn.Conv2d):
                nn.init.kaiming_normal_(module.weight, mode="fan_out", nonlinearity="relu")
        for block in (module for module in self.modules() if isinstance(module, _Block)):
            nn.init.zeros_(block.second.get_parameter("1.weight"))  # a block begins as the identity
        nn.init.normal_(self.box.weight, std=0.01)
        nn.init.normal_(self.score.weight, std=0.01)
        with torch.no_grad():
            self.box.get_parameter("bias").copy_(torch.tensor(TYPICAL))
        nn.init.constant_(self.score.get_parameter("bias"), -math.log((1 - PRIOR) / PRIOR))


class _Block(nn.Module):
    """Two convolutions and a shortcut."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.first = _conv(width, width)
        self.second = nn.Sequential(nn.Conv2d(width, width, 3, padding=1, bias=False), nn.BatchNorm2d(width))

    def forward(self, x: Tensor) -> Tensor:
        """(N, width, H, W) to the same."""
        return functional.relu(x + self.second(self.first(x)))


def _conv(before: int, after: int, kernel: int = 3, stride: int = 1) -> nn.Sequential:
    return nn.Sequential(
        nn.Conv2d(before, after, kernel, stride, padding=kernel // 2, bias=False),
        nn.BatchNorm2d(after),
        nn.ReLU(inplace=True),
    )
